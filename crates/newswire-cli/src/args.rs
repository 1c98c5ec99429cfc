//! The command line: commands, flags, their help. What they do is in each command's folder.

use crate::bench::BenchOptions;
use crate::completions::CompletionsOptions;
use crate::connect::ConnectOptions;
use crate::exit_code::ExitCode;
use crate::manual::ManualOptions;
use crate::output;
use crate::serve::ServeFlags;
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};

/// WebSocket server and tools
#[derive(Debug, Parser)]
#[command(
    name = "newswire",
    version,
    after_help = "Exit codes: 0 success, 1 failure, 2 wrong arguments or settings, 3 cannot listen, 4 a threshold was missed or what was expected did not come, 5 no address for the host's name, 6 nobody answers there, 7 no way through the proxy, 8 no TLS with the server, 9 the server opens no WebSocket, 10 the server breaks the protocol, 11 the connection ended without a Close frame, 12 the server closed with a code other than 1000 and 1001, 13 not done in time."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Serve(ServeFlags),
    Connect(Box<ConnectOptions>),
    Bench(Box<BenchOptions>),
    Completions(CompletionsOptions),
    #[command(name = "man")]
    Manual(ManualOptions),
}

/// All that the command line can be, for what is made of it: completions and manual pages.
pub(crate) fn program() -> clap::Command {
    Cli::command()
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
