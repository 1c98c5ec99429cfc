//! The flags of `newswire connect`, and the connector that they come to. What happens on the
//! connection is in `session`.

use super::color::When;
use super::expect::Pattern;
use super::format::Format;
use crate::values::{OrOff, bytes, header, some_time, time_or_off};
use bytesize::ByteSize;
use clap::{Args, ValueEnum};
use http::{HeaderName, HeaderValue};
use newswire::reconnect::Policy;
use newswire::tls::ClientTls;
use newswire::{Compression, Config, Connector, DeflateConfig, Proxy};
use std::path::PathBuf;
use std::time::Duration;

/// Open a WebSocket, and send and receive on it
///
/// Each line of standard input is sent as a message, once the connection is open, and each message
/// that comes is written to standard output as a line. With -x or --file these are sent instead, and
/// standard input is not read. When everything is sent and what is expected has come, the connection
/// is closed with code 1000.
///
/// At a terminal there is a prompt with a history, what comes is shown above it, and /ping,
/// /pong and /close 4000 reason are commands. Ctrl-D and Ctrl-C close the connection.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 success, 1 failure, 2 wrong arguments, 4 what was expected did not come, 5 the host's name has no address, 6 nobody answers there, 7 no way through the proxy, 8 no TLS with the server, 9 the server opens no WebSocket, 10 the server breaks the protocol, 11 the connection ended without a Close frame (1006), 12 the server closed with a code other than 1000 and 1001, 13 not done in time."
)]
pub(crate) struct ConnectOptions {
    /// Where to: ws://host:port/path, wss:// for TLS; ws:// may be left out
    pub(super) url: String,

    #[command(flatten)]
    pub(super) talk: Talk,
    #[command(flatten)]
    handshake: HandshakeOptions,
    #[command(flatten)]
    way: WayOptions,
    #[command(flatten)]
    again: ReconnectOptions,
    #[command(flatten)]
    limits: LimitOptions,
}

/// What is sent, and when it is over.
#[derive(Debug, Args)]
#[command(next_help_heading = "Messages")]
pub(super) struct Talk {
    /// Send this message; may be repeated
    #[arg(short = 'x', long = "execute", value_name = "MESSAGE")]
    pub(super) execute: Vec<String>,

    /// Send what is in this file as one message, after those of -x; may be repeated
    #[arg(long, value_name = "FILE")]
    pub(super) file: Vec<PathBuf>,

    #[command(flatten)]
    format: FormatOptions,

    /// Wait for a message that is this text, or that this /regular expression/ finds something in;
    /// may be repeated: they have to come in this order, others may come between them
    #[arg(long, value_name = "TEXT|/REGEX/")]
    pub(super) expect: Vec<Pattern>,

    /// Close as soon as so many messages have come
    #[arg(short = 'n', long, value_parser = clap::value_parser!(u64).range(1..), value_name = "N")]
    pub(super) count: Option<u64>,

    /// How long to go on receiving once everything is sent; off until the server closes
    /// [default: 1s; off with --expect and --count]
    #[arg(short = 'w', long, value_parser = time_or_off, value_name = "TIME|off")]
    pub(super) wait: Option<OrOff<Duration>>,

    /// How long all of it may take
    #[arg(long, value_parser = some_time, value_name = "TIME")]
    pub(super) timeout: Option<Duration>,

    /// Send a ping each time that this has passed
    #[arg(long, value_parser = some_time, value_name = "TIME")]
    pub(super) ping_interval: Option<Duration>,

    #[command(flatten)]
    pub(super) show: Show,
}

/// What is shown to people beside messages, and how.
#[derive(Debug, Args)]
pub(super) struct Show {
    /// Show the headers of the server's answer too, pings and pongs, and the close
    #[arg(short = 'v', long, conflicts_with = "json")]
    pub(super) verbose: bool,

    /// When to use colours; auto is at a terminal, unless NO_COLOR is set
    #[arg(long, value_enum, default_value_t = When::Auto, value_name = "auto|always|never", hide_possible_values = true, conflicts_with = "json")]
    pub(super) color: When,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Reconnection")]
struct ReconnectOptions {
    /// Open the connection again when it is lost, and try again when it cannot be opened
    ///
    /// What is still to be sent waits in its order. Before each attempt a random time is waited for,
    /// which may be longer each time. A server that closes with 1000 or 1008, or answers 401 or 403,
    /// is left alone. When it is given up, the exit code is that of what went wrong last.
    #[arg(long)]
    reconnect: bool,

