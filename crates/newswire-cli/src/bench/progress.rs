//! Progress on standard error while a run goes on: a bar on a terminal, a line a second without
//! one when asked for. Results are not printed here.

use super::plan::Plan;
use super::report::{rounded, time_of};
use super::shared::{NEVER, Shared};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{IsTerminal, Write};
use std::sync::atomic::Ordering::Relaxed;

/// How often the numbers change.
const TERMINAL_EVERY: u64 = 250_000_000;
const LINE_EVERY: u64 = 1_000_000_000;

/// Where progress goes.
#[derive(Debug)]
pub(super) struct Progress {
    how: How,
    unit: &'static str,
    all: u64,
    last: u64,
    last_count: u64,
}

#[derive(Debug)]
enum How {
    Bar(ProgressBar),
    Lines,
    Nothing,
}

impl Progress {
    pub(super) fn new(plan: &Plan, verbose: bool) -> Self {
        let how = if std::io::stderr().is_terminal() {
            let bar = ProgressBar::new(1000);
            let style = ProgressStyle::with_template("{bar:30} {msg}")
                .expect("the template names two keys that there are");
            bar.set_style(style);
            How::Bar(bar)
        } else if verbose {
            How::Lines
        } else {
            How::Nothing
        };
        Self {
            how,
            unit: if plan.counts_handshakes() {
                "connections/s"
            } else {
                "messages/s"
            },
            all: plan.all() as u64,
            last: 0,
            last_count: 0,
        }
    }

    /// Shows how things are, when it is time to.
    pub(super) fn tick(&mut self, shared: &Shared) {
        let every = match self.how {
            How::Nothing => return,
            How::Bar(_) => TERMINAL_EVERY,
            How::Lines => LINE_EVERY,
        };
        let now = shared.now();
        let since = now - self.last;
        if since < every {
            return;
        }
        let count = match self.unit {
            "messages/s" => shared.messages.load(Relaxed),
            _ => shared.opened.load(Relaxed),
        };
        let rate = (count - self.last_count) as f64 * 1e9 / since as f64;
        (self.last, self.last_count) = (now, count);
        let (begin, end) = (shared.begin.load(Relaxed), shared.end.load(Relaxed));
        let (phase, done) = if begin == NEVER {
            ("opening", 0.0)
        } else if now < begin {
            ("warming up", 0.0)
        } else {
            (
                "measuring",
                (now - begin) as f64 / (end - begin).max(1) as f64,
            )
        };
        let errors = match shared.errors.load(Relaxed) {
            0 => String::new(),
            errors => format!(", {errors} errors"),
        };
        let text = format!(
            "{phase}: {} {}, {} of {} open{errors}",
            rounded(rate),
            self.unit,
            shared.open.load(Relaxed),
            self.all
        );
        match &self.how {
            How::Bar(bar) => {
                bar.set_position((done * 1000.0) as u64);
                bar.set_message(text);
            }
            How::Lines => {
                let at = time_of(now as f64 / 1e9);
                let _ = writeln!(std::io::stderr().lock(), "{at}  {text}");
            }
            How::Nothing => {}
        }
    }

    /// Takes the bar away, so that what follows stands alone.
    pub(super) fn finish(&self) {
        if let How::Bar(bar) = &self.how {
            bar.finish_and_clear();
        }
    }
}
