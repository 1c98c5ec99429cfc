//! `newswire connect`: opens a WebSocket, sends and receives on it. This file goes from the flags to
//! the exit code.
//!
//! ```text
//! options ─▶ input ─▶ session ─▶ printer ─▶ color
//!               │        └─▶ link, outlet, expect, failure
//!               └─▶ format, terminal ─▶ prompt
//! ```

mod color;
mod expect;
mod failure;
mod format;
mod input;
mod link;
mod options;
mod outlet;
mod printer;
mod prompt;
mod session;
mod terminal;

use crate::exit_code::ExitCode;
use crate::serve::signals::termination;
use failure::Failure;
use input::Input;
use link::Link;
use newswire::{Connector, WebSocket};
pub(crate) use options::ConnectOptions;
use printer::Printer;
use tokio::time::{Instant, timeout_at};

/// Connects, and says what came of it.
pub(crate) fn run(options: &ConnectOptions) -> ExitCode {
    let mut printer = Printer::new(options.talk.format(), options.url(), &options.talk.show);
    let ended = prepare_and_talk(options, &mut printer);
    printer.attach(None);
    match ended {
        Ok(()) => ExitCode::Success,
        Err(failure) => {
            printer.failed(&failure);
            failure.code
        }
    }
}

fn prepare_and_talk(options: &ConnectOptions, printer: &mut Printer) -> Result<(), Failure> {
    let usage = |wrong| Failure::new(ExitCode::Usage, wrong);
    let connector = options.connector().map_err(usage)?;
    let input = Input::new(&options.talk).map_err(usage)?;
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(ExitCode::Failure, format!("cannot start: {error}")))?
        .block_on(connect_and_talk(options, &connector, input, printer))
}

async fn connect_and_talk(
    options: &ConnectOptions,
    connector: &Connector,
    mut input: Input,
    printer: &mut Printer,
) -> Result<(), Failure> {
    let talk = &options.talk;
    let url = options.url();
    let deadline = talk.timeout.map(|timeout| Instant::now() + timeout);
    let no_signals = |error| Failure::new(ExitCode::Failure, format!("no signals: {error}"));
    let link = match options.policy() {
        Some(policy) => Link::again(connector, &url, policy),
        None => Link::once(connect(connector, &url, deadline).await?),
    };
    let interrupt = termination().map_err(no_signals)?;
    printer.attach(input.open(talk.format(), talk.show.color));
    session::talk(link, input, talk, deadline, interrupt, printer).await
}

async fn connect(
    connector: &Connector,
    url: &str,
    deadline: Option<Instant>,
) -> Result<WebSocket, Failure> {
    let connecting = connector.connect(url);
    Ok(match deadline {
        Some(deadline) => timeout_at(deadline, connecting)
            .await
            .map_err(|_| Failure::timeout("it is not open within --timeout"))??,
        None => connecting.await?,
    })
}
