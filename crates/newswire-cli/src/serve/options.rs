//! The settings of `newswire serve`: their names, defaults and help. This is the one definition of
//! each: the flags, the environment, the configuration file and the reference are made of it
//! (`settings`). What they do is in the other files.

use super::compression::CompressionOptions;
use crate::values::{OrOff, bytes, some_time, time_or_off};
use bytesize::ByteSize;
use clap::Args;
use newswire::{Config, DeflateConfig};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

/// Serve an echo WebSocket, and a page to try it with
///
/// The page is at /, the echo at /echo: text comes back as text, binary as binary, and the
/// subprotocol echo-protocol is spoken when it is offered. GET /healthz answers "ok".
/// SIGINT and SIGTERM close every connection with code 1001 and end the server.
#[derive(Debug, Args)]
#[command(
    after_help = "Every flag but the last group is also a variable and a key of the file: \
                  NEWSWIRE_MAX_HEADERS=50 and max_headers = 50 are --max-headers 50. Flags win over \
                  variables, variables over the file."
)]
pub(crate) struct ServeOptions {
    #[command(flatten, next_help_heading = "Listening")]
    pub(super) listening: ListeningOptions,

    #[command(flatten, next_help_heading = "Files")]
    pub(super) files: FileOptions,

    #[command(flatten, next_help_heading = "Limits")]
    pub(super) limits: LimitOptions,

    #[command(flatten, next_help_heading = "Compression")]
    pub(super) compression: CompressionOptions,

    #[command(flatten, next_help_heading = "Running")]
    pub(super) running: RunningOptions,

    #[command(flatten, next_help_heading = "About the settings")]
    pub(super) about: AboutOptions,
}

/// Where it is reached.
#[derive(Debug, Args)]
pub(super) struct ListeningOptions {
    /// The name or address to listen on
    #[arg(long, default_value = "127.0.0.1", value_name = "NAME")]
    pub(super) host: String,

    /// The port to listen on; 0 takes a free one
    #[arg(short, long, default_value_t = 9998)]
    pub(super) port: u16,
}

/// What is served beside the echo.
#[derive(Debug, Args)]
pub(super) struct FileOptions {
    /// Serve the files of this directory instead of the page
    ///
    /// index.html stands for its directory. Symbolic links are followed as long as they stay within
    /// the directory. /echo and /healthz stay what they are.
    #[arg(short = 'd', long, value_name = "DIR")]
    pub(super) root: Option<PathBuf>,

    /// Serve hidden files of the directory too: those whose name, or that of a directory above,
    /// begins with a dot; what is in /.well-known is not hidden
    #[arg(long)]
    pub(super) root_hidden: bool,
}

/// What a peer may ask for, and for how long.
#[derive(Debug, Args)]
pub(super) struct LimitOptions {
    /// The largest message that is accepted
    #[arg(long, default_value = "64MiB", value_name = "SIZE")]
    max_message_size: ByteSize,

    /// How much may wait to be written to a connection before its handler waits too
    #[arg(long, default_value = "1MiB", value_name = "SIZE")]
    max_buffered: ByteSize,

    /// The largest head of a request
    #[arg(long, default_value = "16KiB", value_name = "SIZE")]
    max_head_size: ByteSize,

    /// How many header lines a request may have
    #[arg(long, default_value_t = 100, value_name = "N")]
    max_headers: usize,

    /// How long an opening handshake may take
    #[arg(long, default_value = "10s", value_parser = some_time, value_name = "TIME")]
    handshake_timeout: Duration,

    /// How long a closing handshake may take
    #[arg(long, default_value = "5s", value_parser = some_time, value_name = "TIME")]
    close_timeout: Duration,

    /// How long a peer may be silent; it is sent a ping at half of that time
    #[arg(long, default_value = "60s", value_parser = time_or_off, value_name = "TIME|off")]
    idle_timeout: OrOff<Duration>,
}

impl LimitOptions {
    /// The library's settings of a connection.
    pub(super) fn config(&self, deflate: DeflateConfig) -> Config {
        Config::new()
            .max_message_size(bytes(self.max_message_size))
            .max_buffered(bytes(self.max_buffered))
            .max_head_size(bytes(self.max_head_size))
            .max_headers(self.max_headers)
            .handshake_timeout(self.handshake_timeout)
            .close_timeout(self.close_timeout)
            .idle_timeout(self.idle_timeout.0)
            .deflate(deflate)
    }
}

/// The process.
#[derive(Debug, Args)]
pub(super) struct RunningOptions {
    /// How many threads handle connections; one for each core if it is not given
    #[arg(long, value_parser = workers, value_name = "N")]
    pub(super) workers: Option<NonZeroUsize>,

    /// Say more: every connection that ends
    #[arg(short, long)]
    pub(super) verbose: bool,
}

/// Where settings come from; these are none themselves.
#[derive(Debug, Args)]
pub(super) struct AboutOptions {
    /// Read settings from this TOML file; NEWSWIRE_CONFIG names it too
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,

    /// Say whether the settings are right, and end
    #[arg(long)]
    pub(super) check: bool,

    /// Print every setting with its value and where that comes from, as a file for --config, and end
    #[arg(long, conflicts_with = "check")]
    pub(super) print_config: bool,
}

/// A number of threads.
fn workers(text: &str) -> Result<NonZeroUsize, String> {
    text.parse::<NonZeroUsize>()
        .ok()
        .filter(|count| count.get() <= 1024)
        .ok_or_else(|| "write a number from 1 to 1024; one for each core is usual".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        options: ServeOptions,
    }

    fn config(flags: &str) -> Config {
        let arguments = ["serve"].into_iter().chain(flags.split_whitespace());
        let options = Cli::try_parse_from(arguments).unwrap().options;
        options.limits.config(options.compression.config().unwrap())
    }

    #[test]
    fn without_flags_the_limits_are_those_of_the_library() {
        let (ours, theirs) = (config(""), Config::new());
        assert_eq!(format!("{ours:?}"), format!("{theirs:?}"));
    }

    #[test]
    fn each_flag_is_a_setting() {
        let ours = config(
            "--max-message-size 1 --max-buffered 2 --max-head-size 3 --max-headers 4 \
             --handshake-timeout 5s --close-timeout 6s --idle-timeout 7s",
        );
        let theirs = Config::new()
            .max_message_size(1)
            .max_buffered(2)
            .max_head_size(3)
            .max_headers(4)
            .handshake_timeout(Duration::from_secs(5))
            .close_timeout(Duration::from_secs(6))
            .idle_timeout(Some(Duration::from_secs(7)));
        assert_eq!(format!("{ours:?}"), format!("{theirs:?}"));
        let (ours, theirs) = (
            config("--idle-timeout off"),
            Config::new().idle_timeout(None),
        );
        assert_eq!(format!("{ours:?}"), format!("{theirs:?}"));
    }
}
