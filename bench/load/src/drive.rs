//! The run: open the connections, warm up, measure a window, drain. One thread, polling without ever sleeping, so that
//! a server's send never pays for waking its client.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};
use serde::{Deserialize, Serialize};

use crate::connection::Connection;
use crate::process::cpu_time;
use crate::traffic::Traffic;
use crate::{Cell, Result, handshake};

/// Read at once at most; more than any server here sends in one turn of ours.
const READ_BUFFER: usize = 512 * 1024;
/// Longest time without a single reply.
const STALL: Duration = Duration::from_secs(5);
/// The part of a window that the server must have had a core for. Below it, what others ran on that core, and the
/// scheduler's tick, would be much of the figure.
const MIN_CPU: f64 = 0.25;
/// How many windows a server on a busy machine is given to reach that.
const MAX_WINDOWS: u32 = 30;

/// What to run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where the server listens.
    pub address: SocketAddr,
    /// The path to ask for.
    pub path: String,
    /// Sizes and numbers.
    pub cell: Cell,
    /// Load before the window, not counted.
    pub warm_up: Duration,
    /// The time that counts, at least: if the server had a core for less than a quarter of it, the window goes on until
    /// it had, up to thirty times as long.
    pub window: Duration,
    /// Whether replies are compared with what they should be. Only their number and length count for a floor, which is
    /// no WebSocket server.
    pub compares: bool,
    /// The server's process, whose CPU time is read at both ends of the window.
    pub server_pid: Option<u32>,
}

/// What one run gave. All but `total` is of the window alone.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Measurement {
    /// Replies received.
    pub messages: u64,
    /// Replies received from the first to the last, window or not: every message sent has been answered.
    pub total: u64,
    /// Replies of which every payload byte was compared, first to last. Headers are compared always, unless nothing is.
    pub compared: u64,
    /// Length of the window as it was.
    pub wall_s: f64,
    /// CPU time of the server.
    pub server_cpu_s: Option<f64>,
    /// CPU time of this process.
    pub load_cpu_s: f64,
    /// Median time from a write to its reply, at depth 1.
    pub p50_us: Option<f64>,
    /// 99th percentile of the same.
    pub p99_us: Option<f64>,
}

impl Measurement {
    /// Messages per second of server CPU: the figure that servers are compared by.
    pub fn per_cpu_second(&self) -> Option<f64> {
        self.server_cpu_s
            .filter(|seconds| *seconds > 0.0)
            .map(|seconds| self.messages as f64 / seconds)
    }
}

/// The counters at one end of the window.
struct Mark {
    at: Instant,
    received: u64,
    server_cpu: Option<Duration>,
    load_cpu: Duration,
}

impl Mark {
    fn new(plan: &Plan, received: u64) -> Result<Self> {
        let server_cpu = plan.server_pid.map(cpu_time).transpose()?;
        Ok(Self {
            server_cpu,
            load_cpu: cpu_time(std::process::id())?,
            received,
            at: Instant::now(),
        })
    }

    fn server_cpu_since(&self, start: &Self) -> Option<Duration> {
        self.server_cpu
            .zip(start.server_cpu)
            .map(|(end, start)| end.saturating_sub(start))
    }
}

/// Loads the server as `plan` says and checks every reply.
///
/// # Errors
/// When a connection cannot be opened or closes, nothing comes for five seconds, or any reply is not the echo it should
/// be. A run with an error has no figures.
pub fn drive(plan: &Plan) -> Result<Measurement> {
    let traffic = Traffic::new(plan.cell);
    let mut poll = Poll::new()?;
    let mut connections = Vec::with_capacity(plan.cell.connections);
    for id in 0..plan.cell.connections {
        let stream =
            handshake::connect(plan.address, &plan.path).map_err(|error| about(id, &error))?;
        let mut stream = mio::net::TcpStream::from_std(stream);
        poll.registry().register(
            &mut stream,
            Token(id),
            Interest::READABLE | Interest::WRITABLE,
        )?;
        connections.push(Connection::new(
            stream,
            plan.compares,
            id as u64,
            plan.cell.depth,
        ));
    }

    let mut buffer = vec![0; READ_BUFFER];
    let mut events = Events::with_capacity(plan.cell.connections.clamp(64, 4096));
    let mut latencies: Vec<u32> = Vec::new();
    let (mut received, mut compared) = (0, 0);
    let (mut opened, mut closed): (Option<Mark>, Option<Mark>) = (None, None);
    let begun = Instant::now();
    let mut last_reply = begun;
    let mut window = plan.window;

    loop {
        let now = Instant::now();
        match (&opened, &closed) {
            (None, _) if now - begun >= plan.warm_up => opened = Some(Mark::new(plan, received)?),
            (Some(mark), None) if now - mark.at >= window => {
                let end = Mark::new(plan, received)?;
                let had_cpu = end
                    .server_cpu_since(mark)
                    .is_none_or(|cpu| cpu >= plan.window.mul_f64(MIN_CPU));
                if had_cpu {
                    closed = Some(end);
                    connections.iter_mut().for_each(Connection::owe_no_more);
                } else if window < plan.window * MAX_WINDOWS {
                    window += plan.window / 4;
                } else {
                    return Err(format!("in {window:?} the server had less than {:?} of its core: the machine is too busy", plan.window.mul_f64(MIN_CPU)).into());
                }
            }
            (_, Some(_)) if connections.iter().all(Connection::is_idle) => break,
            _ if now - last_reply > STALL => {
                return Err(format!("no reply for {STALL:?}, after {received} replies").into());
            }
            _ => {}
        }

        if let Err(error) = poll.poll(&mut events, Some(Duration::ZERO))
            && error.kind() != std::io::ErrorKind::Interrupted
        {
            return Err(error.into());
        }
        for event in &events {
            let id = event.token().0;
            let connection = &mut connections[id];
            let replies = connection
                .receive(&traffic, &mut buffer)
                .map_err(|error| about(id, &error))?;
            if replies.completed > 0 {
                last_reply = now;
                received += replies.completed;
                compared += replies.compared;
                if plan.cell.depth == 1 && opened.is_some() && closed.is_none() {
                    latencies.push(
                        connection
                            .written_at()
                            .elapsed()
                            .as_nanos()
                            .try_into()
                            .unwrap_or(u32::MAX),
                    );
                }
                if closed.is_none() {
                    connection.owe(replies.completed as usize);
                }
            }
            connection
                .send(&traffic)
                .map_err(|error| about(id, &error))?;
        }
    }

    let (opened, closed) = opened
        .zip(closed)
        .expect("the loop ends only after both marks");
    latencies.sort_unstable();
    let percentile = |p: usize| {
        latencies
            .get(latencies.len() * p / 100)
            .map(|&ns| f64::from(ns) / 1e3)
    };
    Ok(Measurement {
        messages: closed.received - opened.received,
        total: received,
        compared,
        wall_s: (closed.at - opened.at).as_secs_f64(),
        server_cpu_s: closed
            .server_cpu_since(&opened)
            .map(|cpu| cpu.as_secs_f64()),
        load_cpu_s: (closed.load_cpu - opened.load_cpu).as_secs_f64(),
        p50_us: percentile(50),
        p99_us: percentile(99),
    })
}

fn about(id: usize, error: &crate::Error) -> crate::Error {
    format!("connection {id}: {error}").into()
}
