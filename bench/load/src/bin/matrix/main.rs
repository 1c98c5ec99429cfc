//! `matrix`: every server in every cell, in interleaved rounds, each run with a fresh server; then a table and a chart.
//! Builds nothing: `cargo build --release` first. What a run is, is `job`'s business; what is printed, the report's.

mod chart;
mod deflate;
mod job;
mod report;
mod results;
mod servers;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use load::{
    Cell, Facts, Kind, Plan, Result, Server, allow_connections, bench_directory, parse_duration,
    pin,
};

use job::{Job, Measured, Question};
use results::{Results, Run};
use servers::Chosen;

/// A server that the base is so many times ahead of is not worth repeating.
const HOPELESS: f64 = 4.0;

/// Cells that belong together.
#[derive(Clone, Copy, ValueEnum)]
enum Set {
    /// 128 B and 16 KiB, 50 connections, 1 and 16 messages in flight
    Short,
    /// The same as text, ASCII and of mixed scripts
    Text,
    /// 16 B to 1 MiB, on 1, 50 and 1000 connections, and 50 with 16 in flight; needs some GB of memory
    Full,
    /// Compressed JSON of 128 B, 1 KiB and 16 KiB, 50 connections, 1 and 16 messages in flight
    Deflate,
    /// 128 B and 16 KiB over TLS, 50 connections, 1 and 16 messages in flight
    Tls,
}

impl Set {
    fn cells(self) -> Vec<Cell> {
        const SHORT: &[usize] = &[128, 16 << 10];
        const FEW: &[(usize, usize)] = &[(50, 1), (50, 16)];
        let (kinds, sizes, shapes): (&[Kind], &[usize], &[_]) = match self {
            Self::Short => (&[Kind::Binary], SHORT, FEW),
            Self::Text => (&[Kind::Ascii, Kind::Utf8], SHORT, FEW),
            Self::Deflate => (&[Kind::Deflate], &[128, 1 << 10, 16 << 10], FEW),
            Self::Tls => (&[Kind::Tls], SHORT, FEW),
            Self::Full => (
                &[Kind::Binary],
                &[16, 128, 1 << 10, 16 << 10, 1 << 20],
                &[(1, 1), (50, 1), (50, 16), (1000, 1)],
            ),
        };
        let mut cells = Vec::new();
        for &kind in kinds {
            for &(connections, depth) in shapes {
                cells.extend(sizes.iter().map(|&size| Cell {
                    size,
                    connections,
                    depth,
                    kind,
                }));
            }
        }
        cells
    }
}

/// Measure echo servers against each other
#[derive(Parser)]
struct Arguments {
    /// What is asked
    #[arg(value_enum, default_value_t)]
    question: Question,
    /// How often the whole matrix is run [default: 5; 3 for idle, as memory hardly varies; the memory of deflate: once]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: Option<u32>,
    /// The time that counts, of each run; longer where neighbours keep a server off its core, or it gets little done
    #[arg(long, default_value = "1s", value_parser = parse_duration)]
    window: Duration,
    /// Load before the window, not counted
    #[arg(long, default_value = "300ms", value_parser = parse_duration)]
    warm_up: Duration,
    /// echo: which cells
    #[arg(long, value_enum, default_value = "short")]
    set: Set,
    /// echo, deflate, tls: other cells, each SIZExCONNECTIONSxDEPTH, with :ascii or :utf8 after it for text, :deflate for compressed JSON
    #[arg(long, value_delimiter = ',', conflicts_with = "set")]
    cells: Vec<Cell>,
    /// handshakes: connections under way at once
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1024))]
    at_a_time: u16,
    /// idle, deflate: connections that idle
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u16).range(1..=28_000))]
    connections: u16,
    /// Once a server did less than a quarter of the base in a cell, do not run it there again
    #[arg(long)]
    skip_hopeless: bool,
    /// Which servers [default: all]
    #[arg(long, value_delimiter = ',')]
    servers: Vec<String>,
    /// The server that the others are compared with [default: newswire; newswire_shared for deflate, newswire_tls for tls]
    #[arg(long)]
    base: Option<String>,
    /// echo, tls: the server that shows what is possible, always run; `none` for none [default: raw; rustls for tls]
    #[arg(long)]
    floor: Option<String>,
    /// Where the figures go; table and chart go beside them, as .md and .svg [default: bench/results/QUESTION.json]
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Core of the server
    #[arg(long, default_value_t = 0)]
    server_core: usize,
    /// Core of the load
    #[arg(long, default_value_t = 1)]
    load_core: usize,
}

