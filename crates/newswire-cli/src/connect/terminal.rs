//! A person at a terminal: a line that can be edited, with a history, and what comes printed above
//! it. What a line asks for is the session's to do.

use super::color::{Color, When};
use super::format::{Command, Format};
use super::prompt::{Curtain, Prompt};
use newswire::{CloseCode, CloseFrame};
use rustyline::config::Config;
use rustyline::history::MemHistory;
use rustyline::{Editor, ExternalPrinter};
use std::io::{self, IsTerminal};
use std::sync::Arc;
use tokio::sync::mpsc;

const HELP: &str = "/ping [text], /pong [text], /close [code [reason]]; a message that begins with a slash: //text";

/// The most that a ping or pong carries: RFC 6455 §5.5.
const MAX_PING: usize = 125;

type Lines = mpsc::Receiver<Result<Command, String>>;

/// The terminal, above whose prompt things are printed. Dropping it leaves the terminal as it was.
pub(super) struct Terminal {
    printer: Box<dyn ExternalPrinter + Send>,
    curtain: Arc<Curtain>,
    #[cfg(unix)]
    before: Option<rustix::termios::Termios>,
}

impl Terminal {
    /// Prompts for lines from now on, if there is somebody to ask.
    pub(super) fn open(format: Format, when: When) -> Option<(Self, Lines)> {
        if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            return None;
        }
        #[cfg(unix)]
        let before = rustix::termios::tcgetattr(io::stdin()).ok();
        // Passwords and tokens are typed here: the history ends with the process.
        let config = Config::builder().build();
        let history = MemHistory::with_config(&config);
        let mut editor = Editor::<Prompt, MemHistory>::with_history(config, history).ok()?;
        let curtain = Arc::<Curtain>::default();
        let color = Color::on_stdout(when);
        editor.set_helper(Some(Prompt::new(color, Arc::clone(&curtain))));
        let printer = Box::new(editor.create_external_printer().ok()?);
        let (sender, receiver) = mpsc::channel(16);
        let terminal = Self {
            printer,
            curtain: Arc::clone(&curtain),
            #[cfg(unix)]
            before,
        };
        // It waits for a line until the process ends.
        std::thread::spawn(move || {
            // Ctrl-D and Ctrl-C end it, and so does a terminal that is gone.
            while let Ok(line) = editor.readline("> ") {
                // That a line is not kept is no reason to end.
                let _ = editor.add_history_entry(line.as_str());
                match command(&line, format) {
                    Ok(command) => {
                        if sender.blocking_send(Ok(command)).is_err() {
                            break;
                        }
                    }
                    Err(wrong) => Color::on_stderr(when).error(wrong),
                }
            }
            curtain.end();
        });
        Some((terminal, receiver))
    }

    /// Prints a line above the prompt.
    pub(super) fn print(&mut self, line: &str) -> io::Result<()> {
        self.printer
            .print(format!("{line}\n"))
            .map_err(io::Error::other)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // One line waits while the line before it is printed: what was printed before these is on
        // the terminal when both are taken.
        let _ = self.print_nothing().and_then(|()| self.print_nothing());
        self.curtain.fall();
        #[cfg(unix)]
        if let Some(before) = &self.before {
            use rustix::termios::{OptionalActions, tcsetattr};
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
        }
        // Nothing is left behind: no prompt, no paste that is marked as such, no screen that waits
        // for all of an update.
        let _ = io::Write::write_all(&mut io::stdout(), b"\x1b[?2026l\x1b[?2004l\r\x1b[K");
    }
}

impl Terminal {
    fn print_nothing(&mut self) -> rustyline::Result<()> {
        // The line that this begins is where it is already.
        self.printer.print("\x1b[A\n".to_owned())
    }
}

/// What a line asks for that was typed.
fn command(line: &str, format: Format) -> Result<Command, String> {
    let Some(rest) = line.strip_prefix('/') else {
        return format.read(line.as_bytes());
    };
    if rest.starts_with('/') {
        return format.read(rest.as_bytes());
    }
    let (name, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    match name {
        "ping" | "pong" if rest.len() > MAX_PING => {
            Err(format!("a {name} has at most {MAX_PING} bytes"))
        }
        "ping" => Ok(Command::Ping(rest.into())),
        "pong" => Ok(Command::Pong(rest.into())),
        "close" => close(rest.trim()),
        _ => Err(format!("/{name} is no command: {HELP}")),
    }
}

fn close(rest: &str) -> Result<Command, String> {
    let (code, reason) = rest.split_once(' ').unwrap_or((rest, ""));
    let code = match code {
        "" => CloseCode::NORMAL,
        code => code
            .parse::<u16>()
            .map_err(|_| format!("{code:?} is no close code: /close 4000 reason"))?
            .into(),
    };
    CloseFrame::new(code, reason).map_err(|error| error.to_string())?;
    Ok(Command::Close(code, reason.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(line: &str) -> Result<Command, String> {
        command(line, Format::Text)
    }

    #[test]
    fn a_line_with_a_slash_is_a_command() {
        assert_eq!(
            typed("hello /ping"),
            Ok(Command::Send("hello /ping".into()))
        );
        assert_eq!(typed("//ping"), Ok(Command::Send("/ping".into())));
        assert_eq!(typed("/ping"), Ok(Command::Ping(vec![])));
        assert_eq!(typed("/ping a b"), Ok(Command::Ping(b"a b".to_vec())));
        assert_eq!(typed("/pong"), Ok(Command::Pong(vec![])));
        assert_eq!(typed("/pong alive"), Ok(Command::Pong(b"alive".to_vec())));
        let close = |code: u16, reason: &str| Ok(Command::Close(code.into(), reason.to_owned()));
        assert_eq!(typed("/close"), close(1000, ""));
        assert_eq!(typed("/close 4000"), close(4000, ""));
        assert_eq!(typed("/close 4000 that is all"), close(4000, "that is all"));
    }

    #[test]
    fn a_command_that_cannot_be_says_why() {
        let long = format!("/ping {}", "x".repeat(126));
        for (line, part) in [
            ("/pung", "/close"),
            ("/", "/ping"),
            ("/close x", "4000"),
            ("/close 1005", "1005"),
            (long.as_str(), "125"),
        ] {
            let wrong = typed(line).unwrap_err();
            assert!(wrong.contains(part), "{line}: {wrong}");
        }
    }
}
