//! The command line: commands, flags, their help. What they do is in each command's folder.

use crate::bench::BenchOptions;
use crate::exit_code::ExitCode;
use crate::output;
use crate::serve::CompressionOptions;
use bytesize::ByteSize;
use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};
use std::num::NonZeroUsize;

/// WebSocket server and tools
#[derive(Debug, Parser)]
#[command(
    name = "newswire",
    version,
    after_help = "Exit codes: 0 success, 1 failure, 2 wrong arguments, 3 cannot listen, 4 a threshold was missed."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Serve(ServeOptions),
    Bench(Box<BenchOptions>),
}

/// Serve an echo WebSocket, and a page to try it with
///
/// The page is at /, the echo at /echo: text comes back as text, binary as binary, and the
/// subprotocol echo-protocol is spoken when it is offered. GET /healthz answers "ok".
/// SIGINT and SIGTERM close every connection with code 1001 and end the server.
#[derive(Debug, Args)]
pub(crate) struct ServeOptions {
    /// The name or address to listen on
    #[arg(long, default_value = "127.0.0.1", value_name = "NAME")]
    pub(crate) host: String,

    /// The port to listen on; 0 takes a free one
    #[arg(short, long, default_value_t = 9998)]
    pub(crate) port: u16,

    /// The largest message that is accepted
    #[arg(long, default_value = "64MiB", value_name = "SIZE")]
    pub(crate) max_message_size: ByteSize,

    /// How many threads handle connections; one for each core if it is not given
    #[arg(long, value_parser = workers, value_name = "N")]
    pub(crate) workers: Option<NonZeroUsize>,

    #[command(flatten)]
    pub(crate) compression: CompressionOptions,

    /// Say more: every connection that ends
    #[arg(short, long)]
    pub(crate) verbose: bool,
}

/// A number of threads.
fn workers(text: &str) -> Result<NonZeroUsize, String> {
    text.parse::<NonZeroUsize>()
        .ok()
        .filter(|count| count.get() <= 1024)
        .ok_or_else(|| "write a number from 1 to 1024; one for each core is usual".to_owned())
}

/// Reads the arguments. When there is nothing to run, help was shown or what is wrong was
/// said, and the code is given.
pub(crate) fn parse() -> Result<Command, ExitCode> {
    match Cli::try_parse() {
        Ok(cli) => Ok(cli.command),
        Err(error) => {
            if matches!(
                error.kind(),
                ErrorKind::DisplayHelp
                    | ErrorKind::DisplayVersion
                    | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
            ) {
                let _ = error.print();
                return Err(if error.use_stderr() {
                    ExitCode::Usage
                } else {
                    ExitCode::Success
                });
            }
            output::error(one_line(&error.render().to_string()));
            Err(ExitCode::Usage)
        }
    }
}

/// The first paragraph and the tips of a clap error, in one line.
fn one_line(error: &str) -> String {
    let mut parts = Vec::new();
    for line in error.lines().map(str::trim) {
        if line.starts_with("Usage:") || line.starts_with("For more information") {
            break;
        }
        if !line.is_empty() {
            parts.push(line.trim_start_matches("error: "));
        }
    }
    format!("{} (try --help)", parts.join("; "))
}
