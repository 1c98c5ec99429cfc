//! `profile`: one server, one cell, under `perf` or `strace`, then what took the time, or the system calls a message.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use load::{Cell, Plan, Program, Result, Server, drive, parse_duration, pin};
use rustix::process::{Pid, Signal, kill_process};

/// Profile an echo server under load
#[derive(Parser)]
struct Arguments {
    /// Which server: echo_NAME, as built beside this program
    #[arg(default_value = "newswire")]
    server: String,
    /// SIZExCONNECTIONSxDEPTH, with :ascii or :utf8 after it for text, :deflate for compressed JSON
    #[arg(default_value = "128x50x16")]
    cell: Cell,
    /// The program that watches
    #[arg(long, value_enum, default_value = "perf")]
    with: Tool,
    /// How long
    #[arg(long, default_value = "5s", value_parser = parse_duration)]
    window: Duration,
    /// Record who called (by frame pointers: build everything with RUSTFLAGS="-C force-frame-pointers=yes")
    #[arg(long)]
    callers: bool,
    /// Where perf's samples go
    #[arg(long, value_name = "FILE", default_value = "/tmp/newswire-perf.data")]
    output: PathBuf,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Tool {
    /// Samples of the server's core: where the time goes, kernel included
    Perf,
    /// Counts of system calls; slows the server a lot, so only the counts mean something
    Strace,
}

/// A watching program, told to finish and waited for when this is dropped.
struct Watcher(Child);

impl Drop for Watcher {
    fn drop(&mut self) {
        // Ctrl-C is how both are told to write what they have.
        let _ = kill_process(Pid::from_child(&self.0), Signal::INT);
        let _ = self.0.wait();
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    pin(1)?;
    let server = Server::start(&Program::built(&arguments.server)?, 0)?;
    let pid = server.pid().to_string();
    let counts = arguments.output.with_extension("strace");
    let mut command = match arguments.with {
        Tool::Perf => {
            // The software clock: virtual machines often have no hardware counters.
            let mut command = Command::new("perf");
            command
                .args(["record", "-q", "-e", "cpu-clock", "-F", "4999", "-p", &pid])
                .arg("-o")
                .arg(&arguments.output);
            if arguments.callers {
                command.args(["--call-graph", "fp"]);
            }
            command
        }
        Tool::Strace => {
            let mut command = Command::new("strace");
            command
                .args(["-q", "-f", "-c", "-S", "calls", "-p", &pid])
                .arg("-o")
                .arg(&counts);
            command
        }
    };
    let watcher = command
        .stdin(Stdio::null())
        .spawn()
        .map_err(|error| format!("{:?}: {error}", command.get_program()))?;
    let watcher = Watcher(watcher);
    // Both need a moment to attach.
    thread::sleep(Duration::from_millis(500));
    let plan = Plan {
        address: server.address,
        path: "/echo".into(),
        warm_up: Duration::from_millis(300),
        window: arguments.window,
        compares: arguments.server != "raw",
        server_pid: Some(server.pid()),
    };
    let measurement = drive(&plan, arguments.cell)?;
    drop(watcher);
    drop(server);

    if arguments.with == Tool::Strace {
        println!(
            "{} messages in all, handshakes of {} connections\n",
            measurement.total, arguments.cell.connections
        );
        println!("{}", fs::read_to_string(&counts)?);
        return Ok(());
    }
    println!(
        "{:.0} messages per second of server CPU, as watched\n",
        measurement.per_cpu_second().unwrap_or_default()
    );
    println!("Share of all samples, by symbol:");
    report(arguments, &["-F", "overhead,dso,symbol"])?;
    println!("The same, by line, in the server's own program:");
    let program = format!("echo_{}", arguments.server);
    report(
        arguments,
        &[
            "--full-source-path",
            "--sort",
            "srcline",
            "--dsos",
            &program,
        ],
    )
}

fn report(arguments: &Arguments, what: &[&str]) -> Result<()> {
    let mut command = Command::new("perf");
    command.args(["report", "-q", "--stdio", "--no-children"]);
    command.args(["--percent-limit", "0.3"]).args(what);
    command.arg("-i").arg(&arguments.output);
    if !arguments.callers {
        command.args(["-g", "none"]);
    }
    // perf says on stderr only which of the system's own libraries have no line tables.
    let status = command.stderr(Stdio::null()).status()?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("perf report: {status}").into())
    }
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("profile: {error}");
            ExitCode::FAILURE
        }
    }
}
