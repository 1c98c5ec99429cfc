//! What there is to send: the messages of the command line, and the lines of standard input, which
//! a thread reads since nothing else can wait for them.

use super::color::When;
use super::format::{Command, Format};
use super::options::Talk;
use super::terminal::Terminal;
use std::io::{BufRead, BufReader};
use tokio::sync::mpsc;

/// What is sent: all of these, then what comes through the channel until it ends.
#[derive(Debug)]
pub(super) struct Input {
    pub(super) first: Vec<Command>,
    /// Whether somebody types them.
    pub(super) is_terminal: bool,
    pub(super) lines: Option<mpsc::Receiver<Result<Command, String>>>,
}

impl Input {
    /// Reads what the flags name; standard input only when they name nothing.
    ///
    /// # Errors
    /// One line on the flag that is wrong, or on the file that it names.
    pub(super) fn new(talk: &Talk) -> Result<Self, String> {
        let format = talk.format();
        let mut first = Vec::new();
        for message in &talk.execute {
            let command = format.read(message.as_bytes());
            first.push(command.map_err(|error| format!("-x {message:?}: {error}"))?);
        }
        for path in &talk.file {
            let wrong = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
            let content = std::fs::read(path).map_err(|error| wrong(&error))?;
            let message = format.read_file(&content).map_err(|error| wrong(&error))?;
            first.push(Command::Send(message));
        }
        Ok(Self {
            first,
            is_terminal: false,
            lines: None,
        })
    }

    /// Reads standard input from now on, unless there is something to send already.
    /// The terminal is where it comes from when somebody sits there.
    pub(super) fn open(&mut self, format: Format, when: When) -> Option<Terminal> {
        if !self.first.is_empty() {
            return None;
        }
        if format != Format::Json
            && let Some((terminal, lines)) = Terminal::open(format, when)
        {
            self.is_terminal = true;
            self.lines = Some(lines);
            return Some(terminal);
        }
        self.lines = Some(standard_input(format));
        None
    }
}

/// The lines of standard input, until its end or the first that is wrong.
fn standard_input(format: Format) -> mpsc::Receiver<Result<Command, String>> {
    let (sender, receiver) = mpsc::channel(16);
    // It may wait for a line for ever: the process ends without waiting for it.
    std::thread::spawn(move || {
        let mut stdin = BufReader::new(std::io::stdin().lock());
        let mut line = Vec::new();
        for number in 1_u64.. {
            line.clear();
            let command = match stdin.read_until(b'\n', &mut line) {
                Ok(0) => return,
                Ok(_) => format
                    .read(without_end(&line))
                    .map_err(|error| format!("line {number} of standard input: {error}")),
                Err(error) => Err(format!("standard input: {error}")),
            };
            let is_last = command.is_err();
            if sender.blocking_send(command).is_err() || is_last {
                return;
            }
        }
    });
    receiver
}

fn without_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}
