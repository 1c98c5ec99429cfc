//! Writes to standard output what happens: messages, and in JSON the other events too.

use super::failure::Failure;
use super::format::Format;
use super::terminal::Terminal;
use newswire::{CloseFrame, Message, Side, WebSocket};
use serde_json::{Value, json};
use std::io::{self, IsTerminal, Write};

/// Writes what happens.
pub(super) struct Printer {
    format: Format,
    /// Whether it is a terminal that is written to, which control characters could tell anything.
    is_terminal: bool,
    /// Where a prompt is, above which things are printed.
    terminal: Option<Terminal>,
}

impl Printer {
    pub(super) fn new(format: Format) -> Self {
        Self {
            format,
            is_terminal: io::stdout().is_terminal(),
            terminal: None,
        }
    }

    /// From now on there is a prompt, or none any more.
    pub(super) fn attach(&mut self, terminal: Option<Terminal>) {
        self.terminal = terminal;
    }

    /// The connection is open.
    pub(super) fn open(&mut self, url: &str, ws: &WebSocket) -> io::Result<()> {
        if let Some(terminal) = &mut self.terminal {
            return terminal.print("open: /close or Ctrl-D closes it");
        }
        self.event(&json!({
            "type": "open",
            "url": url,
            "subprotocol": ws.subprotocol(),
            "extensions": ws.deflate().map(|params| params.to_string()),
        }))
    }

    /// A message has come.
    pub(super) fn message(&mut self, message: &Message) -> io::Result<()> {
        let text = self.format.write(message);
        if let Some(terminal) = &mut self.terminal {
            terminal.print(&format!("< {}", visible(&String::from_utf8_lossy(&text))))
        } else if self.is_terminal {
            line(visible(&String::from_utf8_lossy(&text)).as_bytes())
        } else {
            line(&text)
        }
    }

    /// Both ends have closed.
    pub(super) fn closed(&mut self, frame: &CloseFrame, by: Option<Side>) -> io::Result<()> {
        if let Some(terminal) = &mut self.terminal {
            return terminal.print(&format!("closed: {}", visible(&frame.to_string())));
        }
        self.event(&json!({
            "type": "close",
            "code": u16::from(frame.code),
            "reason": &*frame.reason,
            "by": match by {
                Some(Side::Local) => "client",
                _ => "server",
            },
        }))
    }

    /// It did not go as asked.
    pub(super) fn failed(&self, failure: &Failure) {
        // It goes to standard error too.
        let _ = self.event(&failure.event());
    }

    fn event(&self, event: &Value) -> io::Result<()> {
        if self.format == Format::Json {
            line(event.to_string().as_bytes())?;
        }
        Ok(())
    }
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

fn line(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.write_all(b"\n")?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::visible;

    #[test]
    fn a_message_cannot_drive_the_terminal() {
        assert_eq!(visible("é\t\n\x1b[2J\r\u{9b}"), "é\t\n\\u{1b}[2J\\r\\u{9b}");
    }
}
