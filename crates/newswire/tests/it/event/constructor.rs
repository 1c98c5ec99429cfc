//! What the constructor takes and refuses, and what is asked of the server.

use super::{join, next_close, open, scripted};
use crate::support::PATIENCE;
use http::HeaderValue;
use http::header::{AUTHORIZATION, COOKIE, ORIGIN};
use newswire::Connector;
use newswire::event::{
    BinaryType, DomException, Event, ExceptionKind, Options, ReadyState, WebSocket,
};

/// A port that nobody listens on, to make sockets that need not get anywhere.
const NOWHERE: &str = "127.0.0.1:9";

#[track_caller]
fn assert_syntax_error<T: std::fmt::Debug>(made: Result<T, DomException>) -> String {
    let error = made.unwrap_err();
    assert_eq!(error.kind(), ExceptionKind::SyntaxError);
    assert_eq!((error.name(), error.kind().code()), ("SyntaxError", 12));
    assert!(error.to_string().starts_with("SyntaxError: "), "{error}");
    error.message().to_owned()
}

#[test]
fn a_new_socket_is_connecting_and_has_nothing() {
    let socket = open(&format!("ws://{NOWHERE}/"));
    assert_eq!(socket.ready_state(), ReadyState::Connecting);
    assert_eq!(u16::from(socket.ready_state()), 0);
    assert_eq!(socket.buffered_amount(), 0);
    assert_eq!((socket.protocol(), socket.extensions()), Default::default());
    assert_eq!(socket.binary_type(), BinaryType::Blob);
    assert_eq!(socket.failure(), None);
}

#[test]
fn the_url_is_written_as_the_url_standard_has_it() {
    for (given, url) in [
        ("ws://127.0.0.1:9", "ws://127.0.0.1:9/"),
        ("WS://LOCALHOST:9/A", "ws://localhost:9/A"),
        ("ws://localhost:80/", "ws://localhost/"),
        ("wss://localhost:443/", "wss://localhost/"),
        ("wss://localhost:80/", "wss://localhost:80/"),
        ("ws://localhost:9/a b?c d", "ws://localhost:9/a%20b?c%20d"),
        ("ws://localhost:9/ä?ö", "ws://localhost:9/%C3%A4?%C3%B6"),
        ("ws://localhost:9/a/../b/./c\\d", "ws://localhost:9/b/c/d"),
        ("  ws://localhost:9/\n", "ws://localhost:9/"),
        ("ws:localhost:9", "ws://localhost:9/"),
        ("ws://bücher.invalid/", "ws://xn--bcher-kva.invalid/"),
        ("ws://0x7f.1:9/", "ws://127.0.0.1:9/"),
        ("ws://[::1]:9/?", "ws://[::1]:9/?"),
        ("ws://user:pass@localhost:9/", "ws://user:pass@localhost:9/"),
    ] {
        assert_eq!(open(given).url(), url);
    }
}

#[test]
fn http_and_https_become_ws_and_wss() {
    for (given, url) in [
        ("http://localhost:9/a", "ws://localhost:9/a"),
        ("https://localhost:9/a", "wss://localhost:9/a"),
        ("http://localhost:80/", "ws://localhost/"),
        ("https://localhost:443/", "wss://localhost/"),
    ] {
        assert_eq!(open(given).url(), url);
    }
}

#[test]
fn a_url_is_relative_to_the_base_url() {
    let page = Options::new().base_url("https://localhost:9/a/page?x#y");
    let page = page.unwrap();
    for (given, url) in [
        ("", "wss://localhost:9/a/page?x"),
        ("chat", "wss://localhost:9/a/chat"),
        ("/chat", "wss://localhost:9/chat"),
        ("?room=1", "wss://localhost:9/a/page?room=1"),
        ("//127.0.0.1:9/", "wss://127.0.0.1:9/"),
        ("ws://127.0.0.1:9/", "ws://127.0.0.1:9/"),
    ] {
        assert_eq!(page.open(given, ()).unwrap().url(), url, "{given}");
    }
    let file = Options::new().base_url("file:///page.html").unwrap();
    assert_syntax_error(file.open("chat", ()));
    assert_syntax_error(Options::new().base_url("/page"));
}

#[test]
fn what_is_not_a_url_is_a_syntax_error() {
    for url in [
        "",
        "/echo",
        "localhost",
        "ws://",
        "ws://foo bar.com/",
        "wss://foo bar.com/",
        "ws://localhost:65536/",
        "ws://[::1/",
        "ws://a%20b/",
    ] {
        let message = assert_syntax_error(WebSocket::new(url, ()));
        assert!(message.contains(&format!("{url:?}")), "{message}");
    }
}

#[test]
fn another_scheme_is_a_syntax_error() {
    for url in [
        "ftp://localhost/",
        "mailto:example@example.org",
        "about:blank",
        "localhost:9998",
        "javascript:alert(1)",
    ] {
        let message = assert_syntax_error(WebSocket::new(url, ()));
        assert!(message.contains("ws, wss, http or https"), "{message}");
    }
}

