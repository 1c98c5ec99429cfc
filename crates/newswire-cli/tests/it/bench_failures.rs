//! `newswire bench` when something is wrong: with the server, with the results, with the flags.

use crate::bench::{SHORT, bench};
use crate::bench_server::{Peer, serve_by};
use crate::support::{run, serve};
use newswire::proto::OpCode;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Loads a server that behaves so: exit code, results, standard error.
fn bench_against(
    behave: impl Fn(Peer) -> Option<()> + Send + Sync + 'static,
    load: &str,
    flags: &[&str],
) -> (Option<i32>, serde_json::Value, String) {
    let url = format!("ws://{}/", serve_by(behave));
    bench(&[&[load, &url], flags].concat())
}

fn with_short<'a>(flags: &[&'a str]) -> Vec<&'a str> {
    [flags, &SHORT].concat()
}

#[test]
fn a_reply_that_is_not_the_echo_ends_the_run() {
    let flip = |mut peer: Peer| {
        for _ in 0..3 {
            peer.echo()?;
        }
        let (opcode, mut payload) = peer.read()?;
        payload[77] ^= 1;
        peer.write(opcode, &payload)
    };
    let started = Instant::now();
    let (code, results, errors) = bench_against(flip, "echo", &["-c", "1", "--duration", "1m"]);
    assert_eq!(code, Some(1));
    assert!(
        errors.starts_with("newswire: wrong echo: message 3: byte 77 of the payload"),
        "{errors}"
    );
    assert!(results.is_null(), "a run with a wrong reply has no results");
    assert!(started.elapsed() < Duration::from_secs(30));
}

#[test]
fn a_server_that_says_more_than_an_echo_is_no_echo() {
    let greet = |mut peer: Peer| {
        peer.write(OpCode::Text, b"welcome")?;
        while peer.echo().is_some() {}
        None
    };
    let (code, _, errors) =
        bench_against(greet, "idle", &with_short(&["-c", "1", "--messages", "0"]));
    assert_eq!(code, Some(1));
    assert!(
        errors.contains("a text that nothing was sent for"),
        "{errors}"
    );
}

#[test]
fn pings_are_answered_while_messages_flow() {
    let ping = |mut peer: Peer| {
        for round in 0..1000u32 {
            peer.write(OpCode::Ping, &round.to_be_bytes())?;
            let mut answered = false;
            while !answered {
                let (opcode, payload) = peer.read()?;
                match opcode {
                    OpCode::Pong => {
                        // A wrong answer is told to the other end, which then fails the test.
                        if payload != round.to_be_bytes() {
                            return peer.close(&1002u16.to_be_bytes());
                        }
                        answered = true;
                    }
                    opcode => peer.write(opcode, &payload)?,
                }
                if opcode == OpCode::Close {
                    return None;
                }
            }
        }
        peer.close(b"\x0f\xa0all answered")
    };
    let (code, _, errors) = bench_against(
        ping,
        "echo",
        &[
            "-c",
            "1",
            "-d",
            "4",
            "--size",
            "100KiB",
            "--duration",
            "20s",
            "--warm-up",
            "0s",
        ],
    );
    assert_eq!(code, Some(1));
    assert!(
        errors.contains("code 4000 and the reason \"all answered\""),
        "{errors}"
    );
}

#[test]
fn a_connection_that_the_server_closes_is_an_error_as_many_as_are_allowed() {
    let closing = || {
        let count = AtomicU32::new(0);
        move |mut peer: Peer| {
            if count.fetch_add(1, Ordering::Relaxed) == 1 {
                peer.echo()?;
                return peer.close(b"\x03\xf3out of memory");
            }
            while peer.echo().is_some() {}
            None
        }
    };
    let reason = "the server closed the connection with code 1011 and the reason \"out of memory\"";
    for (flags, expected) in [
        (&[][..], 1),
        (&["--max-errors", "1"], 0),
        (&["--max-errors", "0"], 4),
    ] {
        let (code, results, errors) = bench_against(
            closing(),
            "echo",
            &with_short(&[&["-c", "3"], flags].concat()),
        );
        assert_eq!(code, Some(expected), "{flags:?}: {errors}");
        assert_eq!(results["errors"]["count"], 1, "{results}");
        assert_eq!(results["errors"]["first"], reason);
        assert_eq!(results["handshakes"]["open"], 2);
        assert_eq!(errors.contains(reason), expected != 0, "{errors}");
    }
}

