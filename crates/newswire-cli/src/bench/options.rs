//! The flags of `newswire bench`. Each load is a command of its own with just the flags that mean
//! something for it, so that none is ignored in silence. What they do is in the other files.

use super::values::{Sources, count, sources};
use crate::values::{duration, header, some_time};
use bytesize::ByteSize;
use clap::{Args, Subcommand};
use std::path::PathBuf;
use std::time::Duration;

/// Put load on a WebSocket server, and measure it
///
/// The server must send back what it is sent; every byte of it is checked. Results go to standard
/// output, progress to standard error when that is a terminal. Ctrl-C ends the run and prints what
/// there is.
#[derive(Debug, Args)]
#[command(
    subcommand_required = true,
    after_help = "Exit codes: 0 success, 1 a connection failed or a reply was wrong, 2 wrong arguments, 4 a threshold was missed."
)]
pub(crate) struct BenchOptions {
    #[command(subcommand)]
    pub(super) load: Load,
}

#[derive(Debug, Subcommand)]
pub(super) enum Load {
    Echo(EchoOptions),
    Connect(ConnectOptions),
    Idle(IdleOptions),
    Churn(ChurnOptions),
    Slow(SlowOptions),
    Storm(StormOptions),
}

/// Send messages, as many as come back or at a set rate
///
/// Without --rate the loop is closed: a connection sends the next message when one has come back.
/// That finds the most messages a second; its latencies are those of a server at its limit, and a
/// server that stops for a while is asked nothing meanwhile. With --rate the loop is open: messages
/// are due at set times, and latency is measured from the time a message was due, so that a stop
/// counts for every message that should have been sent. To keep those times a thread does not sleep
/// between messages that are less than a millisecond apart.
#[derive(Debug, Args)]
pub(super) struct EchoOptions {
    #[command(flatten)]
    pub(super) target: Target,
    #[command(flatten)]
    pub(super) messages: Messages,
    #[command(flatten)]
    pub(super) pace: Pace,
    #[command(flatten)]
    pub(super) window: Window,
    #[command(flatten)]
    pub(super) limits: Limits,
    #[command(flatten)]
    pub(super) report: ReportOptions,
}

/// Open and close connections, as many as the server takes
///
/// Each of the connections is opened, closed with code 1000 and opened again. The latency is that
/// of the handshake, from before the TCP connection to the verified response.
#[derive(Debug, Args)]
pub(super) struct ConnectOptions {
    #[command(flatten)]
    pub(super) target: Target,
    /// Drop the TCP connection instead of closing the WebSocket
    #[arg(long)]
    pub(super) no_close: bool,
    #[command(flatten)]
    pub(super) window: Window,
    #[command(flatten)]
    pub(super) limits: Limits,
    #[command(flatten)]
    pub(super) report: ReportOptions,
}

/// Open connections and hold them
///
/// With --pid the memory of the server is read before, once all are open, and at the end: the
/// difference of its anonymous memory by the number of connections is what one costs in the
/// process. What the kernel keeps for a socket is not in it.
#[derive(Debug, Args)]
pub(super) struct IdleOptions {
    #[command(flatten)]
    pub(super) target: Target,
    /// Messages that each connection sends and gets back before it idles
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(super) messages: u32,
    #[command(flatten)]
    pub(super) content: Content,
    #[command(flatten)]
    pub(super) window: Window,
    /// Fail if a connection costs more of the server's memory than this; needs --pid
    #[arg(long, value_name = "SIZE", requires = "pid")]
    pub(super) max_memory: Option<ByteSize>,
    #[command(flatten)]
    pub(super) errors: ErrorLimit,
    #[command(flatten)]
    pub(super) report: ReportOptions,
}

/// Connections that come, exchange some messages, and go
///
/// Each connection sends its messages evenly over its life, then closes and is replaced. The lives
/// begin spread over one lifetime.
#[derive(Debug, Args)]
pub(super) struct ChurnOptions {
    #[command(flatten)]
    pub(super) target: Target,
    /// How long a connection lives
    #[arg(long, default_value = "1s", value_parser = some_time, value_name = "TIME")]
    pub(super) lifetime: Duration,
    /// Messages that a connection sends in its life
    #[arg(long, default_value_t = 10, value_name = "N")]
    pub(super) messages: u32,
    #[command(flatten)]
    pub(super) content: Content,
    #[command(flatten)]
    pub(super) window: Window,
    #[command(flatten)]
    pub(super) limits: Limits,
    #[command(flatten)]
    pub(super) report: ReportOptions,
}

/// Connections that read slowly, beside ordinary ones
///
/// The slow ones send whatever the server takes and read at a set rate. The messages and latencies
/// that are reported are those of the ordinary ones, which are loaded as by `echo`.
#[derive(Debug, Args)]
pub(super) struct SlowOptions {
    #[command(flatten)]
    pub(super) target: Target,
    /// How many slow connections there are, beside those of --connections
    #[arg(long, default_value = "10", value_parser = count, value_name = "N")]
    pub(super) slow: u64,
    /// What a slow connection reads in a second
    #[arg(long, default_value = "10KiB", value_name = "SIZE")]
    pub(super) read_rate: ByteSize,
    #[command(flatten)]
    pub(super) messages: Messages,
    #[command(flatten)]
    pub(super) pace: Pace,
    #[command(flatten)]
    pub(super) window: Window,
    #[command(flatten)]
    pub(super) limits: Limits,
    #[command(flatten)]
    pub(super) report: ReportOptions,
}

