//! `newswire connect`: what it says in the handshake, and the ways it takes to the server.

use crate::connect::{connect, ok};
use crate::connect_ends::server;
use crate::support::serve;
use crate::tls::certificates::{Files, Localhost};
use std::io::Write;

/// The request that is sent with these flags.
fn request(flags: &[&str]) -> String {
    let (addr, head) = server(|mut stream, _| {
        stream
            .write_all(b"HTTP/1.1 418 I'm a teapot\r\nContent-Length: 0\r\n\r\n")
            .unwrap();
    });
    let url = format!("ws://{addr}/path?query");
    let (code, _, stderr) = connect(&[&[url.as_str()], flags].concat());
    assert_eq!(code, Some(9), "{stderr}");
    head.join().unwrap().0
}

#[test]
fn the_handshake_says_what_the_flags_say() {
    let head = request(&[
        "-H",
        "Cookie: a=b",
        "-H",
        "X-One: 1",
        "-o",
        "https://example.com",
        "--host",
        "other.example",
        "-s",
        "v2",
        "-s",
        "v1",
        "--auth",
        "name:pass:word",
    ]);
    let head = head.to_ascii_lowercase();
    assert!(head.starts_with("get /path?query http/1.1\r\n"), "{head}");
    for line in [
        "cookie: a=b",
        "x-one: 1",
        "origin: https://example.com",
        "host: other.example",
        "sec-websocket-protocol: v2, v1",
        // The Base64 of name:pass:word, in small letters as all of it is here.
        "authorization: basic bmftztpwyxnzondvcmq=",
    ] {
        assert!(
            head.lines().any(|found| found == line),
            "no {line:?} in {head}"
        );
    }
    assert!(
        head.contains("sec-websocket-extensions: permessage-deflate"),
        "{head}"
    );

    let head = request(&["--bearer", "T0ken", "--compression", "off"]).to_ascii_lowercase();
    assert!(
        head.contains("\r\nauthorization: bearer t0ken\r\n"),
        "{head}"
    );
    for absent in ["extensions", "origin", "sec-websocket-protocol"] {
        assert!(!head.contains(absent), "{head}");
    }
}

#[test]
fn only_a_certificate_that_is_trusted_will_do() {
    let here = Localhost::new();
    let text = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    let (ca, certificate, key) = (text(&here.ca), text(&here.certificate), text(&here.key));
    let server = serve(&["--tls-cert", &certificate, "--tls-key", &key]);
    let url = format!("wss://localhost:{}/echo", server.addr.port());
    let hello = ["-x", "hello", "-n", "1"];
    for flags in [&["--ca", &ca][..], &["--insecure"], &["-k"]] {
        let arguments = [&[url.as_str()], flags, &hello].concat();
        assert_eq!(connect(&arguments), ok("hello\n"), "{flags:?}");
    }
    let (code, _, stderr) = connect(&[&[url.as_str()], &hello[..]].concat());
    assert_eq!(code, Some(8), "{stderr}");

    // A server that wants to see one too.
    let server = serve(&[
        "--tls-cert",
        &certificate,
        "--tls-key",
        &key,
        "--tls-client-ca",
        &ca,
    ]);
    let url = format!("wss://localhost:{}/echo", server.addr.port());
    let own = here.authority.issue(&["client"]);
    let (cert, key) = here.files.issued("client", &own);
    let (cert, key) = (text(&cert), text(&key));
    let trusting = [&[url.as_str(), "--ca", &ca], &hello[..]].concat();
    let shown = [&trusting[..], &["--cert", &cert, "--key", &key]].concat();
    assert_eq!(connect(&shown), ok("hello\n"));
    let (code, stdout, stderr) = connect(&trusting);
    assert_eq!(stdout, "", "{stderr}");
    assert!(matches!(code, Some(8 | 9)), "{code:?}: {stderr}");
}

#[cfg(unix)]
#[test]
fn a_unix_socket_is_a_way_too() {
    use std::os::unix::net::UnixListener;
    let dir = Files::new();
    let path = dir.path("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let path = path.to_str().unwrap();
    let asked = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream
            .write_all(b"HTTP/1.1 418 I'm a teapot\r\nContent-Length: 0\r\n\r\n")
            .unwrap();
    });
    let (code, _, stderr) = connect(&["ws://any.example/", "--unix", path]);
    assert_eq!(code, Some(9), "{stderr}");
    asked.join().unwrap();
    let (code, _, stderr) = connect(&["ws://any.example/", "--unix", "/no/such/socket"]);
    assert_eq!(code, Some(6), "{stderr}");
}
