//! Colours for people: what was sent, what has come, what happens and what is wrong, told apart. Where
//! they are shown is decided here, what is written is not.

use crate::output;
use clap::ValueEnum;
use std::env;
use std::fmt::Display;
use std::io::{self, IsTerminal};

/// When there are colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum When {
    Auto,
    Always,
    Never,
}

/// Whether there are colours on one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Color(bool);

/// What a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Sent,
    Received,
    Notice,
    Error,
}

impl Color {
    pub(super) fn on_stdout(when: When) -> Self {
        Self::on(when, io::stdout().is_terminal())
    }

    pub(super) fn on_stderr(when: When) -> Self {
        Self::on(when, io::stderr().is_terminal())
    }

    fn on(when: When, is_terminal: bool) -> Self {
        // https://no-color.org: any value that is not empty.
        let unwanted = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let unable = env::var_os("TERM").is_some_and(|name| name == "dumb");
        Self(match when {
            When::Auto => is_terminal && !unwanted && !unable,
            When::Always => true,
            When::Never => false,
        })
    }

    /// Writes the one line that says what went wrong to standard error, as `output::error` does.
    pub(super) fn error(self, text: impl Display) {
        output::aside(self.paint(Kind::Error, &output::signed(text)));
    }

    /// The text in the colour of its kind (ECMA-48, SGR).
    pub(super) fn paint(self, kind: Kind, text: &str) -> String {
        if !self.0 {
            return text.to_owned();
        }
        let parameter = match kind {
            Kind::Sent => 32,
            Kind::Received => 36,
            Kind::Notice => 2,
            Kind::Error => 31,
        };
        format!("\x1b[{parameter}m{text}\x1b[0m")
    }
}
