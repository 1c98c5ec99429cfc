//! `matrix`: every server in every cell, in interleaved rounds, each run with a fresh server; then a table. Builds
//! nothing: `cargo build --release` first. What a run is, is the library's business; what is printed, the report's.

mod chart;
mod facts;
mod report;
mod results;
mod servers;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use load::{Cell, Kind, Plan, Result, Server, drive, parse_duration, pin};

use facts::Facts;
use results::{Results, Run};
use servers::Chosen;

/// Cells that belong together.
#[derive(Clone, Copy, ValueEnum)]
enum Set {
    /// 128 B and 16 KiB, 50 connections, 1 and 16 messages in flight
    Short,
    /// 16 B to 1 MiB, on 1, 50 and 1000 connections, and 50 with 16 in flight; needs some GB of memory
    Full,
}

impl Set {
    fn cells(self) -> Vec<Cell> {
        let (sizes, shapes): (&[usize], &[_]) = match self {
            Self::Short => (&[128, 16 << 10], &[(50, 1), (50, 16)]),
            Self::Full => (
                &[16, 128, 1 << 10, 16 << 10, 1 << 20],
                &[(1, 1), (50, 1), (50, 16), (1000, 1)],
            ),
        };
        let cell = |connections, depth, size| Cell {
            size,
            connections,
            depth,
            kind: Kind::Binary,
        };
        shapes
            .iter()
            .flat_map(|&(connections, depth)| {
                sizes
                    .iter()
                    .map(move |&size| cell(connections, depth, size))
            })
            .collect()
    }
}

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
    /// Which cells
    #[arg(long, value_enum, default_value = "short")]
    set: Set,
    /// Other cells, each SIZExCONNECTIONSxDEPTH, with :ascii or :utf8 after it for text
    #[arg(long, value_delimiter = ',', conflicts_with = "set")]
    cells: Vec<Cell>,
    /// Which servers [default: all]
    #[arg(long, value_delimiter = ',')]
    servers: Vec<String>,
    /// The server that the others are compared with
    #[arg(long, default_value = "newswire")]
    base: String,
    /// The server that shows what is possible, always run; `none` for none
    #[arg(long, default_value = "raw")]
    floor: String,
    /// Where the figures go; table and chart go beside them, as .md and .svg [default: bench/results/echo.json]
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
    let floor = Some(arguments.floor.clone()).filter(|floor| floor != "none");
    let (servers, missing) = servers::chosen(&arguments.servers, floor.as_deref())?;
    for missing in &missing {
        eprintln!("left out: {missing}");
    }
    if !servers.iter().any(|server| server.name == arguments.base) {
        return Err(format!(
            "{} is not among the servers, so nothing can be compared with it: see --base",
            arguments.base
        )
        .into());
    }
    let cells = if arguments.cells.is_empty() {
        arguments.set.cells()
    } else {
        arguments.cells.clone()
    };
    if arguments.server_core == arguments.load_core {
        return Err("the server and the load need a core each".into());
    }
    let json = arguments
        .json
        .clone()
        .unwrap_or_else(|| facts::bench_directory().join("results/echo.json"));
    let facts = Facts::gather(
        servers
            .iter()
            .map(|server| (server.name.into(), server.version.clone()))
            .collect(),
    );
    pin(arguments.load_core)?;

    let mut results = Results {
        facts,
        base: arguments.base.clone(),
        floor,
        servers: servers.iter().map(|server| server.name.into()).collect(),
        missing,
        cells: cells.iter().map(Cell::to_string).collect(),
        rounds: arguments.rounds,
        window_s: arguments.window.as_secs_f64(),
        runs: Vec::new(),
    };
    let total = arguments.rounds as usize * cells.len() * servers.len();
    for round in 0..arguments.rounds {
        for (row, &cell) in cells.iter().enumerate() {
            for turn in 0..servers.len() {
                // Another order in each round and cell: whoever comes after a hungry neighbour is not always the same.
                let server = &servers[(turn + row + round as usize) % servers.len()];
                let measurement = measure(server, cell, arguments)
                    .map_err(|error| format!("{} at {cell}: {error}", server.name))?;
                let run = Run {
                    server: server.name.into(),
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
    fs::write(json.with_extension("svg"), chart::svg(&results))?;
    eprintln!("written: {}, .md and .svg", json.display());
    Ok(())
}

/// One run with a server of its own.
fn measure(server: &Chosen, cell: Cell, arguments: &Arguments) -> Result<load::Measurement> {
    let running = Server::start(&server.program, arguments.server_core)?;
    drive(&Plan {
        address: running.address,
        path: "/echo".into(),
        cell,
        warm_up: arguments.warm_up,
        window: arguments.window,
        compares: server.is_websocket,
        server_pid: Some(running.pid()),
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