    /// Give up after so many attempts that have led to no connection of 10 s [default: no limit]
    #[arg(long, requires = "reconnect", value_parser = clap::value_parser!(u32).range(1..), value_name = "N")]
    reconnect_attempts: Option<u32>,

    /// How long to wait before an attempt at most [default: 30s]
    #[arg(long, requires = "reconnect", value_parser = some_time, value_name = "TIME")]
    reconnect_max_delay: Option<Duration>,
}

/// How messages are written on the lines of input and output: one of these, or text.
#[derive(Debug, Args)]
#[group(multiple = false)]
struct FormatOptions {
    /// Send binary messages; what comes is written as it is, a line break after each message
    #[arg(long)]
    binary: bool,

    /// Send binary messages that are written in hexadecimal digits, and show what comes so
    #[arg(long)]
    hex: bool,

    /// Send binary messages that are written in Base64, and show what comes so
    #[arg(long)]
    base64: bool,

    /// Write each event as a line of JSON, and read messages, pings, pongs and closes so
    ///
    /// Read are {"type":"message","text":"hello"}, {"type":"message","base64":"aGVsbG8="},
    /// {"type":"ping","text":"are you there"}, {"type":"pong"} and
    /// {"type":"close","code":1000,"reason":"done"}. Written are open with the server's answer,
    /// message, ping, pong with round_trip_ms when it answers a ping, close, error, and with
    /// --reconnect lost and waiting.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Handshake")]
struct HandshakeOptions {
    /// A header to send, such as 'Cookie: a=b'; may be repeated
    #[arg(short = 'H', long, value_parser = header, value_name = "NAME: VALUE")]
    header: Vec<(String, String)>,

    /// The Origin to send, as a page there would
    #[arg(short = 'o', long, value_name = "ORIGIN")]
    origin: Option<String>,

    /// The Host to send, in place of the URL's
    #[arg(long, value_name = "HOST")]
    host: Option<String>,

    /// A subprotocol to offer, the preferred one first; may be repeated
    #[arg(short = 's', long, value_name = "NAME")]
    subprotocol: Vec<String>,

    /// Name and password to send (Authorization: Basic)
    #[arg(long, value_name = "NAME:PASSWORD", conflicts_with = "bearer")]
    auth: Option<String>,

    /// A token to send (Authorization: Bearer)
    #[arg(long, value_name = "TOKEN")]
    bearer: Option<String>,

    /// How many redirects are followed
    #[arg(long, default_value_t = 10, value_name = "N")]
    max_redirects: usize,

    /// Whether compression (permessage-deflate) is offered
    #[arg(long, value_enum, default_value_t = Switch::On, value_name = "on|off", hide_possible_values = true)]
    compression: Switch,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "The way there")]
struct WayOptions {
    /// Trust only servers whose certificate an authority in this PEM file has issued
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,

    /// Show the certificate in this PEM file to a server that asks for one
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,

    /// The private key of the certificate, in PEM
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,

    /// Take any certificate: for tests against a server of one's own
    #[arg(short = 'k', long, conflicts_with = "ca")]
    insecure: bool,

    /// The proxy to go through, as http://, https://, socks5:// or socks5h://host:port; none for no
    /// proxy [default: what HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY say]
    #[arg(long, value_name = "URL|none")]
    proxy: Option<String>,

    /// Connect to this Unix socket, whatever host the URL names
    #[cfg(unix)]
    #[arg(long, value_name = "PATH", conflicts_with = "proxy")]
    unix: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
struct LimitOptions {
    /// How long finding and reaching the host may take [default: as --handshake-timeout]
    #[arg(long, value_parser = some_time, value_name = "TIME")]
    connect_timeout: Option<Duration>,

    /// How long opening the connection may take, all steps together
    #[arg(long, default_value = "10s", value_parser = some_time, value_name = "TIME")]
    handshake_timeout: Duration,

    /// How long the closing handshake may take
    #[arg(long, default_value = "5s", value_parser = some_time, value_name = "TIME")]
    close_timeout: Duration,

