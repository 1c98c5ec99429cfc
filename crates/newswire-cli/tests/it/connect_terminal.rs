//! `newswire connect` at a terminal: a pseudo-terminal with somebody who types.

use crate::support::{PATIENCE, Served, newswire, serve};
use rustix::fs::{Mode, OFlags, open};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};
use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A `newswire connect` at a terminal of its own, which is killed when it is dropped.
pub struct Terminal {
    child: Child,
    keyboard: File,
    device: File,
    screen: Arc<Mutex<String>>,
}

impl Terminal {
    pub fn new(server: &Served, flags: &[&str]) -> Self {
        Self::with(server, flags, "TERM", "xterm")
    }

    /// The same with this in the environment.
    fn with(server: &Served, flags: &[&str], variable: &str, value: &str) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let device = open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        let device = File::from(device);
        let end = || Stdio::from(device.try_clone().unwrap());
        let url = server.url("/echo");
        let mut command = newswire(&[&["connect", &url], flags].concat());
        command.env("TERM", "xterm").env(variable, value);
        let child = command.stdin(end()).stdout(end()).stderr(end());
        let child = child.spawn().unwrap();
        let keyboard = File::from(master);
        let screen: Arc<Mutex<String>> = Arc::default();
        let (mut from, to) = (keyboard.try_clone().unwrap(), Arc::clone(&screen));
        std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(len @ 1..) = from.read(&mut chunk) {
                to.lock()
                    .unwrap()
                    .push_str(&String::from_utf8_lossy(&chunk[..len]));
            }
        });
        Self {
            child,
            keyboard,
            device,
            screen,
        }
    }

    pub fn types(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until this is shown, and takes it from the screen with what was before it.
    #[track_caller]
    pub fn shows(&self, text: &str) {
        self.shows_in_any_order(&[text]);
    }

    #[track_caller]
    pub fn shows_in_any_order(&self, texts: &[&str]) {
        let start = Instant::now();
        loop {
            let mut screen = self.screen.lock().unwrap();
            let ends = texts
                .iter()
                .map(|text| Some(screen.find(text)? + text.len()));
            if let Some(ends) = ends.collect::<Option<Vec<_>>>() {
                screen.drain(..ends.into_iter().max().unwrap());
                return;
            }
            assert!(start.elapsed() < PATIENCE, "no {texts:?} in {screen:?}");
            drop(screen);
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }

    /// Its exit code, once it has ended and left the terminal as it was.
    #[track_caller]
    pub fn ends(&mut self) -> Option<i32> {
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(start.elapsed() < PATIENCE, "{:?}", self.screen.lock());
            std::thread::park_timeout(Duration::from_millis(5));
        };
        let modes = tcgetattr(&self.device).unwrap().local_modes;
        assert!(
            modes.contains(LocalModes::ECHO | LocalModes::ICANON),
            "{modes:?}"
        );
        status.code()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn what_is_typed_is_sent_and_what_comes_is_shown_above_the_prompt() {
    let server = serve(&[]);
    let mut terminal = Terminal::new(&server, &["--color", "never"]);
    terminal.shows("> ");
    terminal.types("hello\r");
    terminal.shows("< hello");
    // The arrow fetches it from the history, and it can be edited.
    terminal.types("\x1b[A, world\r");
    terminal.shows("< hello, world");
    terminal.types("//slash\r");
    terminal.shows("< /slash");
    terminal.types("/pung\r");
    terminal.shows("/pung is no command");
    terminal.shows("\x1b[K> ");
    terminal.types("/pong\r");
    terminal.shows("/pong");
    terminal.shows("> ");
    terminal.types("/ping are you there?\r");
    terminal.shows("pong are you there? after ");
    // What is pasted is one message, with its line breaks.
    terminal.types("\x1b[200~two\nlines\x1b[201~\r");
    terminal.shows("< two\r\nlines");
    terminal.types("/close 4000 that is all\r");
    terminal.shows("closed: 4000");
    assert_eq!(terminal.ends(), Some(0));
    // No prompt is drawn after the last word, which erases the one that there was.
    terminal.shows("\x1b[?2026l\x1b[?2004l\r\x1b[K");
    std::thread::park_timeout(Duration::from_millis(50));
    assert_eq!(*terminal.screen.lock().unwrap(), "");
}

#[test]
fn what_is_sent_comes_happens_or_is_wrong_has_a_colour_each() {
    let server = serve(&[]);
    let mut terminal = Terminal::new(&server, &[]);
    terminal.shows("\x1b[2mopen: /close or Ctrl-D closes it\x1b[0m");
    terminal.shows("\x1b[32m>\x1b[0m ");
    terminal.types("hello\r");
    terminal.shows("\x1b[36m<\x1b[0m hello");
    terminal.types("/pung\r");
    terminal.shows("\x1b[31mnewswire: /pung is no command");
    let mut terminal = Terminal::with(&server, &[], "NO_COLOR", "1");
    terminal.shows("open: /close");
    terminal.shows("> ");
    terminal.types("hello\r");
    terminal.shows("\x1b[K< hello");
    // Who asks for them has them.
    let terminal = Terminal::with(&server, &["--color", "always"], "NO_COLOR", "1");
    terminal.shows("\x1b[2mopen");
}

#[test]
fn the_answer_and_all_control_frames_are_shown_to_who_wants_to_see_them() {
    let server = serve(&["--idle-timeout", "400ms"]);
    let mut terminal = Terminal::new(&server, &["-v", "--color", "never"]);
    terminal.shows("  101 Switching Protocols");
    terminal.shows("  upgrade: websocket");
    // The server's own, which looks whether somebody is there.
    terminal.shows("\x1b[Kping 00000000");
    terminal.types("/close\r");
    terminal.shows("closed: 1000");
    assert_eq!(terminal.ends(), Some(0));
}

#[test]
fn control_d_and_control_c_close_it() {
    let server = serve(&[]);
    for key in ["\x04", "\x03"] {
        let mut terminal = Terminal::new(&server, &["--color", "never"]);
        terminal.shows("> ");
        terminal.types(key);
        assert_eq!(terminal.ends(), Some(0), "{key:?}");
    }
}

#[test]
fn a_server_that_ends_leaves_the_terminal_as_it_was() {
    let server = serve(&[]);
    let mut terminal = Terminal::new(&server, &["--color", "never"]);
    terminal.shows("> ");
    terminal.types("half a li");
    server.signal(Signal::TERM);
    terminal.shows("closed: 1001");
    assert_eq!(terminal.ends(), Some(0));
}

#[test]
fn an_interrupt_closes_a_connection_without_a_prompt() {
    let server = serve(&[]);
    let mut terminal = Terminal::new(&server, &["--json", "--wait", "off"]);
    terminal.shows("open");
    kill_process(Pid::from_child(&terminal.child), Signal::INT).unwrap();
    terminal.shows(r#""code":1000"#);
    assert_eq!(terminal.ends(), Some(0));
}
