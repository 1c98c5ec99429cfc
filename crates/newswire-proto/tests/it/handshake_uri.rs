//! `ws://` and `wss://` URIs: their parts, and those that cannot be connected to.

use newswire_proto::handshake::WebSocketUri;

#[rustfmt::skip]
const LEGAL: &[(&str, bool, &str, u16, &str, &str)] = &[
    ("ws://localhost:9998/echo", false, "localhost", 9998, "localhost:9998", "/echo"),
    ("ws://echo.websocket.org/", false, "echo.websocket.org", 80, "echo.websocket.org", "/"),
    ("wss://example.com", true, "example.com", 443, "example.com", "/"),
    ("WSS://EXAMPLE.com:443/A", true, "example.com", 443, "example.com", "/A"),
    ("ws://example.com:443", false, "example.com", 443, "example.com:443", "/"),
    ("wss://example.com:80?a=/b?c", true, "example.com", 80, "example.com:80", "/?a=/b?c"),
    ("ws://example.com:/a//b%20c?", false, "example.com", 80, "example.com", "/a//b%20c"),
    ("ws://[::1]:9998/", false, "::1", 9998, "[::1]:9998", "/"),
    ("wss://[2001:DB8::1]", true, "2001:db8::1", 443, "[2001:db8::1]", "/"),
    ("ws://127.0.0.1:0", false, "127.0.0.1", 0, "127.0.0.1:0", "/"),
    ("ws://my_host-1.xn--bcher-kva.test", false, "my_host-1.xn--bcher-kva.test", 80, "my_host-1.xn--bcher-kva.test", "/"),
];

#[test]
fn a_uri_has_its_parts_and_their_defaults() {
    for &(text, secure, host, port, host_header, target) in LEGAL {
        let uri: WebSocketUri = text
            .parse()
            .unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(uri.is_secure(), secure, "{text}");
        assert_eq!((uri.host(), uri.port()), (host, port), "{text}");
        assert_eq!(
            (uri.host_header().as_str(), uri.target()),
            (host_header, target),
            "{text}"
        );
        assert_eq!(uri.to_string().parse(), Ok(uri), "{text}");
    }
}

#[rustfmt::skip]
const REFUSED: &[(&str, &str)] = &[
    ("", "a WebSocket URI starts with ws:// or wss://"),
    ("localhost:9998/echo", "a WebSocket URI starts with ws:// or wss://"),
    ("ws:/a", "a WebSocket URI starts with ws:// or wss://"),
    ("ftp://a/", "\"ftp\" cannot be connected to: a WebSocket URI starts with ws:// or wss://"),
    (" ws://a/", "scheme \" ws\" cannot be connected to"),
    ("http://a/", "use ws:// instead"),
    ("HTTPS://a/", "use wss:// instead"),
    ("ws://", "names no host"),
    ("ws:///a", "names no host"),
    ("ws://:80/", "names no host"),
    ("ws://u:p@a/", "send an Authorization header instead"),
    ("ws://a/#b", "write # as %23"),
    ("ws://a#", "write # as %23"),
    ("ws://a:65536/", "\"a:65536\" is not a host with an optional port up to 65535"),
    ("ws://a:+8/", "\"a:+8\" is not a host"),
    ("ws://a:8:8/", "\"a:8:8\" is not a host"),
    ("ws://::1/", "\"::1\" is not a host with an optional port up to 65535 (IPv6 addresses go in brackets"),
    ("ws://[::1/", "\"[::1\" is not a host"),
    ("ws://[::1]a/", "\"[::1]a\" is not a host"),
    ("ws://[example]/", "\"[example]\" is not a host"),
    ("ws://b\u{fc}cher.test/", "\"b\\xc3\\xbccher.test\" is not a host"),
    ("ws://a%41/", "\"a%41\" is not a host"),
    ("ws://a b/", "\"a b\" is not a host"),
    ("ws://a\r\n/", "\"a\\r\\n\" is not a host"),
    ("ws://a/b c", "\"/b c\" has characters that must be percent-encoded"),
    ("ws://a/\u{fc}", "\"/\\xc3\\xbc\" has characters that must be percent-encoded"),
    ("ws://a?\r\nX: y", "\"?\\r\\nX: y\" has characters that must be percent-encoded"),
];

#[test]
fn uris_that_cannot_be_connected_to_say_why() {
    for &(text, reason) in REFUSED {
        let got = WebSocketUri::parse(text).expect_err(text);
        assert!(got.to_string().contains(reason), "{text:?}: {got}");
        assert!(!got.to_string().contains('\n'), "{text:?}: {got}");
    }
}

#[test]
fn an_empty_query_leaves_no_question_mark() {
    for (uri, target) in [
        ("ws://host/chat?", "/chat"),
        ("ws://host?", "/"),
        ("ws://host/chat?a?", "/chat?a?"),
    ] {
        let uri = WebSocketUri::parse(uri).unwrap();
        assert_eq!(uri.target(), target);
    }
}
