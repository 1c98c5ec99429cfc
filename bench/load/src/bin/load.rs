//! `load`: loads one echo server that is already running and prints one line of JSON. For servers that are to be
//! compared, see `matrix`.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use load::{Cell, Plan, Result, drive, parse_duration, pin};

/// Load an echo server and check every reply
#[derive(Parser)]
struct Arguments {
    /// Where the server listens
    address: SocketAddr,
    /// The path to ask for
    #[arg(long, default_value = "/echo")]
    path: String,
    /// SIZExCONNECTIONSxDEPTH, with :ascii or :utf8 after it for text, :deflate for compressed JSON, :tls for TLS
    #[arg(long, default_value = "128x50x1")]
    cell: Cell,
    /// Load before the window, not counted
    #[arg(long, default_value = "300ms", value_parser = parse_duration)]
    warm_up: Duration,
    /// The time that counts
    #[arg(long, default_value = "1s", value_parser = parse_duration)]
    window: Duration,
    /// The server's process, to read its CPU time
    #[arg(long)]
    server_pid: Option<u32>,
    /// Do not look at what comes back, only count its bytes: for echo_raw
    #[arg(long)]
    count_only: bool,
    /// Core to run on
    #[arg(long)]
    core: Option<usize>,
}

fn run(arguments: Arguments) -> Result<()> {
    let Arguments {
        address,
        path,
        cell,
        warm_up,
        window,
        server_pid,
        count_only,
        core,
    } = arguments;
    core.map_or(Ok(()), pin)?;
    let plan = Plan {
        address,
        path,
        warm_up,
        window,
        compares: !count_only,
        server_pid,
    };
    let measurement = drive(&plan, cell)?;
    println!("{}", serde_json::to_string(&measurement)?);
    Ok(())
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}
