//! The settings of `newswire serve`: their names, defaults and help. This is the one definition of
//! each: the flags, the environment, the configuration file and the reference are made of it
//! (`settings`). What they do is in the other files.

use super::compression::CompressionOptions;
use super::values::{
    Mode, address, byte_rate, message_rate, mode, network, origin, token, workers,
};
use crate::values::{OrOff, bytes, count_or_off, duration, some_time, time_or_off};
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

    #[command(flatten, next_help_heading = "TLS")]
    pub(super) tls: TlsOptions,

    #[command(flatten, next_help_heading = "Who may connect")]
    pub(super) admission: AdmissionOptions,

    #[command(flatten, next_help_heading = "Files and metrics")]
    pub(super) files: FileOptions,

    #[command(flatten, next_help_heading = "Connections")]
    pub(super) connections: ConnectionsOptions,

    #[command(flatten, next_help_heading = "Limits of a connection")]
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

    /// Listen on a Unix socket of this path instead
    ///
    /// One that a server has left there is taken over; it is removed when this server ends.
    #[cfg(unix)]
    #[arg(long, value_name = "PATH")]
    pub(super) unix: Option<PathBuf>,

    /// Who may connect to the Unix socket, as chmod's digits
    #[cfg(unix)]
    #[arg(long, default_value = "660", value_parser = mode, value_name = "MODE")]
    pub(super) unix_mode: Mode,

    /// A network of proxies in front that tell the truth about their clients, in Forwarded or
    /// X-Forwarded-For: 10.0.0.0/8, 192.0.2.7, or unix for the Unix socket; may be repeated
    #[arg(long, value_parser = network, value_name = "NETWORK")]
    pub(super) trusted_proxy: Vec<String>,

    /// Connections from trusted proxies begin with a header of the PROXY protocol, version 1 or 2
    #[arg(long)]
    pub(super) proxy_protocol: bool,
}

/// How it is encrypted.
#[derive(Debug, Args)]
pub(super) struct TlsOptions {
    /// Speak TLS with the certificate in this PEM file, those of its issuers behind it
    ///
    /// The files are read again when they change, and on SIGHUP; connections that are open stay.
    #[arg(long, value_name = "FILE")]
    pub(super) tls_cert: Option<PathBuf>,

    /// The private key of the certificate, in PEM
    #[arg(long, value_name = "FILE")]
    pub(super) tls_key: Option<PathBuf>,

    /// Speak TLS with a certificate that nobody has signed, made anew each time: for development
    #[arg(long)]
    pub(super) tls_self_signed: bool,

    /// Let in only clients with a certificate that an authority in this PEM file has issued
    #[arg(long, value_name = "FILE")]
    pub(super) tls_client_ca: Option<PathBuf>,

    /// Let in clients without a certificate too
    #[arg(long)]
    pub(super) tls_client_optional: bool,
}

/// Which clients are let in, and in which language.
#[derive(Debug, Args)]
pub(super) struct AdmissionOptions {
    /// Pages that may connect, by their origin, in which a * is any host below or any port:
    /// https://*.example.com, http://localhost:*; same for those of this server, any for all; may be
    /// repeated
    #[arg(long, default_value = "same", value_parser = origin, value_name = "ORIGIN")]
    pub(super) origin: Vec<String>,

    /// Let in pages without an origin, such as those opened from a file
    #[arg(long)]
    pub(super) allow_null_origin: bool,

    /// Let in only clients that send an Origin, as browsers do
    #[arg(long)]
    pub(super) require_origin: bool,

    /// A subprotocol that is spoken, the preferred one first; may be repeated
    #[arg(long, default_value = "echo-protocol", value_parser = token, value_name = "NAME")]
    pub(super) subprotocol: Vec<String>,

    /// Let in only clients that offer a subprotocol that is spoken
    #[arg(long)]
    pub(super) require_subprotocol: bool,

    /// Let in only clients that show one of the tokens in this file, a line each: in Authorization:
    /// Bearer TOKEN, or, as a page can, among the subprotocols as bearer.TOKEN; it is read again on
    /// SIGHUP
    #[arg(long, value_name = "FILE")]
    pub(super) token_file: Option<PathBuf>,
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

