//! `hundred_thousand`: opens very many connections to newswire's echo server on this machine, echoes a message on each,
//! holds them, closes them, and writes what that took. One server and one load process if the limit of open files
//! allows it, else as many pairs of them as it needs. A load process is this program again, told what to do line by line.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitCode, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use load::{
    Facts, Idle, Kind, Plan, Program, Result, Server, Sources, allow_connections, bench_directory,
    memory_at_rest, most_connections, parse_duration,
};

/// The longest time that one phase may take.
const PHASE: Duration = Duration::from_secs(120);
/// Bytes of the message that each connection echoes.
const MESSAGE: usize = 128;

/// Hold very many connections to newswire on this machine
#[derive(Parser)]
struct Arguments {
    /// How many in all
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    connections: u32,
    /// How long they are held; the load answers no pings, and newswire sends one after 30 seconds of silence
    #[arg(long, default_value = "10s", value_parser = parse_duration)]
    hold: Duration,
    /// Which server: echo_NAME, as built beside this program
    #[arg(long, default_value = "newswire")]
    server: String,
    /// Connections of a server process at most [default: as the hard limit of open files allows]
    #[arg(long)]
    per_process: Option<usize>,
    /// Where the report goes [default: bench/results/hundred-thousand.md]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// For this program itself: load the server at this address
    #[arg(long, hide = true, requires = "pair")]
    load: Option<SocketAddr>,
    /// For this program itself: which of the pairs
    #[arg(long, hide = true)]
    pair: Option<u8>,
}

/// A load process, killed when this is dropped.
struct Load {
    child: Child,
    orders: Option<ChildStdin>,
    answers: Receiver<String>,
}

impl Load {
    fn start(address: SocketAddr, pair: usize, connections: usize) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["--load", &address.to_string()])
            .args(["--pair", &pair.to_string()])
            .args(["--connections", &connections.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let orders = child.stdin.take();
        let stdout = child.stdout.take().expect("stdout was asked to be a pipe");
        let (sender, answers) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(|line| line.ok()) {
                let _ = sender.send(line);
            }
        });
        Ok(Self {
            child,
            orders,
            answers,
        })
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // Both fail only if it has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Has all load processes do the same, at the same time, and returns how long that took.
fn all(loads: &mut [Load], order: &str) -> Result<Duration> {
    let began = Instant::now();
    for load in &mut *loads {
        let orders = load.orders.as_mut().ok_or("a load process has no stdin")?;
        writeln!(orders, "{order}")?;
    }
    for load in &*loads {
        let left = PHASE.saturating_sub(began.elapsed());
        let answer = load.answers.recv_timeout(left);
        if answer.as_deref() != Ok(order) {
            return Err(format!("{order}: a load process failed, or took over {PHASE:?}").into());
        }
    }
    Ok(began.elapsed())
}

/// A load process: does what each line of standard input says, and answers with the same line when it is done.
fn load(address: SocketAddr, pair: u8, connections: usize) -> Result<()> {
    allow_connections(connections)?;
    let plan = Plan {
        address,
        path: "/echo".into(),
        warm_up: Duration::ZERO,
        window: Duration::ZERO,
        compares: true,
        server_pid: None,
    };
    let mut idle = None;
    for order in std::io::stdin().lines() {
        let order = order?;
        match (order.as_str(), &mut idle) {
            ("open", None) => {
                idle = Some(Idle::open(
                    &plan,
                    Kind::Binary,
                    connections,
                    Some(Sources::new(pair)),
                )?)
            }
            ("echo", Some(idle)) => idle.echo(MESSAGE)?,
            ("close", idle) if idle.is_some() => {
                idle.take().map_or(Ok(()), Idle::close)?;
            }
            (other, _) => return Err(format!("cannot {other:?} now").into()),
        }
        println!("{order}");
    }
    Ok(())
}

/// What the load processes are told, or that it is time to wait, and what it is called.
const ORDERS: [(Option<&str>, &str); 4] = [
    (Some("open"), "opened"),
    (Some("echo"), "echoed 128 B each"),
    (None, "held"),
    (Some("close"), "closed"),
];

/// What the servers and the kernel have at one time, in bytes.
#[derive(Clone, Copy)]
struct State {
    /// Memory of all servers.
    servers: u64,
    /// `Slab`: where the kernel keeps sockets and what belongs to them.
    slab: u64,
    /// TCP sockets in use.
    sockets: u64,
}

impl State {
    /// Looks once the servers are at rest.
    fn of(servers: &[Server]) -> Result<Self> {
        let servers = servers.iter().map(|server| memory_at_rest(server.pid()));
        let servers = servers.sum::<Result<u64>>()?;
        let sockets = fs::read_to_string("/proc/net/sockstat")?;
        Ok(Self {
            servers,
            slab: number_after(&fs::read_to_string("/proc/meminfo")?, "Slab:", "")? * 1024,
            sockets: number_after(&sockets, "TCP:", "inuse")?,
        })
    }
}

