//! What is said to people: results on standard output, errors in one line on standard error.

use std::fmt::Display;
use std::io::Write;

/// Writes a line to standard output at once. That nobody reads it is no error.
pub(crate) fn line(text: impl Display) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// Writes the one line that says what went wrong.
pub(crate) fn error(text: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "newswire: {text}");
}
