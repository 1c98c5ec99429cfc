//! Writes what happens: messages to standard output, in JSON the other events too; for people, what
//! else is worth knowing above the prompt or to standard error.

use super::color::{Color, Kind};
use super::failure::{Failure, head};
use super::format::{self, Format, hex_encode, millis};
use super::link::{Event, Opening};
use super::options::Show;
use super::terminal::Terminal;
use crate::output;
use newswire::{CloseFrame, ControlFrame, Message, Side};
use serde_json::{Value, json};
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

/// Writes what happens.
pub(super) struct Printer {
    format: Format,
    url: String,
    /// Whether it is a terminal that is written to, which control characters could tell anything.
    is_terminal: bool,
    is_verbose: bool,
    stdout: Color,
    stderr: Color,
    /// Where a prompt is, above which things are printed.
    terminal: Option<Terminal>,
    /// Whether a connection was open.
    was_open: bool,
    /// Whether it was told that an attempt follows.
    has_waited: bool,
    /// How the last connection was lost, until another one is tried.
    lost: Option<String>,
}

impl Printer {
    pub(super) fn new(format: Format, url: String, show: &Show) -> Self {
        Self {
            format,
            url,
            is_terminal: io::stdout().is_terminal(),
            is_verbose: show.verbose,
            stdout: Color::on_stdout(show.color),
            stderr: Color::on_stderr(show.color),
            terminal: None,
            was_open: false,
            has_waited: false,
            lost: None,
        }
    }

    /// From now on there is a prompt, or none any more.
    pub(super) fn attach(&mut self, terminal: Option<Terminal>) {
        self.terminal = terminal;
    }

    /// Something has happened; `is_asked`: it is the answer to what somebody has typed.
    pub(super) fn event(&mut self, event: &Event, is_asked: bool) -> io::Result<()> {
        match event {
            Event::Message(message) => self.message(message),
            Event::Open(opening) => self.open(opening),
            Event::Control(frame) => self.control(frame, is_asked),
            Event::Lost {
                how,
                frame,
                repeats,
            } => self.lost(how, frame.as_ref(), *repeats),
            Event::Waiting {
                delay,
                attempts,
                why,
            } => self.waiting(*delay, *attempts, why),
        }
    }

    fn open(&mut self, opening: &Opening) -> io::Result<()> {
        let is_again = std::mem::replace(&mut self.was_open, true);
        if self.format == Format::Json {
            return json_line(&json!({
                "type": "open",
                "url": self.url,
                "subprotocol": opening.subprotocol,
                "extensions": opening.extensions,
                "answer": opening.response.as_ref().map(head),
            }));
        }
        if is_again {
            self.notice("open again")?;
        } else if self.terminal.is_some() {
            self.notice("open: /close or Ctrl-D closes it")?;
        } else if self.is_verbose || self.has_waited {
            self.notice("open")?;
        }
        match &opening.response {
            Some(response) if self.is_verbose => {
                let status = response.status();
                self.notice(&format!("  {status}"))?;
                response.headers().iter().try_for_each(|(name, value)| {
                    let value = String::from_utf8_lossy(value.as_bytes());
                    self.notice(&format!("  {name}: {value}"))
                })
            }
            _ => Ok(()),
        }
    }

    fn message(&mut self, message: &Message) -> io::Result<()> {
        let text = self.format.write(message);
        if let Some(terminal) = &mut self.terminal {
            let mark = self.stdout.paint(Kind::Received, "<");
            let text = visible(&String::from_utf8_lossy(&text));
            terminal.print(&format!("{mark} {text}"))
        } else if self.is_terminal {
            line(visible(&String::from_utf8_lossy(&text)).as_bytes())
        } else {
            line(&text)
        }
    }

    fn control(&mut self, frame: &ControlFrame, is_asked: bool) -> io::Result<()> {
        if self.format == Format::Json {
            return json_line(&format::control_frame(frame));
        }
        if !is_asked && !self.is_verbose {
            return Ok(());
        }
        self.notice(&in_words(frame))
    }