/// Drop all connections at once and open them again
///
/// The time of a round runs from the drop until the last one is open again.
#[derive(Debug, Args)]
pub(super) struct StormOptions {
    #[command(flatten)]
    pub(super) target: Target,
    /// How many times
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..), value_name = "N")]
    pub(super) rounds: u32,
    /// How long the connections stay open before each round
    #[arg(long, default_value = "500ms", value_parser = duration, value_name = "TIME")]
    pub(super) pause: Duration,
    /// Fail if it takes longer than this until all are back
    #[arg(long, value_parser = some_time, value_name = "TIME")]
    pub(super) max_recovery: Option<Duration>,
    #[command(flatten)]
    pub(super) errors: ErrorLimit,
    #[command(flatten)]
    pub(super) report: ReportOptions,
}

/// Where to connect, and how.
#[derive(Clone, Debug, Args)]
pub(super) struct Target {
    /// The server, such as ws://127.0.0.1:9998/echo or wss://localhost:9998/echo
    pub(super) url: String,

    /// How many connections
    #[arg(short, long, default_value = "50", value_parser = count, value_name = "N")]
    pub(super) connections: u64,

    /// Threads that drive them; one is usually enough
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256), value_name = "N")]
    pub(super) threads: u16,

    /// Spread the opening of the connections over this time
    #[arg(long, default_value = "0s", value_parser = duration, value_name = "TIME")]
    pub(super) ramp: Duration,

    /// Connect from these addresses in turn: one, a range (127.0.0.2-127.0.0.9), or a list with
    /// commas. One address has about 28000 ports for one server
    #[arg(long, value_parser = sources, value_delimiter = ',', value_name = "ADDRESS")]
    pub(super) source: Vec<Sources>,

    /// Trust the authorities in this PEM file, and no others, with wss:
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    pub(super) ca: Option<PathBuf>,

    /// Take whatever certificate the server shows, with wss:
    #[arg(long)]
    pub(super) insecure: bool,

    /// Offer a subprotocol; may be repeated, the preferred one first
    #[arg(long, value_name = "NAME")]
    pub(super) subprotocol: Vec<String>,

    /// Send a header with the handshake, 'Name: value'; may be repeated
    #[arg(long, value_parser = header, value_name = "HEADER")]
    pub(super) header: Vec<(String, String)>,

    /// The longest time for a handshake, a close, or the last replies
    #[arg(long, default_value = "5s", value_parser = some_time, value_name = "TIME")]
    pub(super) timeout: Duration,
}

/// What a message is.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct Content {
    /// Bytes of payload in a message
    #[arg(short, long, default_value = "128B", value_parser = message_size, value_name = "SIZE")]
    pub(super) size: ByteSize,

    /// Send text
    #[arg(long)]
    pub(super) text: bool,

    /// Send binary messages; the default without --compression
    #[arg(long, conflicts_with = "text")]
    pub(super) binary: bool,

    /// Offer compression (permessage-deflate) and send JSON, as text unless --binary is given. What
    /// comes back is inflated and checked. A server that does not agree to it fails the run
    #[arg(long)]
    pub(super) compression: bool,
}

impl Content {
    pub(super) fn is_text(&self) -> bool {
        self.text || self.compression && !self.binary
    }
}

/// What is sent, and how many at a time.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct Messages {
    #[command(flatten)]
    pub(super) content: Content,

    /// Messages that a connection sends before it waits for one to come back
    #[arg(short = 'd', long, default_value = "1", value_parser = count, value_name = "N", conflicts_with = "rate")]
    pub(super) in_flight: u64,
}

/// The open loop.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct Pace {
    /// Send this many messages a second over all connections, whatever comes back
    #[arg(short, long, value_parser = count, value_name = "N")]
    pub(super) rate: Option<u64>,
}

/// The time that counts.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct Window {
    /// How long to measure
    #[arg(long, default_value = "10s", value_parser = some_time, value_name = "TIME")]
    pub(super) duration: Duration,

    /// Load before that, once all connections are open; it does not count
    #[arg(long, default_value = "1s", value_parser = duration, value_name = "TIME")]
    pub(super) warm_up: Duration,
}

/// What the results must be.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct Limits {
    /// Fail if the 99th percentile of the latency is higher
    #[arg(long, value_parser = some_time, value_name = "TIME")]
    pub(super) max_p99: Option<Duration>,

    /// Fail if there are fewer messages a second (connect: connections)
    #[arg(long, value_parser = count, value_name = "N")]
    pub(super) min_rate: Option<u64>,

    #[command(flatten)]
    pub(super) errors: ErrorLimit,
}

/// How much may go wrong.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct ErrorLimit {
    /// Connections that may fail or be closed by the server, and replies that may not come. Without
    /// it any of these makes the exit code 1; with it, too many make it 4
    #[arg(long, value_name = "N")]
    pub(super) max_errors: Option<u64>,
}

/// What to measure beside, and where results go.
#[derive(Clone, Debug, Args)]
pub(super) struct ReportOptions {
    /// The server's process, to read its CPU time and memory (Linux)
    #[arg(long, value_name = "PID")]
    pub(super) pid: Option<u32>,

    /// Write the results as JSON to a file; - for standard output, in place of the table
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,

    /// Write the latencies as an HdrHistogram percentile log, in milliseconds
    #[arg(long, value_name = "FILE")]
    pub(super) hdr: Option<PathBuf>,

    /// Draw the latencies by percentile
    #[arg(long, value_name = "FILE")]
    pub(super) svg: Option<PathBuf>,

    /// Without a terminal: a line of progress each second
    #[arg(short, long)]
    pub(super) verbose: bool,
}

/// A message that fits into memory a few times.
fn message_size(text: &str) -> Result<ByteSize, String> {
    let size: ByteSize = text.parse()?;
    if size > ByteSize::mib(64) {
        return Err("messages of up to 64MiB can be sent".to_owned());
    }
    Ok(size)
}
