//! `newswire connect --reconnect`: what it keeps and says while there is no connection, and when it
//! gives up.

use crate::connect::{connect, connect_with, events, ok};
use crate::connect_ends::{accept, nobody, open};
use crate::connect_terminal::Terminal;
use crate::support::{PATIENCE, Served, newswire, serve, serve_by};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Stdio;
use std::time::Instant;

/// Reconnection that loses no time.
const QUICK: [&str; 3] = ["--reconnect", "--reconnect-max-delay", "20ms"];

/// A server at this address, where none is.
fn serve_at(addr: SocketAddr) -> Served {
    let port = addr.port().to_string();
    serve_by(newswire(&["serve", "--port", &port]))
}

/// A server that opens a WebSocket on each connection that comes, and does with it what is next.
fn serve_each(mut steps: Vec<Box<dyn FnOnce(TcpStream) + Send>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    steps.reverse();
    std::thread::spawn(move || {
        while let Some(step) = steps.pop() {
            let (mut stream, _) = listener.accept().unwrap();
            let (_, accept) = accept(&stream);
            open(&mut stream, &accept);
            step(stream);
        }
    });
    format!("ws://{addr}/")
}

/// Sends this and hangs up.
fn send(bytes: &'static [u8]) -> Box<dyn FnOnce(TcpStream) + Send> {
    Box::new(move |mut stream| {
        stream.write_all(bytes).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    })
}

#[test]
fn json_says_when_it_is_lost_tried_again_and_open_again() {
    let url = serve_each(vec![
        send(b"\x81\x03one"),
        // RFC 6455 §7.4.1: 1001, the server goes down.
        send(b"\x88\x05\x03\xe9bye"),
        send(b"\x81\x03two\x88\x02\x03\xe8"),
    ]);
    let (code, stdout, stderr) =
        connect(&[&[&url, "--json", "--wait", "off"], &QUICK[..]].concat());
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    let mut events = events(&stdout);
    for event in &mut events {
        if event["type"] == "open" {
            assert_eq!(event["answer"]["status"], 101);
            *event = json!("open");
        }
        if event["type"] == "waiting" {
            assert!(event["delay_ms"].take().as_f64().unwrap() <= 20.0);
        }
        event["message"]
            .as_str()
            .inspect(|text| assert!(!text.is_empty()));
        if let Some(message) = event.get_mut("message") {
            message.take();
        }
    }
    let waiting = |attempts| json!({"type": "waiting", "delay_ms": null, "attempts": attempts, "message": null});
    let lost = |code: Option<u16>, reason: Option<&str>| json!({"type": "lost", "code": code, "reason": reason, "message": null, "repeats": false});
    assert_eq!(
        events,
        [
            json!("open"),
            json!({"type": "message", "text": "one"}),
            lost(None, None),
            waiting(1),
            json!("open"),
            lost(Some(1001), Some("bye")),
            waiting(2),
            json!("open"),
            json!({"type": "message", "text": "two"}),
            json!({"type": "close", "code": 1000, "reason": "", "by": "server"}),
        ]
    );
}

#[test]
fn what_is_written_while_the_server_is_away_is_sent_in_order_when_it_is_back() {
    let server = serve(&[]);
    let addr = server.addr;
    let url = server.url("/echo");
    let arguments = [
        &["connect", &url, "-n", "5", "--timeout", "20s"],
        &QUICK[..],
    ]
    .concat();
    let mut child = newswire(&arguments).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut stderr = BufReader::new(child.stderr.take().unwrap()).lines();
    stdin.write_all(b"one\n").unwrap();
    assert_eq!(stdout.next().unwrap().unwrap(), "one");
    drop(server);
    // It has noticed, and tries in vain.
    let mut said = (&mut stderr).map(Result::unwrap);
    assert!(said.any(|line| line.contains("lost: ")));
    assert!(said.any(|line| line.contains("cannot connect") && line.contains("trying again in")));
    stdin.write_all(b"two\nthree\n").unwrap();
    std::thread::spawn(move || stderr.for_each(drop));
    let _server = serve_at(addr);
    stdin.write_all(b"four\nfive\n").unwrap();
    for expected in ["two", "three", "four", "five"] {
        assert_eq!(stdout.next().unwrap().unwrap(), expected);
    }
    drop(stdin);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_server_that_is_started_late_is_waited_for() {
    let addr = nobody();
    let url = format!("ws://{addr}/echo");
    let arguments = [&["connect", &url, "-x", "hello", "-n", "1"], &QUICK[..]].concat();
    let mut child = newswire(&arguments).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(stderr.next().unwrap().unwrap().contains("trying again"));
    let _server = serve_at(addr);
    assert!(stderr.any(|line| line.unwrap() == "newswire: open"));
    let mut stdout = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut stdout)
        .unwrap();
    assert_eq!(
        (child.wait().unwrap().code(), stdout.as_str()),
        (Some(0), "hello\n")
    );
}

