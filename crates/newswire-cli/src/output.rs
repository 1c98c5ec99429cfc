//! What is said to people: results on standard output, errors in one line on standard error.

use crate::exit_code::ExitCode;
use std::fmt::Display;
use std::io::{ErrorKind, Write};

/// Writes a line to standard output at once. That nobody reads it is no error.
pub(crate) fn line(text: impl Display) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// Writes the one line that says what went wrong.
pub(crate) fn error(text: impl Display) {
    aside(signed(text));
}

/// Writes a line to standard error. That nobody reads it is no error.
pub(crate) fn aside(line: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// The text with who says it.
pub(crate) fn signed(text: impl Display) -> String {
    format!("newswire: {text}")
}

/// Writes a whole document to standard output. That its reader has enough of it is no error.
pub(crate) fn document(bytes: &[u8]) -> ExitCode {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(wrong) if wrong.kind() != ErrorKind::BrokenPipe => {
            error(format!("standard output: {wrong}"));
            ExitCode::Failure
        }
        _ => ExitCode::Success,
    }
}
