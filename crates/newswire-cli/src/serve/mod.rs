//! `newswire serve`: from settings to a server with its echo, and to a clean end. What the settings
//! are is in `options.rs`, where they come from in `settings`, what is made of them in `parts.rs`.

mod compression;
mod files;
mod listening;
mod metrics;
mod options;
mod page;
mod parts;
mod settings;
pub(crate) mod signals;
mod tokens;
mod values;

use crate::exit_code::ExitCode;
use crate::output;
use listening::{Inherited, Listening, Place};
use newswire::server::Metrics;
use newswire::{Route, Server, Shutdown, WebSocket};
use options::ServeOptions;
use parts::Parts;
use sd_notify::NotifyState;
pub(crate) use settings::ServeFlags;
use std::fmt::Display;
use std::future::ready;
use std::io::{self, IsTerminal};
use std::num::NonZeroUsize;
use std::time::Duration;
use tokio::runtime::{Builder, LocalOptions};
use tokio::task::spawn_local;
use tracing_appender::non_blocking::WorkerGuard;

/// How often it is looked whether certificates have changed.
const WATCH: Duration = Duration::from_secs(2);

/// How many connections there may be to the metrics.
const MAX_SCRAPES: usize = 64;

/// Serves until a signal comes, or only says what the settings are.
pub(crate) fn run(flags: &ServeFlags) -> ExitCode {
    let (options, settings) = match settings::resolve(flags, &settings::variables()) {
        Ok(resolved) => resolved,
        Err(problems) => return wrong(problems),
    };
    if options.about.print_config {
        output::line(settings.to_string().trim_end());
        return ExitCode::Success;
    }
    let parts = match Parts::prepare(&options) {
        Ok(parts) => parts,
        Err(problems) => return wrong(problems),
    };
    if options.about.check {
        output::line("the settings are right");
        return ExitCode::Success;
    }
    let served = Inherited::take()
        .map_err(Failure::cannot_listen)
        .and_then(|inherited| {
            let _log = log_to_stderr(options.running.verbose);
            let runtime = Builder::new_current_thread()
                .enable_all()
                .build_local(LocalOptions::default())
                .map_err(|error| Failure::of(format!("cannot start: {error}")))?;
            runtime.block_on(serve(&options, parts, inherited))
        });
    match served {
        Ok(()) => ExitCode::Success,
        Err(Failure { code, what }) => {
            output::error(what);
            code
        }
    }
}

/// Says what is wrong with the settings.
fn wrong(problems: Vec<String>) -> ExitCode {
    for problem in problems {
        output::error(problem);
    }
    ExitCode::Usage
}

/// Why nothing was served, in a line.
struct Failure {
    code: ExitCode,
    what: String,
}

impl Failure {
    fn of(what: String) -> Self {
        let code = ExitCode::Failure;
        Self { code, what }
    }

    fn cannot_listen(what: String) -> Self {
        let code = ExitCode::CannotListen;
        Self { code, what }
    }
}

async fn serve(options: &ServeOptions, parts: Parts, inherited: Inherited) -> Result<(), Failure> {
    let listening = listening::listen(&options.listening, inherited).await;
    let Listening {
        server,
        places,
        #[cfg(unix)]
            file: _file,
    } = listening.map_err(Failure::cannot_listen)?;
    let no_signals = |error| Failure::of(format!("cannot listen for signals: {error}"));
    let signal = signals::termination().map_err(no_signals)?;
    let (mut server, threads) = with_workers(server, options.running.workers).await?;
    let what = What {
        secure: parts.tls.is_some(),
        page: parts.root.is_none(),
    };
    read_again(options, &parts).map_err(no_signals)?;
    if let Some(tls) = parts.tls {
        server = server.tls(tls);
    }
    let mut echo = Route::new(echo)
        .origins(parts.origins)
        .subprotocols(parts.subprotocols);
    if let Some(tokens) = parts.tokens {
        echo = echo.authenticate(move |request| ready(tokens.judge(&request)));
    }
    server = with_limits(server, options)
        .config(parts.config)
        .trusted_proxies(parts.proxies)
        .proxy_protocol(options.listening.proxy_protocol)
        .route("/echo", echo)
        .fallback(page::router(parts.root));
    let version = env!("CARGO_PKG_VERSION");
    output::line(format_args!("newswire {version}, {threads}"));
    if let Some(address) = &options.files.metrics {
        serve_metrics(address, server.metrics()).await?;
    }
    for place in &places {
        what.say(place);
    }
    output::line("Press Ctrl-C to stop.");
    notify(NotifyState::Ready);
    let signal = async {
        signal.await;
        notify(NotifyState::Stopping);
    };
    let Shutdown { open, cut, .. } = server.serve_until(signal).await;
    output::line(match (open, cut) {
        (0, _) => "stopped".to_owned(),
        (1, 0) => "stopped, 1 connection closed".to_owned(),
        (open, 0) => format!("stopped, {open} connections closed"),
        (open, cut) => format!("stopped, {open} connections closed, {cut} of them cut"),
    });
    Ok(())
}

