//! `matrix`: every server in every cell, in interleaved rounds, each run with a fresh server; then a table. Builds
//! nothing: `cargo build --release` first. What a run is, is the library's business; what is printed, the report's.

mod facts;
mod report;
mod results;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use load::{Cell, Plan, Result, Server, drive, parse_duration, pin};

use facts::Facts;
use results::{Results, Run};

/// The servers, in the order of the table, and the package whose version stands for each.
const SERVERS: &[(&str, &str)] = &[
    ("newswire", "newswire"),
    ("tungstenite", "tokio-tungstenite"),
    ("tungstenite_forward", "tokio-tungstenite"),
    ("tungstenite_buf", "tokio-tungstenite"),
    ("fastwebsockets", "fastwebsockets"),
    ("tokio_websockets", "tokio-websockets"),
    ("yawc", "yawc"),
    ("yawc_tuned", "yawc"),
];

/// Measure echo servers against each other
#[derive(Parser)]
struct Arguments {
    /// How often the whole matrix is run
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// The time that counts, of each run; longer where neighbours keep a server off its core
    #[arg(long, default_value = "1s", value_parser = parse_duration)]
    window: Duration,
    /// Load before the window, not counted
    #[arg(long, default_value = "300ms", value_parser = parse_duration)]
    warm_up: Duration,
    /// Each SIZExCONNECTIONSxDEPTH, with :ascii or :utf8 after it for text
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "128x50x1,128x50x16,16384x50x1,16384x50x16"
    )]
    cells: Vec<Cell>,
    /// Which servers [default: all]
    #[arg(long, value_delimiter = ',')]
    servers: Vec<String>,
    /// The server that the others are compared with
    #[arg(long, default_value = "newswire")]
    base: String,
    /// Where the figures go; the table goes beside them, as .md [default: bench/results/echo.json]
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Core of the server
    #[arg(long, default_value_t = 0)]
    server_core: usize,
    /// Core of the load
    #[arg(long, default_value_t = 1)]
    load_core: usize,
}

fn run(arguments: &Arguments) -> Result<()> {
    let servers = chosen(&arguments.servers)?;
    if !servers.iter().any(|(name, _)| *name == arguments.base) {
        return Err(format!(
            "{} is not among the servers, so nothing can be compared with it: see --base",
            arguments.base
        )
        .into());
    }
    if arguments.server_core == arguments.load_core {
        return Err("the server and the load need a core each".into());
    }
    let json = arguments
        .json
        .clone()
        .unwrap_or_else(|| facts::bench_directory().join("results/echo.json"));
    let facts = Facts::gather(&servers)?;
    pin(arguments.load_core)?;

    let mut results = Results {
        facts,
        base: arguments.base.clone(),
        servers: servers
            .iter()
            .map(|(name, _)| (*name).to_string())
            .collect(),
        cells: arguments.cells.iter().map(Cell::to_string).collect(),
        rounds: arguments.rounds,
        window_s: arguments.window.as_secs_f64(),
        runs: Vec::new(),
    };
    let total = arguments.rounds as usize * arguments.cells.len() * servers.len();
    for round in 0..arguments.rounds {
        for (row, &cell) in arguments.cells.iter().enumerate() {
            for turn in 0..servers.len() {
                // Another order in each round and cell: whoever comes after a hungry neighbour is not always the same.
                let (name, _) = servers[(turn + row + round as usize) % servers.len()];
                let measurement = measure(name, cell, arguments)
                    .map_err(|error| format!("{name} at {cell}: {error}"))?;
                let run = Run {
                    server: name.into(),
                    cell: cell.to_string(),
                    round,
                    measurement,
                };
                eprintln!(
                    "[{}/{total}] round {}: {}",
                    results.runs.len() + 1,
                    round + 1,
                    report::progress(&run)
                );
                results.runs.push(run);
            }
        }
    }

    let report = report::markdown(&results);
    println!("{report}");
    json.parent().map_or(Ok(()), fs::create_dir_all)?;
    fs::write(&json, serde_json::to_string_pretty(&results)? + "\n")?;
    fs::write(json.with_extension("md"), report)?;
    eprintln!("written: {} and .md", json.display());
    Ok(())
}

/// The servers asked for, in the table's order, or all.
fn chosen(names: &[String]) -> Result<Vec<(&'static str, &'static str)>> {
    if let Some(unknown) = names
        .iter()
        .find(|name| SERVERS.iter().all(|(known, _)| known != name))
    {
        let known: Vec<_> = SERVERS.iter().map(|(name, _)| *name).collect();
        return Err(format!(
            "there is no server {unknown:?}; there are: {}",
            known.join(", ")
        )
        .into());
    }
    Ok(SERVERS
        .iter()
        .filter(|(name, _)| names.is_empty() || names.iter().any(|asked| asked == name))
        .copied()
        .collect())
}

/// One run with a server of its own.
fn measure(name: &str, cell: Cell, arguments: &Arguments) -> Result<load::Measurement> {
    let server = Server::start(name, arguments.server_core)?;
    drive(&Plan {
        address: server.address,
        path: "/echo".into(),
        cell,
        warm_up: arguments.warm_up,
        window: arguments.window,
        server_pid: Some(server.pid()),
    })
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("matrix: {error}");
            ExitCode::FAILURE
        }
    }
}
