//! `newswire serve`: from settings to a server with its echo, and to a clean end. What the settings
//! are is in `options.rs`, where they come from in `settings`.

mod compression;
mod files;
mod options;
mod page;
mod settings;

use crate::exit_code::ExitCode;
use crate::output;
use files::Root;
use newswire::{Config, Route, Server, Shutdown, WebSocket};
use options::{ListeningOptions, ServeOptions};
pub(crate) use settings::ServeFlags;
use std::io::{self, IsTerminal};
use std::num::NonZeroUsize;
use tokio::runtime::{Builder, LocalOptions};
use tracing_appender::non_blocking::WorkerGuard;

/// Serves until a signal comes, or only says what the settings are.
pub(crate) fn run(flags: &ServeFlags) -> ExitCode {
    let resolved = settings::resolve(flags, |name| std::env::var_os(name));
    let prepared = resolved.and_then(|(options, settings)| {
        let parts = Parts::prepare(&options)?;
        Ok((options, settings, parts))
    });
    let (options, settings, parts) = match prepared {
        Ok(prepared) => prepared,
        Err(problems) => {
            for problem in problems {
                output::error(problem);
            }
            return ExitCode::Usage;
        }
    };
    if options.about.print_config {
        output::line(settings.to_string().trim_end());
        return ExitCode::Success;
    }
    if options.about.check {
        output::line("the settings are right");
        return ExitCode::Success;
    }
    let _log = log_to_stderr(options.running.verbose);
    let runtime = match Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())
    {
        Ok(runtime) => runtime,
        Err(error) => {
            output::error(format_args!("cannot start: {error}"));
            return ExitCode::Failure;
        }
    };
    runtime.block_on(serve(&options, parts))
}

/// What can be made of the settings before anything listens, so that `--check` finds what is wrong.
struct Parts {
    config: Config,
    root: Option<Root>,
}

impl Parts {
    /// # Errors
    /// Everything that is wrong, a line each.
    fn prepare(options: &ServeOptions) -> Result<Self, Vec<String>> {
        let mut problems = Vec::new();
        let deflate = options.compression.config();
        let deflate = deflate.map_err(|problem| problems.push(problem));
        let files = &options.files;
        let root = files.root.as_ref().map(|path| {
            Root::open(path, files.root_hidden).map_err(|error| {
                let path = path.display();
                problems.push(format!(
                    "cannot serve the directory {path}: {error}; see --root"
                ));
            })
        });
        match (deflate, root.transpose()) {
            (Ok(deflate), Ok(root)) => Ok(Self {
                config: options.limits.config(deflate),
                root,
            }),
            _ => Err(problems),
        }
    }
}

async fn serve(options: &ServeOptions, parts: Parts) -> ExitCode {
    let ListeningOptions { host, port } = &options.listening;
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let server = match Server::bind((bare, *port)).await {
        Ok(server) => server,
        Err(error) => {
            output::error(cannot_listen(&options.listening, &error));
            return ExitCode::CannotListen;
        }
    };
    let signal = match termination() {
        Ok(signal) => signal,
        Err(error) => {
            output::error(format_args!("cannot listen for signals: {error}"));
            return ExitCode::Failure;
        }
    };
    let workers = options.running.workers;
    let workers = workers
        .or_else(|| std::thread::available_parallelism().ok())
        .unwrap_or(NonZeroUsize::MIN);
    // One worker is this thread itself.
    let (server, threads) = if workers == NonZeroUsize::MIN {
        (server, "1 worker".to_owned())
    } else {
        match server.workers(workers).await {
            Ok(server) => (server, format!("{workers} workers")),
            Err(error) => {
                output::error(format_args!(
                    "cannot start {workers} workers: {error}; see --workers"
                ));
                return ExitCode::Failure;
            }
        }
    };
    let has_page = parts.root.is_none();
    let server = server
        .config(parts.config)
        .route("/echo", Route::new(echo).subprotocols(["echo-protocol"]))
        .fallback(page::router(parts.root));
    let addr = server.local_addr();
    output::line(format_args!(
        "newswire {}, {threads}",
        env!("CARGO_PKG_VERSION")
    ));
    let what = if has_page { "page " } else { "files" };
    output::line(format_args!("  {what} http://{addr}/"));
    output::line(format_args!("  echo  ws://{addr}/echo"));
    output::line("Press Ctrl-C to stop.");
    let Shutdown { open, cut, .. } = server.serve_until(signal).await;
    output::line(match (open, cut) {
        (0, _) => "stopped".to_owned(),
        (1, 0) => "stopped, 1 connection closed".to_owned(),
        (open, 0) => format!("stopped, {open} connections closed"),
        (open, cut) => format!("stopped, {open} connections closed, {cut} of them cut"),
    });
    ExitCode::Success
}

/// Sends back what it receives.
async fn echo(mut ws: WebSocket) -> newswire::Result {
    while let Some(message) = ws.recv().await? {
        ws.send(message).await?;
    }
    Ok(())
}

fn cannot_listen(options: &ListeningOptions, error: &io::Error) -> String {
    let ListeningOptions { host, port } = options;
    let advice = match error.kind() {
        io::ErrorKind::AddrInUse => {
            "the port is taken; choose another with --port, or --port 0 for a free one"
        }
        io::ErrorKind::PermissionDenied => {
            "not allowed; ports below 1024 usually need privileges, choose another with --port"
        }
        io::ErrorKind::AddrNotAvailable => {
            "this machine does not have that address; try --host 127.0.0.1"
        }
        _ => return format!("cannot listen on {host}:{port}: {error}; see --host and --port"),
    };
    format!("cannot listen on {host}:{port}: {advice}")
}

/// Ready at the first SIGINT or SIGTERM.
#[cfg(unix)]
fn termination() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(std::future::poll_fn(move |cx| {
        if interrupt.poll_recv(cx).is_ready() {
            return std::task::Poll::Ready(());
        }
        terminate.poll_recv(cx).map(|_| ())
    }))
}

/// Ready at the first Ctrl-C.
#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "the same shape as on Unix")]
fn termination() -> io::Result<impl Future<Output = ()>> {
    Ok(async {
        // Without Ctrl-C the process is ended from outside.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    })
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
