//! Compression: what the server agrees to by its flags, and a load that is compressed.

use crate::bench::{SHORT, bench};
use crate::support::{Served, run, serve, within};
use newswire::{CloseCode, Message};
use std::io::{Read, Write};

/// What the server answers to an offer; `None` if it does not agree to any extension.
fn answer(server: &Served, offer: &str) -> Option<String> {
    let mut stream = server.connect();
    let request = format!(
        "GET /echo HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Extensions: {offer}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0].into());
    }
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    let line = lines.find(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-extensions"));
    line.map(|(_, value)| value.to_owned())
}

#[test]
fn the_flags_decide_what_is_agreed_on() {
    let browser = "permessage-deflate; client_max_window_bits";
    for (flags, offer, agreed) in [
        (
            "",
            browser,
            Some("permessage-deflate; client_max_window_bits=11"),
        ),
        (
            "--compression shared --compression-history 512B",
            browser,
            Some("permessage-deflate; client_max_window_bits=9"),
        ),
        (
            "--compression-history 0",
            browser,
            Some("permessage-deflate; server_no_context_takeover; client_no_context_takeover"),
        ),
        (
            "--compression dedicated",
            browser,
            Some("permessage-deflate"),
        ),
        (
            "--compression dedicated --compression-window-bits 10",
            "permessage-deflate; server_max_window_bits=12",
            Some("permessage-deflate; server_max_window_bits=10"),
        ),
        ("--compression off", browser, None),
        ("", "permessage-bzip2", None),
    ] {
        let flags: Vec<&str> = flags.split_whitespace().collect();
        let found = answer(&serve(&flags), offer);
        assert_eq!(found.as_deref(), agreed, "{flags:?}");
    }
}

#[tokio::test]
async fn what_is_sent_comes_back_in_every_mode() {
    for flags in [
        &[][..],
        &["--compression-history", "0", "--compression-level", "1"],
        &["--compression", "dedicated", "--compression-mem-level", "1"],
        &["--compression", "off"],
    ] {
        let server = serve(flags);
        let url = server.url("/echo");
        let mut ws = within(newswire::connect(&url)).await.unwrap();
        assert_eq!(ws.deflate().is_some(), !flags.contains(&"off"));
        for number in 0..50_usize {
            let text = format!("message {number}: ").repeat(number * number);
            let message: Message = if number % 2 == 0 {
                text.into()
            } else {
                text.into_bytes().into()
            };
            within(ws.send(message.clone())).await.unwrap();
            let echoed = within(ws.recv()).await.unwrap();
            assert!(echoed == Some(message), "message {number}, {flags:?}");
        }
        within(ws.close(CloseCode::NORMAL, "")).await.unwrap();
    }
}

#[test]
fn a_flag_that_means_nothing_in_the_mode_is_refused_in_one_line() {
    for (flags, said) in [
        (
            "--compression off --compression-level 1",
            "--compression-level means nothing with --compression off: leave it out, or use --compression shared or dedicated",
        ),
        (
            "--compression off --compression-min-size 1KiB",
            "--compression-min-size means nothing",
        ),
        (
            "--compression dedicated --compression-history 1KiB",
            "--compression-history means nothing with --compression dedicated: leave it out, or use --compression shared",
        ),
        (
            "--compression-window-bits 12",
            "--compression-window-bits means nothing with --compression shared",
        ),
        (
            "--compression shared --compression-mem-level 2",
            "use --compression dedicated",
        ),
        ("--compression-history 33KiB", "at most 32KiB"),
        ("--compression-history lots", "lots"),
        ("--compression-level 0", "1..=9"),
        (
            "--compression dedicated --compression-window-bits 8",
            "9..=15",
        ),
        (
            "--compression dedicated --compression-mem-level 10",
            "1..=9",
        ),
        ("--compression zstd", "shared, dedicated, off"),
    ] {
        let flags: Vec<&str> = flags.split(' ').collect();
        let output = run(&[&["serve", "--port", "0"], &flags[..]].concat());
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{flags:?}: {errors}");
        assert!(errors.contains(said), "{errors:?} should say {said:?}");
        assert_eq!(errors.lines().count(), 1, "{errors:?}");
        assert_eq!(output.stdout, b"");
    }
}

#[test]
fn a_compressed_load_is_checked_and_says_how_small_it_was() {
    for (server_flags, agreed, most) in [
        (
            &[][..],
            "permessage-deflate; client_no_context_takeover",
            0.45,
        ),
        (
            &["--compression", "dedicated"],
            "permessage-deflate; client_no_context_takeover",
            0.45,
        ),
        (
            &["--compression-history", "0"],
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
            0.6,
        ),
    ] {
        let server = serve(server_flags);
        let url = server.url("/echo");
        let flags = ["-c", "3", "-d", "4", "--size", "1KiB", "--compression"];
        let (code, results, errors) = bench(&[&["echo", &url], &flags[..], &SHORT].concat());
        assert_eq!((code, errors.as_str()), (Some(0), ""), "{server_flags:?}");
        assert!(results["messages"]["count"].as_u64().unwrap() > 10);
        assert_eq!(results["content"]["kind"], "text");
        let compression = &results["compression"];
        assert_eq!(compression["agreed"], agreed);
        assert_eq!(compression["replies_compressed"], 1.0);
        for direction in ["sent", "received"] {
            let ratio = compression[direction]["ratio"].as_f64().unwrap();
            let most = if direction == "sent" { 0.6 } else { most };
            assert!(ratio > 0.05 && ratio < most, "{direction}: {results}");
            let bytes = compression[direction]["bytes_per_message"]
                .as_f64()
                .unwrap();
            assert!((bytes / 1024.0 - ratio).abs() < 1e-9, "{results}");
        }
    }
}

#[test]
fn compression_goes_with_every_load_that_has_messages() {
    let server = serve(&[]);
    let url = server.url("/echo");
    for flags in [
        &["echo", "--binary", "--size", "16KiB", "--threads", "2"][..],
        &["echo", "--rate", "500", "--size", "0B"],
        &["idle", "--messages", "10"],
        &["churn", "--lifetime", "100ms", "--messages", "5"],
    ] {
        let arguments = [
            &flags[..1],
            &[&url, "-c", "4", "--compression"],
            &flags[1..],
        ]
        .concat();
        let (code, results, errors) = bench(&[&arguments[..], &SHORT].concat());
        assert_eq!((code, errors.as_str()), (Some(0), ""), "{flags:?}");
        let compression = &results["compression"];
        let bytes = compression["received"]["bytes_per_message"].as_f64();
        assert!(bytes.unwrap() > 0.0, "{flags:?}: {results}");
    }
    // Those that read slowly may take all the time that a server has.
    let flags = ["slow", &url, "-c", "1", "--slow", "1", "--compression"];
    let patience = ["--timeout", "500ms", "--max-errors", "100"];
    let (code, results, errors) = bench(&[&flags[..], &patience, &SHORT].concat());
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    let received = &results["compression"]["received"];
    assert!(received["bytes_per_message"].as_f64().unwrap() > 0.0);
    for load in ["connect", "storm"] {
        let (code, _, errors) = bench(&[load, &url, "--compression"]);
        assert_eq!(code, Some(2));
        assert!(errors.contains("--compression"), "{errors}");
    }
}

#[test]
fn without_the_flag_nothing_is_offered() {
    let server = serve(&[]);
    let url = server.url("/echo");
    let (code, results, errors) = bench(&[&["echo", &url, "-c", "2"], &SHORT[..]].concat());
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    assert!(results["compression"].is_null(), "{results}");
}

#[test]
fn replies_below_the_servers_least_size_are_counted_as_they_came() {
    let server = serve(&["--compression-min-size", "4KiB"]);
    let url = server.url("/echo");
    let flags = ["-c", "2", "--size", "1KiB", "--compression"];
    let (code, results, errors) = bench(&[&["echo", &url], &flags[..], &SHORT].concat());
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    let compression = &results["compression"];
    assert_eq!(compression["replies_compressed"], 0.0, "{results}");
    // The payload and a header of four bytes.
    assert_eq!(compression["received"]["bytes_per_message"], 1028.0);
}

#[test]
fn a_server_that_does_not_agree_is_said_to_be_so() {
    let server = serve(&["--compression", "off"]);
    let url = server.url("/echo");
    let (code, results, errors) = bench(&["echo", &url, "-c", "1", "--compression"]);
    assert_eq!(code, Some(1));
    assert_eq!(
        errors,
        "newswire: the server did not agree to permessage-deflate: turn it on there, or leave out --compression\n"
    );
    assert!(results.is_null(), "{results}");
}
