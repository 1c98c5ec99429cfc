//! `newswire connect`: opens a WebSocket, sends and receives on it. This file goes from the flags to
//! the exit code.
//!
//! ```text
//! options ─▶ input ─▶ session ─▶ printer
//!               └─▶ format, └─▶ expect, failure
//!                   terminal
//! ```

mod expect;
mod failure;
mod format;
mod input;
mod options;
mod printer;
mod session;
mod terminal;

use crate::exit_code::ExitCode;
use crate::output;
use crate::serve::signals::termination;
use failure::Failure;
use input::Input;
use newswire::Connector;
pub(crate) use options::ConnectOptions;
use printer::Printer;
use tokio::time::{Instant, timeout_at};

/// Connects, and says what came of it.
pub(crate) fn run(options: &ConnectOptions) -> ExitCode {
    let mut printer = Printer::new(options.talk.format());
    let ended = prepare_and_talk(options, &mut printer);
    printer.attach(None);
    match ended {
        Ok(()) => ExitCode::Success,
        Err(failure) => {
            printer.failed(&failure);
            output::error(&failure);
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
    let connecting = connector.connect(&url);
    let ws = match deadline {
        Some(deadline) => timeout_at(deadline, connecting)
            .await
            .map_err(|_| Failure::timeout("it is not open within --timeout"))??,
        None => connecting.await?,
    };
    let interrupt = termination()
        .map_err(|error| Failure::new(ExitCode::Failure, format!("no signals: {error}")))?;
    printer.attach(input.open(talk.format()));
    // That nobody reads it shows with the first message.
    let _ = printer.open(&url, &ws);
    session::talk(ws, input, talk, deadline, interrupt, printer).await
}