impl Arguments {
    fn jobs(&self) -> Vec<Job> {
        match self.question {
            Question::Echo if self.cells.is_empty() => {
                self.set.cells().into_iter().map(Job::Echo).collect()
            }
            Question::Echo => self.cells.iter().copied().map(Job::Echo).collect(),
            Question::Tls => {
                let cells = if self.cells.is_empty() {
                    Set::Tls.cells()
                } else {
                    self.cells.clone()
                };
                let encrypted = cells.into_iter().map(|cell| Cell {
                    kind: Kind::Tls,
                    ..cell
                });
                encrypted.map(Job::Echo).collect()
            }
            Question::Handshakes => vec![Job::Handshakes(self.at_a_time.into())],
            Question::Idle => vec![Job::Idle(self.connections.into())],
            Question::Deflate => {
                let cells = if self.cells.is_empty() {
                    Set::Deflate.cells()
                } else {
                    self.cells.clone()
                };
                let memory = Job::Talk(self.connections.into());
                let compressed = cells.into_iter().map(|cell| Cell {
                    kind: Kind::Deflate,
                    ..cell
                });
                compressed.map(Job::Echo).chain([memory]).collect()
            }
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    let question = arguments.question;
    let floor = arguments.floor.as_deref().unwrap_or(question.floor());
    let floor = Some(floor.to_owned()).filter(|f| f != "none" && question.has_floor());
    let (servers, missing) = servers::chosen(question, &arguments.servers, floor.as_deref())?;
    let base = arguments.base.as_deref().unwrap_or(question.base());
    for missing in &missing {
        eprintln!("left out: {missing}");
    }
    if !servers.iter().any(|server| server.name == base) {
        return Err(format!(
            "{base} is not among the servers, so nothing can be compared with it: see --base"
        )
        .into());
    }
    if arguments.server_core == arguments.load_core {
        return Err("the server and the load need a core each".into());
    }
    let json = arguments
        .json
        .clone()
        .unwrap_or_else(|| bench_directory().join(format!("results/{}.json", question.name())));
    let jobs = arguments.jobs();
    let rounds = arguments
        .rounds
        .unwrap_or(if question == Question::Idle { 3 } else { 5 });
    let facts = Facts::gather(
        servers
            .iter()
            .map(|server| (server.name.into(), server.version.clone()))
            .collect(),
    );
    pin(arguments.load_core)?;
    allow_connections(jobs.iter().map(|job| job.connections()).max().unwrap_or(0))?;

    let mut results = Results {
        facts,
        question,
        base: base.into(),
        floor,
        servers: servers.iter().map(|server| server.name.into()).collect(),
        missing,
        cells: jobs
            .iter()
            .filter(|job| job.has_column())
            .flat_map(|job| job.cells())
            .collect(),
        rounds,
        skips: arguments.skip_hopeless.then_some(HOPELESS),
        window_s: arguments.window.as_secs_f64(),
        runs: Vec::new(),
    };
    let turns: u32 = jobs.iter().map(|job| job.rounds(rounds)).sum();
    let total = turns as usize * servers.len();
    let mut number = 0;
    for round in 0..rounds {
        let now = |job: &&Job| round < job.rounds(rounds);
        for (row, &job) in jobs.iter().filter(now).enumerate() {
            for turn in 0..servers.len() {
                // Another order in each round and cell: whoever comes after a hungry neighbour is not always the same.
                let server = &servers[(turn + row + round as usize) % servers.len()];
                number += 1;
                let cells = job.cells();
                if cells
                    .iter()
                    .all(|cell| results.is_hopeless(server.name, cell))
                {
                    continue;
                }
                let measured = measure(server, job, arguments)
                    .map_err(|error| format!("{} at {}: {error}", server.name, cells[0]))?;
                for (cell, measured) in cells.into_iter().zip(measured) {
                    let run = Run {
                        server: server.name.into(),
                        cell,
                        round,
                        measured,
                    };
                    let progress = report::progress(question, &run);
                    eprintln!("[{number}/{total}] round {}: {progress}", round + 1);
                    results.runs.push(run);
                }
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
fn measure(server: &Chosen, job: Job, arguments: &Arguments) -> Result<Vec<Measured>> {
    let running = Server::start(&server.program, arguments.server_core)?;
    let plan = Plan {
        address: running.address,
        path: "/echo".into(),
        warm_up: arguments.warm_up,
        window: arguments.window,
        compares: server.is_websocket,
        server_pid: Some(running.pid()),
    };
    job.run(&plan, &running)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn jobs(arguments: &[&str]) -> Vec<String> {
        let arguments = [&["matrix"], arguments].concat();
        let jobs = Arguments::try_parse_from(arguments).unwrap().jobs();
        jobs.iter().flat_map(|job| job.cells()).collect()
    }

    #[test]
    fn the_full_set_is_five_sizes_in_each_of_four_shapes() {
        let full = jobs(&["--set", "full"]);
        assert_eq!(full.len(), 20);
        assert_eq!(
            full[..5],
            ["16x1x1", "128x1x1", "1Kx1x1", "16Kx1x1", "1Mx1x1"]
        );
        for shape in ["50x1", "50x16", "1000x1"] {
            assert!(full.contains(&format!("1Mx{shape}")), "{shape}");
        }
    }

    #[test]
    fn every_question_has_its_cells() {
        assert_eq!(
            jobs(&[]),
            ["128x50x1", "16Kx50x1", "128x50x16", "16Kx50x16"]
        );
        assert_eq!(jobs(&["--set", "text"]).len(), 8);
        assert!(jobs(&["--set", "text"]).contains(&"16Kx50x1:utf8".into()));
        assert_eq!(jobs(&["handshakes"]), ["32 at a time"]);
        assert_eq!(jobs(&["idle", "--connections", "50"])[0], "50, open");
        let deflate = jobs(&["deflate"]);
        assert_eq!(deflate[..2], ["128x50x1:deflate", "1Kx50x1:deflate"]);
        assert_eq!(deflate[6], "memory");
        let chosen = jobs(&["deflate", "--cells", "4Kx1x1"]);
        assert_eq!(chosen, ["4Kx1x1:deflate", "memory"]);
        let tls = jobs(&["tls"]);
        assert_eq!(tls.len(), 4);
        assert_eq!(tls[..2], ["128x50x1:tls", "16Kx50x1:tls"]);
        assert_eq!(jobs(&["tls", "--cells", "4Kx1x1"]), ["4Kx1x1:tls"]);
    }
}