#[test]
fn a_stop_counts_for_every_message_that_was_due_meanwhile() {
    let stopping = |mut peer: Peer| {
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(150) {
            peer.echo()?;
        }
        std::thread::park_timeout(Duration::from_millis(200));
        while peer.echo().is_some() {}
        None
    };
    let latency = |flags: &[&str]| {
        let flags = [
            flags,
            &["-c", "1", "--duration", "600ms", "--warm-up", "0s"],
        ]
        .concat();
        let (code, results, errors) = bench_against(stopping, "echo", &flags);
        assert_eq!((code, errors.as_str()), (Some(0), ""));
        let latency = &results["messages"]["latency"];
        ["p90", "p99", "max"].map(|name| latency[name].as_f64().unwrap())
    };
    // A third of the time nothing comes back: a third of the messages wait, 100 ms on average.
    let [p90, p99, _] = latency(&["--rate", "500"]);
    assert!(p90 > 0.1 && p99 > 0.15, "p90 {p90}, p99 {p99}");
    // In a closed loop it is one message among thousands.
    let [p90, _, max] = latency(&["-d", "1"]);
    assert!(p90 < 0.1 && max > 0.19, "p90 {p90}, max {max}");
}

#[test]
fn replies_that_never_come_are_counted_and_waited_for_no_longer_than_asked() {
    let silent = |mut peer: Peer| {
        for _ in 0..5 {
            peer.echo()?;
        }
        while peer.read().is_some() {}
        None
    };
    let flags = [
        "-c",
        "1",
        "--rate",
        "100",
        "--timeout",
        "200ms",
        "--duration",
        "300ms",
        "--warm-up",
        "0s",
    ];
    let (code, results, errors) = bench_against(silent, "echo", &flags);
    assert_eq!(code, Some(1));
    let messages = &results["messages"];
    let due = messages["latency"]["count"].as_u64().unwrap();
    assert!((29..=31).contains(&due), "{results}");
    assert_eq!(messages["lost"].as_u64().unwrap() + 5, due, "{results}");
    assert!(
        errors.contains("messages had no reply 200ms after the end"),
        "{errors}"
    );
}

#[test]
fn a_close_may_end_after_the_time_that_the_handshake_had() {
    let lingering = |mut peer: Peer| {
        loop {
            let (opcode, payload) = peer.read()?;
            if opcode == OpCode::Close {
                std::thread::park_timeout(Duration::from_millis(400));
                return peer.write(opcode, &payload);
            }
            peer.write(opcode, &payload)?;
        }
    };
    let flags = [
        "--timeout",
        "500ms",
        "--duration",
        "300ms",
        "--warm-up",
        "0s",
    ];
    let (code, _, errors) = bench_against(lingering, "idle", &[&flags[..], &["-c", "2"]].concat());
    assert_eq!((code, errors.as_str()), (Some(0), ""));
}