/// Sends back what it receives.
async fn echo(mut ws: WebSocket) -> newswire::Result {
    while let Some(message) = ws.recv().await? {
        ws.send(message).await?;
    }
    Ok(())
}

/// With as many threads as are asked for, and how many that are.
async fn with_workers(
    server: Server,
    asked: Option<NonZeroUsize>,
) -> Result<(Server, String), Failure> {
    let workers = asked
        .or_else(|| std::thread::available_parallelism().ok())
        .unwrap_or(NonZeroUsize::MIN);
    // One worker is this thread itself.
    if workers == NonZeroUsize::MIN {
        return Ok((server, "1 worker".to_owned()));
    }
    match server.workers(workers).await {
        Ok(server) => Ok((server, format!("{workers} workers"))),
        Err(error) => Err(Failure::of(format!(
            "cannot start {workers} workers: {error}; see --workers"
        ))),
    }
}

fn with_limits(mut server: Server, options: &ServeOptions) -> Server {
    let limits = &options.connections;
    if let Some(count) = parts::max_connections(limits.max_connections) {
        server = server.max_connections(count);
    }
    if let Some(count) = limits.max_connections_per_address.0 {
        server = server.max_connections_per_address(count);
    }
    if let Some(count) = limits.max_connection_rate_per_address.0 {
        server = server.max_connection_rate_per_address(count);
    }
    server.shutdown_spread(limits.shutdown_spread)
}

/// What there is to connect to, at each place.
struct What {
    secure: bool,
    page: bool,
}

impl What {
    fn say(&self, place: &Place) {
        let page = if self.page { "page " } else { "files" };
        match place {
            Place::Address(addr) => {
                let s = if self.secure { "s" } else { "" };
                output::line(format_args!("  {page} http{s}://{addr}/"));
                output::line(format_args!("  echo  ws{s}://{addr}/echo"));
            }
            #[cfg(unix)]
            Place::Unix(path) => {
                let path = path.display();
                output::line(format_args!("  {page} / on the Unix socket {path}"));
                output::line(format_args!("  echo  /echo on the Unix socket {path}"));
            }
        }
    }
}

/// Reads certificates again when they change, and all such files on SIGHUP. Without any, SIGHUP ends
/// the process, as when its terminal is closed.
fn read_again(options: &ServeOptions, parts: &Parts) -> io::Result<()> {
    fn tell(what: &str, result: Result<(), impl Display>) {
        match result {
            Ok(()) => output::line(format_args!("{what} read again")),
            Err(error) => tracing::error!("the {what} stay as they were: {error}"),
        }
    }
    let has_files = options.tls.tls_cert.is_some() || options.tls.tls_client_ca.is_some();
    let tls = parts.tls.clone().filter(|_| has_files);
    let tokens = parts.tokens.clone();
    if let Some(tls) = tls.clone() {
        spawn_local(async move {
            tls.watch(WATCH, |result| tell("certificates", result))
                .await
        });
    }
    if tls.is_some() || tokens.is_some() {
        spawn_local(signals::hang_ups(move || {
            if let Some(tls) = &tls {
                tell("certificates", tls.reload());
            }
            if let Some(tokens) = &tokens {
                tell("tokens", tokens.reload());
            }
        })?);
    }
    Ok(())
}

/// Answers with the metrics on an address of their own, until the process ends.
async fn serve_metrics(address: &str, metrics: Metrics) -> Result<(), Failure> {
    let server = Server::bind(address).await.map_err(|error| {
        let what = format!("cannot listen on {address} for metrics: {error}; see --metrics");
        Failure::cannot_listen(what)
    })?;
    let at = server.local_addr();
    output::line(format_args!("  metrics http://{at}/metrics"));
    let server = server.max_connections(MAX_SCRAPES);
    spawn_local(server.fallback(metrics::router(metrics)).serve());
    Ok(())
}

/// Tells systemd, if it has started this and wants to know.
fn notify(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!("cannot tell systemd: {error}");
    }
}

/// Log lines go through a queue that drops what standard error does not take in time, so that
/// a reader who has stopped cannot stop the server. What is queued is written when the guard is
/// dropped.
fn log_to_stderr(verbose: bool) -> WorkerGuard {
    let level = if verbose {
        tracing::Level::DEBUG
    } else {
        tracing::Level::WARN
    };
    let (writer, guard) = tracing_appender::non_blocking(io::stderr());
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_target(false)
        .with_ansi(io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
        .with_writer(writer)
        // That nobody reads the log is no reason to fail.
        .log_internal_errors(false)
        .init();
    guard
}
