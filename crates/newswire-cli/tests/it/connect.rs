//! `newswire connect`: what it sends and writes, and when it is over.

use crate::support::{newswire, serve};
use serde_json::{Value, json};
use std::io::Write;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

/// Runs `newswire connect` with this standard input; its exit code, output and errors.
pub fn connect_with(arguments: &[&str], input: &[u8]) -> (Option<i32>, String, String) {
    let thread = format!("connect-{:?}", std::thread::current().id());
    let file = crate::support::folder(&thread).join("input");
    std::fs::write(&file, input).unwrap();
    connect_from(arguments, Stdio::from(std::fs::File::open(&file).unwrap()))
}

/// The same without any input.
pub fn connect(arguments: &[&str]) -> (Option<i32>, String, String) {
    connect_from(arguments, Stdio::null())
}

fn connect_from(arguments: &[&str], input: Stdio) -> (Option<i32>, String, String) {
    // Whatever is wrong, the test ends. A flag that is given twice is refused.
    let bound: &[&str] = match arguments.contains(&"--timeout") {
        true => &[],
        false => &["--timeout", "20s"],
    };
    let mut command = newswire(&[&["connect"], arguments, bound].concat());
    parts(&command.stdin(input).output().unwrap())
}

fn parts(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| str::from_utf8(bytes).unwrap().to_owned();
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

pub fn ok(stdout: &str) -> (Option<i32>, String, String) {
    (Some(0), stdout.to_owned(), String::new())
}

pub fn events(stdout: &str) -> Vec<Value> {
    let lines = stdout.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn each_line_of_piped_input_is_a_message_and_each_message_a_line_of_output() {
    let server = serve(&[]);
    // Without a line break at the end, with an empty line, with a line break of Windows.
    let input = "hello\n\nWebSocket rocks\r\n/é";
    assert_eq!(
        connect_with(&[&server.url("/echo"), "-n", "4"], input.as_bytes()),
        ok("hello\n\nWebSocket rocks\n/é\n")
    );
    // The scheme may be left out.
    let url = format!("{}/echo", server.addr);
    assert_eq!(
        connect_with(&[&url, "--wait", "300ms"], b"hello"),
        ok("hello\n")
    );
}

#[test]
fn much_more_input_than_fits_anywhere_comes_back_in_order() {
    let server = serve(&[]);
    let input: String = (0..3000)
        .map(|n| format!("{n} {}\n", "x".repeat(3000)))
        .collect();
    let (code, stdout, stderr) =
        connect_with(&[&server.url("/echo"), "-n", "3000"], input.as_bytes());
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert!(stdout == input, "{} bytes of {}", stdout.len(), input.len());
}

#[test]
fn messages_of_the_command_line_are_sent_in_place_of_input() {
    let server = serve(&[]);
    let file = crate::support::folder("connect-file").join("message");
    std::fs::write(&file, "two\nlines").unwrap();
    let url = server.url("/echo");
    let arguments = [
        &url,
        "-x",
        "one",
        "--file",
        file.to_str().unwrap(),
        "-n",
        "2",
    ];
    assert_eq!(
        connect_with(&arguments, b"this is not sent"),
        ok("one\ntwo\nlines\n")
    );
}

#[test]
fn binary_messages_are_written_as_bytes_or_digits() {
    let server = serve(&[]);
    let url = server.url("/echo");
    for (flag, message) in [
        ("--hex", "00ff7f"),
        ("--base64", "AP9/"),
        ("--binary", "abc"),
    ] {
        let arguments = [&url, flag, "-x", message, "-n", "1"];
        assert_eq!(connect(&arguments), ok(&format!("{message}\n")), "{flag}");
    }
    // They were binary: the echo gives back the kind that it was sent.
    let (_, stdout, _) = connect_with(
        &[&url, "--json", "-n", "1"],
        br#"{"type":"message","base64":"AP9/"}"#,
    );
    assert_eq!(
        events(&stdout)[1],
        json!({"type": "message", "base64": "AP9/"})
    );
}

#[test]
fn json_has_a_line_for_each_event_and_is_read_too() {
    let server = serve(&[]);
    let url = server.url("/echo");
    let input = concat!(
        r#"{"type":"pong","text":"alive"}"#,
        "\n",
        r#"{"type":"ping","base64":"/w=="}"#,
        "\n",
        r#"{"type":"message","text":"hello\n"}"#,
        "\n",
        r#"{"type":"close","code":4000,"reason":"enough"}"#,
        "\n",
    );
    let arguments = [&url, "--json", "-s", "strange", "-s", "echo-protocol"];
    let (code, stdout, stderr) = connect_with(&arguments, input.as_bytes());
    let mut events = events(&stdout);
    assert!(
        events[0]["extensions"]
            .take()
            .as_str()
            .unwrap()
            .contains("permessage-deflate")
    );
    let answer = events[0]["answer"].take();
    assert_eq!(answer["status"], 101);
    let header = json!(["sec-websocket-protocol", "echo-protocol"]);
    assert!(answer["headers"].as_array().unwrap().contains(&header));
    let round_trip = events[1]["round_trip_ms"].take().as_f64().unwrap();
    assert!(round_trip > 0.0 && round_trip < 20_000.0, "{round_trip}");
    assert_eq!(
        events,
        [
            json!({
                "type": "open",
                "url": url,
                "subprotocol": "echo-protocol",
                "extensions": null,
                "answer": null,
            }),
            json!({"type": "pong", "base64": "/w==", "round_trip_ms": null}),
            json!({"type": "message", "text": "hello\n"}),
            json!({"type": "close", "code": 4000, "reason": "enough", "by": "client"}),
        ]
    );
    // The server repeats this end's own code, which is no complaint.
    assert_eq!((code, stderr.as_str()), (Some(0), ""));

    let (_, stdout, _) = connect(&[&url, "--json", "--compression", "off", "--wait", "1ms"]);
    assert_eq!(self::events(&stdout)[0]["extensions"], Value::Null);
}

#[test]
fn each_ping_that_is_sent_by_itself_has_its_round_trip() {
    let server = serve(&[]);
    let url = server.url("/echo");
    for more in [&[][..], &["--reconnect"]] {
        let flags = [&url, "--json", "--ping-interval", "10ms", "-w", "300ms"];
        let (code, stdout, stderr) = connect(&[&flags, more].concat());
        assert_eq!((code, stderr.as_str()), (Some(0), ""));
        let events = events(&stdout);
        let mut pongs = events.iter().filter(|event| event["type"] == "pong");
        for number in ["1", "2", "3"] {
            let pong = pongs.next().unwrap();
            assert_eq!(pong["text"], number);
            assert!(pong["round_trip_ms"].as_f64().unwrap() > 0.0, "{pong}");
        }
    }
}

#[test]
fn it_is_over_when_what_was_expected_has_come() {
    let server = serve(&[]);
    let url = server.url("/echo");
    let started = Instant::now();
    let messages = [&url, "-x", "one", "-x", "two", "-x", "three"];
    let met = [&messages[..], &["--expect", "one", "--expect", "/^thr/"]].concat();
    let (code, stdout, stderr) = connect(&met);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert_eq!(stdout, "one\ntwo\nthree\n");
    assert!(started.elapsed() < Duration::from_secs(8));
    // The other way round the first comes too late.
    let missed = ["--expect", "three", "--expect", "one", "--wait", "200ms"];
    let (code, _, stderr) = connect(&[&messages[..], &missed].concat());
    assert_eq!(code, Some(4), "{stderr}");
    assert_eq!(
        stderr,
        "newswire: a message \"one\" was expected and did not come\n"
    );
    let (code, _, stderr) = connect(&[&messages[..], &["-n", "4", "--timeout", "500ms"]].concat());
    assert_eq!(code, Some(13), "{stderr}");
    assert!(
        stderr.contains("4 messages were expected, and 3 came"),
        "{stderr}"
    );
}

#[test]
fn what_comes_after_the_last_message_that_is_wanted_is_neither_sent_nor_written() {
    let server = serve(&[]);
    let input = "hello\n".repeat(10_000);
    assert_eq!(
        connect_with(&[&server.url("/echo"), "-n", "3"], input.as_bytes()),
        ok("hello\nhello\nhello\n")
    );
}

#[test]
fn a_line_that_is_no_message_ends_it_with_its_number() {
    let server = serve(&[]);
    let (code, stdout, stderr) = connect_with(&[&server.url("/echo"), "--hex"], b"00\nxyz\n01\n");
    assert_eq!((code, stdout.as_str()), (Some(1), "00\n"), "{stderr}");
    assert!(
        stderr.contains("line 2") && stderr.contains("'x'"),
        "{stderr}"
    );
}

#[test]
fn it_ends_when_nobody_reads_its_output() {
    let server = serve(&[]);
    let mut command = newswire(&["connect", &server.url("/echo"), "--wait", "off"]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut stdin = child.stdin.take().unwrap();
    let started = Instant::now();
    // Its input stays open, and more of it comes for as long as it is taken.
    while child.try_wait().unwrap().is_none() {
        let _ = stdin.write_all(b"hello\n");
        assert!(started.elapsed() < crate::support::PATIENCE);
        std::thread::park_timeout(Duration::from_millis(10));
    }
    // It did what it was asked to do, as long as it could.
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.stderr, b"");
}

#[test]
fn wrong_arguments_are_told_before_anything_is_sent() {
    for (arguments, part) in [
        (&["ftp://localhost/"][..], "ftp"),
        (&[], "<URL>"),
        (&["ws://[/"], "host"),
        (&["ws://localhost", "--hex", "-x", "abc"], "-x \"abc\""),
        (&["ws://localhost", "--hex", "--json"], "--json"),
        (&["ws://localhost", "--expect", "/(/"], "unclosed"),
        (
            &["ws://localhost", "--file", "/no/such/file"],
            "/no/such/file",
        ),
        (&["ws://localhost", "--ca", "/no/such/ca"], "/no/such/ca"),
        (&["ws://localhost", "--auth", "name"], "colon"),
        (&["ws://localhost", "--proxy", "ftp://x"], "ftp"),
        (&["ws://localhost", "-H", "no colon"], "Name: value"),
        (&["ws://localhost", "-H", "a b: c"], "a b"),
        (&["ws://localhost", "--timeout", "0s"], "--timeout"),
        (&["ws://localhost", "-n", "0"], "0"),
        (&["ws://localhost", "--cert", "x"], "--key"),
        (
            &["ws://localhost", "--reconnect-attempts", "3"],
            "--reconnect",
        ),
        (
            &["ws://localhost", "--reconnect-max-delay", "1s"],
            "--reconnect",
        ),
        (
            &["ws://localhost", "--reconnect", "--reconnect-attempts", "0"],
            "0",
        ),
        (&["ws://localhost", "--json", "--verbose"], "--json"),
        (&["ws://localhost", "--json", "--color", "always"], "--json"),
        (&["ws://localhost", "--color", "blue"], "blue"),
    ] {
        let (code, stdout, stderr) = connect(arguments);
        assert_eq!(
            (code, stdout.as_str()),
            (Some(2), ""),
            "{arguments:?}: {stderr}"
        );
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        assert!(stderr.contains(part), "{arguments:?}: {stderr}");
    }
}