    /// Answer GET /metrics on this address, such as 127.0.0.1:9100, in Prometheus's text format
    #[arg(long, value_parser = address, value_name = "ADDRESS")]
    pub(super) metrics: Option<String>,
}

/// How many connections there may be, and how they end.
#[derive(Debug, Args)]
pub(super) struct ConnectionsOptions {
    /// How many connections there may be at once; not more than files may be open
    #[arg(long, default_value = "100000", value_parser = count_or_off::<usize>, value_name = "N|off")]
    pub(super) max_connections: OrOff<usize>,

    /// How many of them an address may have, or an IPv6 network of 64 bits
    #[arg(long, default_value = "off", value_parser = count_or_off::<u32>, value_name = "N|off")]
    pub(super) max_connections_per_address: OrOff<u32>,

    /// How many new connections an address may make in a second
    #[arg(long, default_value = "off", value_parser = count_or_off::<u32>, value_name = "N|off")]
    pub(super) max_connection_rate_per_address: OrOff<u32>,

    /// Over which time the connections are closed when the server ends, so that their clients do
    /// not all come back elsewhere at once
    #[arg(long, default_value = "0s", value_parser = duration, value_name = "TIME")]
    pub(super) shutdown_spread: Duration,
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

    /// How long a peer may leave unread what is sent to it [default: as --idle-timeout]
    #[arg(long, value_parser = time_or_off, value_name = "TIME|off")]
    write_timeout: Option<OrOff<Duration>>,

    /// How many messages a peer may send in a second; 20:100 for 100 at once and 20 a second after
    #[arg(long, default_value = "off", value_parser = message_rate, value_name = "N[:N]|off")]
    max_message_rate: OrOff<(u32, u32)>,

    /// How many bytes a peer may send in a second; 1MiB:8MiB for 8 MiB at once and 1 MiB a second
    /// after
    #[arg(long, default_value = "off", value_parser = byte_rate, value_name = "SIZE[:SIZE]|off")]
    max_receive_rate: OrOff<(u64, u64)>,
}

impl LimitOptions {
    /// The library's settings of a connection.
    pub(super) fn config(&self, deflate: DeflateConfig) -> Config {
        let mut config = Config::new()
            .max_message_size(bytes(self.max_message_size))
            .max_buffered(bytes(self.max_buffered))
            .max_head_size(bytes(self.max_head_size))
            .max_headers(self.max_headers)
            .handshake_timeout(self.handshake_timeout)
            .close_timeout(self.close_timeout)
            .idle_timeout(self.idle_timeout.0)
            .deflate(deflate);
        if let Some(OrOff(timeout)) = self.write_timeout {
            config = config.write_timeout(timeout);
        }
        if let OrOff(Some((messages, at_once))) = self.max_message_rate {
            config = config.max_message_rate(messages, at_once);
        }
        if let OrOff(Some((bytes, at_once))) = self.max_receive_rate {
            config = config.max_receive_rate(bytes, at_once);
        }
        config
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
             --handshake-timeout 5s --close-timeout 6s --idle-timeout 7s \
             --write-timeout 8s --max-message-rate 9:10 --max-receive-rate 1KiB",
        );
        let theirs = Config::new()
            .max_message_size(1)
            .max_buffered(2)
            .max_head_size(3)
            .max_headers(4)
            .handshake_timeout(Duration::from_secs(5))
            .close_timeout(Duration::from_secs(6))
            .idle_timeout(Some(Duration::from_secs(7)))
            .write_timeout(Some(Duration::from_secs(8)))
            .max_message_rate(9, 10)
            .max_receive_rate(1024, 1024);
        assert_eq!(format!("{ours:?}"), format!("{theirs:?}"));
        let (ours, theirs) = (
            config("--idle-timeout off"),
            Config::new().idle_timeout(None),
        );
        assert_eq!(format!("{ours:?}"), format!("{theirs:?}"));
    }

    #[test]
    fn a_timeout_can_be_off_and_a_rate_without_its_burst() {
        let ours = config("--write-timeout off --max-message-rate 7");
        let theirs = Config::new().write_timeout(None).max_message_rate(7, 7);
        assert_eq!(format!("{ours:?}"), format!("{theirs:?}"));
    }
}