/// The number after `field` in the line that begins with `name`; after the name itself if there is no field.
fn number_after(text: &str, name: &str, field: &str) -> Result<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let mut words = line.unwrap_or("").split_whitespace();
    if !field.is_empty() {
        words.find(|word| *word == field);
    }
    let number = words.next().and_then(|word| word.parse().ok());
    number.ok_or_else(|| format!("no number for {name} {field} in:\n{text}").into())
}

/// The Markdown.
fn report(
    facts: &Facts,
    server: &str,
    count: usize,
    pairs: usize,
    before: State,
    phases: &[(&str, Duration, State)],
) -> String {
    let mut out = format!(
        "# {count} connections on one machine\n\n{facts}\n\n\
         {pairs} × `echo_{server}`, each process on one thread and with a port of its own, and as many load processes, \
         because a process may have {} connections here at its limit of open files. Load and servers share the cores. \
         Each load process connects from loopback addresses of its own, opens and closes one connection after the other, \
         with opening and Close handshakes that are checked, and has 64 messages under way at a time.\n\n\
         | | seconds | sockets | bytes a connection: servers | kernel |\n\
         |---|---|---|---|---|\n",
        most_connections()
    );
    for (name, time, state) in phases {
        let each = |now: u64, before: u64| (now as f64 - before as f64) / count as f64;
        let _ = writeln!(
            out,
            "| {name} | {:.1} | {} | {:.0} | {:.0} |",
            time.as_secs_f64(),
            state.sockets,
            each(state.servers, before.servers),
            each(state.slab, before.slab),
        );
    }
    let _ = write!(
        out,
        "\nBytes are the growth since before the first connection, divided by {count}. The servers' memory is `Pss_Anon` \
         (heap and stacks). The kernel's is `Slab` of `/proc/meminfo`, where it keeps sockets and what belongs to them: for \
         both ends of a connection, as the load is on the same machine, and for whatever else this machine did meanwhile.\n"
    );
    out
}

fn run(arguments: &Arguments) -> Result<()> {
    let count = arguments.connections as usize;
    if let (Some(address), Some(pair)) = (arguments.load, arguments.pair) {
        return load(address, pair, count);
    }
    let most = arguments.per_process.unwrap_or(usize::MAX);
    let pairs = count.div_ceil(most.min(most_connections()).max(1));
    if pairs > 200 {
        return Err(
            format!("that would be {pairs} servers: raise the hard limit of open files").into(),
        );
    }
    // The first ones take what cannot be shared out evenly.
    let share = |pair: usize| count / pairs + usize::from(pair < count % pairs);
    allow_connections(share(0))?;

    let facts = Facts::gather(BTreeMap::new());
    let program = Program::built(&arguments.server)?;
    let cores = thread::available_parallelism()?.get();
    let mut servers = Vec::new();
    let mut loads = Vec::new();
    for pair in 0..pairs {
        let server = Server::start(&program, pair % cores)?;
        loads.push(Load::start(server.address, pair, share(pair))?);
        servers.push(server);
    }
    let before = State::of(&servers)?;
    let mut phases = Vec::new();
    for (order, name) in ORDERS {
        let time = match order {
            Some(order) => all(&mut loads, order)?,
            None => {
                thread::sleep(arguments.hold);
                arguments.hold
            }
        };
        eprintln!("{name}: {:.1} s", time.as_secs_f64());
        phases.push((name, time, State::of(&servers)?));
    }

    let report = report(&facts, &arguments.server, count, pairs, before, &phases);
    println!("{report}");
    let output = arguments.output.clone();
    let output = output.unwrap_or_else(|| bench_directory().join("results/hundred-thousand.md"));
    fs::write(&output, report)?;
    eprintln!("written: {}", output.display());
    Ok(())
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hundred_thousand: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_by_line_and_field() {
        let sockets = "sockets: used 9\nTCP: inuse 7 orphan 0 tw 3 alloc 8 mem 5\nTCP6: inuse 1\n";
        assert_eq!(number_after(sockets, "TCP:", "inuse").unwrap(), 7);
        assert_eq!(number_after(sockets, "TCP:", "mem").unwrap(), 5);
        assert_eq!(
            number_after("Slab:      1024 kB\n", "Slab:", "").unwrap(),
            1024
        );
        assert!(number_after(sockets, "TCP:", "gone").is_err());
        assert!(number_after(sockets, "UDP:", "mem").is_err());
    }

    #[test]
    fn the_report_divides_growth_by_connections() {
        let before = State {
            servers: 1000,
            slab: 0,
            sockets: 3,
        };
        let open = State {
            servers: 6000,
            slab: 80_000,
            sockets: 23,
        };
        let phases = [("opened", Duration::from_millis(1500), open)];
        let report = report(&Facts::default(), "x", 10, 2, before, &phases);
        assert!(
            report.contains("| opened | 1.5 | 23 | 500 | 8000 |"),
            "{report}"
        );
    }
}