    /// How long the server may be silent; it is sent a ping at half of that time
    #[arg(long, default_value = "60s", value_parser = time_or_off, value_name = "TIME|off")]
    idle_timeout: OrOff<Duration>,

    /// The largest message that is accepted
    #[arg(long, default_value = "64MiB", value_name = "SIZE")]
    max_message_size: ByteSize,
}

impl Talk {
    pub(super) fn format(&self) -> Format {
        match &self.format {
            FormatOptions { binary: true, .. } => Format::Binary,
            FormatOptions { hex: true, .. } => Format::Hex,
            FormatOptions { base64: true, .. } => Format::Base64,
            FormatOptions { json: true, .. } => Format::Json,
            _ => Format::Text,
        }
    }
}

impl ConnectOptions {
    /// The URL, with a scheme if it was given without.
    pub(super) fn url(&self) -> String {
        if self.url.contains("://") {
            self.url.clone()
        } else {
            format!("ws://{}", self.url)
        }
    }

    /// When to come back, with --reconnect.
    pub(super) fn policy(&self) -> Option<Policy> {
        let again = &self.again;
        let mut policy = again.reconnect.then(Policy::new)?;
        if let Some(attempts) = again.reconnect_attempts {
            policy = policy.max_attempts(attempts);
        }
        if let Some(delay) = again.reconnect_max_delay {
            policy = policy.max_delay(delay);
        }
        Some(policy)
    }

    /// The connector that the flags ask for.
    ///
    /// # Errors
    /// One line on the flag that is wrong, or on the file that it names.
    pub(super) fn connector(&self) -> Result<Connector, String> {
        let limits = &self.limits;
        let mut connector = self.way.apply(Connector::new())?.config(
            Config::new()
                .max_message_size(bytes(limits.max_message_size))
                .handshake_timeout(limits.handshake_timeout)
                .close_timeout(limits.close_timeout)
                .idle_timeout(limits.idle_timeout.0)
                .deflate(self.handshake.deflate()),
        );
        if let Some(timeout) = limits.connect_timeout {
            connector = connector.connect_timeout(timeout);
        }
        self.handshake.apply(connector)
    }
}

impl HandshakeOptions {
    fn deflate(&self) -> DeflateConfig {
        match self.compression {
            Switch::On => DeflateConfig::new(),
            Switch::Off => DeflateConfig::new().compression(Compression::Off),
        }
    }

    fn apply(&self, mut connector: Connector) -> Result<Connector, String> {
        for (name, value) in &self.header {
            let wrong = || format!("--header {name}: it has characters that no header can have");
            let name = HeaderName::try_from(name).map_err(|_| wrong())?;
            let value = HeaderValue::try_from(value).map_err(|_| wrong())?;
            connector = connector.header(name, value);
        }
        if let Some(origin) = &self.origin {
            connector = connector.origin(origin);
        }
        if let Some(host) = &self.host {
            connector = connector.host(host);
        }
        if let Some(auth) = &self.auth {
            let (name, password) = auth.split_once(':').ok_or_else(|| {
                "--auth: write name and password with a colon between them".to_owned()
            })?;
            connector = connector.basic(name, password);
        }
        if let Some(token) = &self.bearer {
            connector = connector.bearer(token);
        }
        Ok(connector
            .subprotocols(self.subprotocol.iter().map(String::as_str))
            .max_redirects(self.max_redirects))
    }
}

impl WayOptions {
    fn apply(&self, connector: Connector) -> Result<Connector, String> {
        let said = |error: &dyn std::fmt::Display| error.to_string();
        let mut tls = ClientTls::new();
        if self.insecure {
            tls = tls.dangerous().accept_any_certificate();
        }
        if let Some(ca) = &self.ca {
            tls = tls.ca_file(ca).map_err(|error| said(&error))?;
        }
        if let (Some(cert), Some(key)) = (&self.cert, &self.key) {
            tls = tls
                .identity_files(cert, key)
                .map_err(|error| said(&error))?;
        }
        let mut connector = connector.tls(tls);
        match self.proxy.as_deref() {
            Some("none") => connector = connector.proxy(Proxy::none()),
            Some(url) => {
                connector = connector.proxy(Proxy::all(url).map_err(|error| said(&error))?);
            }
            None => {}
        }
        #[cfg(unix)]
        if let Some(path) = &self.unix {
            connector = connector.unix(path);
        }
        Ok(connector)
    }
}
