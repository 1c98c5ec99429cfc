//! The prompt as it is drawn, and how to stop that: the thread that draws it waits for a line and
//! cannot be ended, and what it draws last would be left behind. What is typed is not known here.

use super::color::{Color, Kind};
use rustyline::completion::Completer;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::validate::Validator;
use std::borrow::Cow;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// How long a prompt is waited for that may be about to be drawn.
const A_MOMENT: Duration = Duration::from_millis(30);

/// Draws the prompt for rustyline, as long as it is wanted.
pub(super) struct Prompt {
    color: Color,
    curtain: Arc<Curtain>,
}

/// Behind it nothing is drawn any more.
#[derive(Default)]
pub(super) struct Curtain {
    stage: Mutex<Stage>,
    changed: Condvar,
}

#[derive(Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Drawing,
    /// Who draws next stops there.
    Falling,
    /// Nobody draws any more.
    Fallen,
}

impl Prompt {
    pub(super) fn new(color: Color, curtain: Arc<Curtain>) -> Self {
        Self { color, curtain }
    }
}

impl Curtain {
    /// Nothing is drawn after this.
    pub(super) fn fall(&self) {
        let mut stage = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        if *stage == Stage::Drawing {
            *stage = Stage::Falling;
            // What is being drawn is drawn first: it may have passed the curtain already.
            drop(
                self.changed
                    .wait_timeout_while(stage, A_MOMENT, |stage| *stage == Stage::Falling),
            );
        }
    }

    /// There will be no further prompt.
    pub(super) fn end(&self) {
        *self.stage.lock().unwrap_or_else(PoisonError::into_inner) = Stage::Fallen;
        self.changed.notify_all();
    }

    /// Goes on unless the curtain has fallen.
    fn pass(&self) {
        if *self.stage.lock().unwrap_or_else(PoisonError::into_inner) != Stage::Drawing {
            self.end();
            loop {
                std::thread::park();
            }
        }
    }
}

impl Highlighter for Prompt {
    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(
        &'s self,
        prompt: &'p str,
        _default: bool,
    ) -> Cow<'b, str> {
        self.curtain.pass();
        let mark = prompt.trim_end();
        let rest = &prompt[mark.len()..];
        (self.color.paint(Kind::Sent, mark) + rest).into()
    }
}

impl Completer for Prompt {
    type Candidate = String;
}

impl Hinter for Prompt {
    type Hint = String;
}

impl Validator for Prompt {}

impl rustyline::Helper for Prompt {}