    fn lost(&mut self, how: &str, frame: Option<&CloseFrame>, repeats: bool) -> io::Result<()> {
        if self.format == Format::Json {
            return json_line(&json!({
                "type": "lost",
                "code": frame.map(|frame| u16::from(frame.code)),
                "reason": frame.map(|frame| &*frame.reason),
                "message": how,
                "repeats": repeats,
            }));
        }
        self.lost = Some(how.to_owned());
        self.notice(&format!("lost: {how}"))?;
        if repeats {
            self.notice("a message was on its way, and is sent again")?;
        }
        Ok(())
    }

    fn waiting(&mut self, delay: Duration, attempts: u32, why: &str) -> io::Result<()> {
        if self.format == Format::Json {
            return json_line(&json!({
                "type": "waiting",
                "delay_ms": millis(delay),
                "attempts": attempts,
                "message": why,
            }));
        }
        self.has_waited = true;
        let seconds = delay.as_secs_f64();
        match self.lost.take() {
            // It is said already.
            Some(how) if how == why => self.notice(&format!("trying again in {seconds:.1} s")),
            _ => self.notice(&format!("{why}; trying again in {seconds:.1} s")),
        }
    }

    /// Both ends have closed.
    pub(super) fn closed(&mut self, frame: &CloseFrame, by: Option<Side>) -> io::Result<()> {
        if self.format == Format::Json {
            return json_line(&json!({
                "type": "close",
                "code": u16::from(frame.code),
                "reason": &*frame.reason,
                "by": match by {
                    Some(Side::Local) => "client",
                    _ => "server",
                },
            }));
        }
        if self.terminal.is_some() || self.is_verbose {
            self.notice(&format!("closed: {frame}"))?;
        }
        Ok(())
    }

    /// It did not go as asked.
    pub(super) fn failed(&self, failure: &Failure) {
        if self.format == Format::Json {
            // It goes to standard error too.
            let _ = json_line(&failure.event());
        }
        self.stderr.error(failure);
    }

    /// Tells people something: above the prompt, or on standard error.
    fn notice(&mut self, text: &str) -> io::Result<()> {
        let text = visible(text);
        match &mut self.terminal {
            Some(terminal) => terminal.print(&self.stdout.paint(Kind::Notice, &text)),
            None => {
                let text = self.stderr.paint(Kind::Notice, &output::signed(text));
                output::aside(text);
                Ok(())
            }
        }
    }
}

/// A ping or pong for people.
fn in_words(frame: &ControlFrame) -> String {
    let (name, payload, round_trip) = match frame {
        ControlFrame::Ping(payload) => ("ping", payload, None),
        ControlFrame::Pong {
            payload,
            round_trip,
        } => ("pong", payload, *round_trip),
        other => return format!("{other:?}"),
    };
    let mut words = name.to_owned();
    if !payload.is_empty() {
        words.push(' ');
        match str::from_utf8(payload) {
            Ok(text) if !text.contains(char::is_control) => words.push_str(text),
            // Such as the number of an automatic ping.
            _ => words.push_str(&hex_encode(payload)),
        }
    }
    if let Some(round_trip) = round_trip {
        let millis = millis(round_trip);
        words.push_str(&format!(" after {millis:.3} ms"));
    }
    words
}

/// The text with its control characters, but for line breaks and tabs, made visible.
fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for char in text.chars() {
        if char.is_control() && !matches!(char, '\n' | '\t') {
            shown.extend(char.escape_default());
        } else {
            shown.push(char);
        }
    }
    shown
}

fn json_line(event: &Value) -> io::Result<()> {
    line(event.to_string().as_bytes())
}

fn line(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.write_all(b"\n")?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::{in_words, visible};
    use newswire::ControlFrame;

    #[test]
    fn a_ping_shows_its_text_or_its_bytes() {
        for (payload, words) in [
            (&b""[..], "ping"),
            (b"a b", "ping a b"),
            (b"\0\x1b", "ping 001b"),
        ] {
            assert_eq!(in_words(&ControlFrame::Ping(payload.into())), words);
        }
    }

    #[test]
    fn a_message_cannot_drive_the_terminal() {
        assert_eq!(visible("é\t\n\x1b[2J\r\u{9b}"), "é\t\n\\u{1b}[2J\\r\\u{9b}");
    }
}