#[test]
fn a_fragment_is_a_syntax_error_even_an_empty_one() {
    for url in [
        "ws://localhost/#",
        "wss://localhost/#a",
        "http://localhost/?#",
    ] {
        let message = assert_syntax_error(WebSocket::new(url, ()));
        assert!(message.contains("%23"), "{message}");
    }
    let page = Options::new().base_url("https://localhost/").unwrap();
    assert_syntax_error(page.open("#test", ()));
    // The base's is no part of the result.
    let page = Options::new().base_url("https://localhost:9/#a").unwrap();
    page.open("", ()).unwrap();
}

#[test]
fn protocols_that_are_no_tokens_are_syntax_errors() {
    let url = format!("ws://{NOWHERE}/");
    for name in [
        "", " ", "a b", "a,b", "a/b", "a\"b", "ä", "a\t", "\u{7f}", "(a)", "a=b", "[a]", "{a}",
        "a@b", "a:b", "a;b", "a<b", "a>b", "a?b", "a\\b",
    ] {
        assert_syntax_error(WebSocket::new(&url, name));
        assert_syntax_error(WebSocket::new(&url, ["good", name]));
    }
    for name in ["chat", "v1.0", "!#$%&'*+-.^_`|~09azAZ"] {
        WebSocket::new(&url, name).unwrap();
    }
}

#[test]
fn a_repeated_protocol_is_a_syntax_error_whatever_its_case() {
    let url = format!("ws://{NOWHERE}/");
    for names in [["echo", "echo"], ["echo", "eCho"]] {
        assert_syntax_error(WebSocket::new(&url, names));
    }
    WebSocket::new(&url, ["echo", "echo2"]).unwrap();
}

/// The request that a socket makes.
fn request_of(options: &Options, target: &str, protocols: &[&str]) -> String {
    let (url, running) = scripted(|script| {
        let request = script.accept();
        script.hang_up();
        request
    });
    let url = url.replace("ws://", "ws://user:p%40ss@") + target;
    let socket = options.open(&url, protocols).unwrap();
    // It fails sooner or later, which is no matter here.
    while socket.next_event(PATIENCE).is_some() {}
    join(running)
}

#[test]
fn the_request_is_what_the_url_and_the_protocols_say() {
    let request = request_of(&Options::new(), "a%20b?c", &["v2", "v1"]);
    assert!(
        request.starts_with("GET /a%20b?c HTTP/1.1\r\n"),
        "{request}"
    );
    assert!(
        request.contains("\r\nSec-WebSocket-Protocol: v2, v1\r\n"),
        "{request}"
    );
    assert!(request.contains("\r\nHost: 127.0.0.1:"), "{request}");
    assert!(!request.contains("user"), "{request}");
    let request = request_of(&Options::new(), "", &[]);
    assert!(request.starts_with("GET / HTTP/1.1\r\n"), "{request}");
    assert!(!request.contains("Sec-WebSocket-Protocol"), "{request}");
}

#[test]
fn a_user_and_password_in_the_url_are_sent_as_basic_authentication() {
    // user:p@ss
    let header = "\r\nAuthorization: Basic dXNlcjpwQHNz\r\n";
    assert!(request_of(&Options::new(), "", &[]).contains(header));
    // A header of one's own goes before them.
    let connector = Connector::new().header(AUTHORIZATION, HeaderValue::from_static("Bearer x"));
    let request = request_of(&Options::new().connector(connector), "", &[]);
    assert!(
        request.contains("\r\nAuthorization: Bearer x\r\n"),
        "{request}"
    );
    assert!(!request.contains("Basic"), "{request}");
}

#[test]
fn the_connectors_headers_are_sent() {
    let connector = Connector::new()
        .header(ORIGIN, HeaderValue::from_static("https://example.com"))
        .header(COOKIE, HeaderValue::from_static("a=b"))
        // The constructor's count.
        .subprotocols(["ignored"]);
    let request = request_of(&Options::new().connector(connector), "", &[]);
    assert!(
        request.contains("\r\nOrigin: https://example.com\r\n"),
        "{request}"
    );
    assert!(request.contains("\r\nCookie: a=b\r\n"), "{request}");
    assert!(!request.contains("ignored"), "{request}");
}

#[test]
fn one_protocol_may_be_given_as_a_string_and_the_chosen_one_is_shown() {
    for protocols in [vec!["chat"], vec!["v9", "chat"]] {
        let (url, running) = scripted(|script| {
            let request = script.accept_with("Sec-WebSocket-Protocol: chat\r\n");
            script.close(1000, "");
            script.hang_up();
            request
        });
        let socket = match protocols[..] {
            [one] => WebSocket::new(&url, one),
            _ => WebSocket::new(&url, protocols),
        };
        let socket = socket.unwrap();
        assert_eq!(socket.next_event(PATIENCE), Some(Event::Open));
        assert_eq!(socket.protocol(), "chat");
        assert_eq!(next_close(&socket), (true, 1000, String::new()));
        assert_eq!(socket.protocol(), "chat");
        assert!(join(running).contains("chat\r\n"));
    }
}