#[test]
fn much_more_than_the_outbox_holds_comes_back_in_order() {
    let server = serve(&[]);
    let input: String = (0..3000)
        .map(|n| format!("{n} {}\n", "x".repeat(1000)))
        .collect();
    let url = server.url("/echo");
    let (code, stdout, stderr) = connect_with(
        &[&[&url, "-n", "3000"], &QUICK[..]].concat(),
        input.as_bytes(),
    );
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert!(stdout == input, "{} bytes of {}", stdout.len(), input.len());
    // All of the input is sent before it is over, also when nothing says how much comes.
    let (code, stdout, _) = connect_with(
        &[&[&url, "--wait", "300ms"], &QUICK[..]].concat(),
        b"one\ntwo",
    );
    assert_eq!((code, stdout.as_str()), (Some(0), "one\ntwo\n"));
}

#[track_caller]
fn assert_gives_up(url: &str, more: &[&str], code: i32, part: &str) {
    let (found, _, stderr) = connect(&[&[url], more, &QUICK[..]].concat());
    assert_eq!(found, Some(code), "{more:?}: {stderr}");
    let last = stderr.lines().last().unwrap_or_default();
    assert!(last.contains(part), "{more:?}: {stderr}");
}

#[test]
fn the_exit_code_is_that_of_the_last_failure_when_it_is_given_up() {
    let attempts = ["--reconnect-attempts", "2"];
    let unsent = [&attempts[..], &["-x", "one", "-x", "two"]].concat();
    let url = format!("ws://{}/", nobody());
    assert_gives_up(&url, &attempts, 6, "given up after 2 attempts");
    assert_gives_up(&url, &unsent, 6, "2 messages were not sent");
    let server = serve(&["--origin", "https://example.com"]);
    assert_gives_up(&server.url("/nothing"), &attempts, 9, "404");
    let url = serve_each(vec![send(b""), send(b"\xf1\x01x")]);
    assert_gives_up(
        &url,
        &[&attempts[..], &["-w", "off"]].concat(),
        10,
        "protocol",
    );
    let url = serve_each(vec![send(b"\xf1\x01x"), send(b"")]);
    assert_gives_up(
        &url,
        &[&attempts[..], &["-w", "off"]].concat(),
        11,
        "given up",
    );
    let url = serve_each(vec![send(b"\x88\x02\x03\xf3")]);
    let one = ["--reconnect-attempts", "1", "-w", "off"];
    assert_gives_up(&url, &one, 12, "1011");
    assert_gives_up(&url, &["--timeout", "300ms"], 13, "--timeout");
    let (code, stdout, _) = connect(&[&[&url, "--json"], &attempts[..], &QUICK[..]].concat());
    let last: Value = serde_json::from_str(stdout.lines().last().unwrap()).unwrap();
    assert_eq!(
        (&last["type"], &last["exit_code"]),
        (&json!("error"), &json!(6))
    );
    assert_eq!(code, Some(6));
}

#[test]
fn a_server_that_wants_nobody_back_is_left_alone() {
    // There is no second connection: it would be reset.
    let url = serve_each(vec![send(b"\x88\x02\x03\xf0")]);
    assert_gives_up(&url, &["-w", "off"], 12, "1008");
    let url = serve_each(vec![send(b"\x81\x02hi\x88\x02\x03\xe8")]);
    let (code, stdout, stderr) = connect(&[&[&url, "-w", "off"], &QUICK[..]].concat());
    assert_eq!((code, stdout, stderr), ok("hi\n"));
    let server = serve(&["--origin", "https://example.com"]);
    let url = server.url("/echo");
    assert_gives_up(&url, &["-o", "https://b.example"], 9, "403");
    assert_gives_up("ftp://localhost/", &[], 2, "ftp");
}

#[test]
fn at_a_terminal_one_can_type_on_while_the_server_is_away() {
    let server = serve(&[]);
    let addr = server.addr;
    let flags = [&["--color", "never"], &QUICK[..]].concat();
    let mut terminal = Terminal::new(&server, &flags);
    terminal.shows("open: /close or Ctrl-D closes it");
    terminal.shows("> ");
    drop(server);
    terminal.shows("lost: ");
    terminal.shows("trying again in 0.0 s");
    terminal.shows("cannot connect");
    terminal.types("one\r");
    // It has been taken, and another line is asked for.
    terminal.shows("\x1b[?2004h");
    terminal.shows("> ");
    terminal.types("/ping two\r");
    let server = serve_at(addr);
    terminal.shows("open again");
    // The ping goes behind the message, but a pong may overtake what is echoed.
    terminal.shows_in_any_order(&["< one", "pong two after "]);
    drop(server);
    terminal.shows("cannot connect");
    // Who leaves does not wait for the next one.
    let left = Instant::now();
    terminal.types("\x04");
    assert_eq!(terminal.ends(), Some(6));
    assert!(left.elapsed() < PATIENCE / 2);
}

#[test]
fn an_interrupt_ends_it_between_two_attempts() {
    let url = format!("ws://{}/", nobody());
    let flags = [
        "connect",
        &url,
        "--reconnect",
        "--wait",
        "off",
        "-x",
        "unsent",
    ];
    let mut child = newswire(&flags).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(stderr.next().unwrap().unwrap().contains("trying again"));
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let said = stderr.map(Result::unwrap).last().unwrap();
    assert!(
        said.contains("cannot connect") && said.contains("one message"),
        "{said}"
    );
    assert_eq!(child.wait().unwrap().code(), Some(6));
}