#[test]
fn a_threshold_that_is_missed_has_its_exit_code_and_a_line() {
    let server = serve(&[]);
    let url = server.url("/echo");
    for (flags, code, said) in [
        (
            &["--max-p99", "10s", "--min-rate", "10", "--max-errors", "0"][..],
            0,
            &[][..],
        ),
        (
            &["--max-p99", "1us"],
            4,
            &["missed: p99 is ", ", --max-p99 is 1.00 µs"],
        ),
        (
            &["--min-rate", "1000M"],
            4,
            &[
                "missed: ",
                " messages a second, --min-rate is 1,000,000,000",
            ],
        ),
        (
            &["--max-p99", "1us", "--min-rate", "1000M"],
            4,
            &["p99", "--min-rate"],
        ),
    ] {
        let (found, results, errors) = bench(&[&["echo", &url, "-c", "2"], flags, &SHORT].concat());
        assert_eq!(found, Some(code), "{errors}");
        assert!(
            results["messages"]["count"].as_u64().unwrap() > 0,
            "results are there all the same"
        );
        for text in said {
            assert!(errors.contains(text), "{errors:?} should say {text:?}");
        }
        assert_eq!(
            errors.lines().count(),
            flags.len() / 2 * usize::from(code != 0),
            "{errors}"
        );
    }
    let storm = [
        "storm",
        &url,
        "-c",
        "2",
        "--rounds",
        "1",
        "--pause",
        "1ms",
        "--max-recovery",
        "1us",
    ];
    let (code, _, errors) = bench(&storm);
    assert_eq!(code, Some(4));
    assert!(errors.contains("all were back after "), "{errors}");
}

#[test]
fn a_server_that_cannot_be_connected_to_is_named_with_the_reason() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let (code, _, errors) = bench(&["echo", &format!("ws://{nobody}/echo")]);
    assert_eq!(code, Some(1));
    let reason = format!("{nobody} refuses connections: is the server running there?");
    assert!(
        errors.contains("connections could be opened: ") && errors.contains(&reason),
        "{errors}"
    );

    let server = serve(&[]);
    let (code, _, errors) = bench(&["echo", &server.url("/nothing"), "-c", "1"]);
    assert_eq!(code, Some(1));
    assert_eq!(
        errors,
        "newswire: the handshake failed: expected status 101, the server answered 404 Not Found\n"
    );
}

#[test]
fn flags_that_cannot_be_followed_are_refused_in_one_line() {
    let url = "ws://127.0.0.1:9/";
    for (arguments, said) in [
        (&["echo"][..], "URL"),
        (&["echo", "http://a/"], "http"),
        (
            &["echo", url, "--insecure"],
            "--insecure means nothing for ws://127.0.0.1:9/",
        ),
        (&["echo", url, "--ca", "x"], "--ca means nothing"),
        (
            &["echo", "wss://127.0.0.1/", "--ca", "no-such-file"],
            "no-such-file",
        ),
        (
            &["echo", "wss://a/", "--ca", "x", "--insecure"],
            "cannot be used with",
        ),
        (&["echo", url, "--size", "65MiB"], "up to 64MiB"),
        (
            &["echo", url, "--rate", "5", "--in-flight", "2"],
            "cannot be used with",
        ),
        (&["echo", url, "--text", "--binary"], "cannot be used with"),
        (&["echo", url, "--duration", "5"], "700ms, 1.5s or 2m"),
        (&["echo", url, "-c", "0"], "500, 50k or 1.5M"),
        (&["echo", url, "-c", "1000M"], "at most 10M"),
        (&["echo", url, "--threads", "0"], "--threads"),
        (&["echo", url, "--header", "Upgrade: x"], "pgrade"),
        (&["echo", url, "--header", "no colon"], "'Name: value'"),
        (&["echo", url, "--subprotocol", "a b"], "a b"),
        (
            &["echo", url, "--source", "127.0.0.9-127.0.0.2"],
            "lower to the higher",
        ),
        (&["echo", url, "--source", "::1"], "--source"),
        (&["connect", url, "--in-flight", "2"], "--in-flight"),
        (&["idle", url, "--max-memory", "1KiB"], "--pid"),
        (&["storm", url, "--rounds", "0"], "--rounds"),
    ] {
        let output = run(&[&["bench"], arguments].concat());
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {errors}");
        assert!(errors.contains(said), "{errors:?} should say {said:?}");
        assert_eq!(errors.lines().count(), 1, "{errors:?}");
    }
}
