//! The server's half: which handshakes are refused, with which status and words, and the answers.

use http::header::{CONNECTION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER, SET_COOKIE};
use http::{HeaderName, Method, Request, StatusCode};
use newswire_proto::handshake::{HandshakeMisuse, HeadReader, Rejection, Upgrade, is_upgrade};

use crate::handshake::{FRAMES, judge, request, response};

const HANDSHAKE: &str = "GET /chat HTTP/1.1\r\n\
    Host: example.com\r\n\
    Upgrade: websocket\r\n\
    Connection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\n\r\n";

/// The handshake with one part changed. Its end, `\r\n\r\n`, is where headers are added.
fn with(part: &str, other: &str) -> String {
    assert_eq!(
        HANDSHAKE.matches(part).count(),
        1,
        "{part:?} stands in it once"
    );
    HANDSHAKE.replace(part, other)
}

#[rustfmt::skip]
const REFUSED: &[(&str, &str, u16, &str)] = &[
    ("GET", "POST", 405, "is a GET request, not POST"),
    ("GET", "HEAD", 405, "is a GET request, not HEAD"),
    ("/chat", "ftp://example.com/chat", 400, "request target"),
    ("HTTP/1.1", "HTTP/1.0", 426, "HTTP/1.0 cannot be upgraded"),
    ("Upgrade: websocket\r\n", "", 426, "connect with a WebSocket client"),
    ("Upgrade: websocket", "Upgrade: h2c", 426, "connect with a WebSocket client"),
    ("Upgrade: websocket", "Upgrade: websockets", 426, "connect with a WebSocket client"),
    ("Connection: Upgrade\r\n", "", 400, "must contain Upgrade"),
    ("Connection: Upgrade", "Connection: keep-alive", 400, "must contain Upgrade"),
    ("Host: example.com", "Host:", 400, "one Host header"),
    ("Host: example.com", "Host: :80", 400, "one Host header"),
    ("Host: example.com\r\n", "", 400, "no Host header"),
    ("Sec-WebSocket-Key", "X", 400, "no Sec-WebSocket-Key"),
    ("dGhlIHNhbXBsZSBub25jZQ==", "abc", 400, "\"abc\" is not base64 of 16 bytes"),
    ("dGhlIHNhbXBsZSBub25jZQ==", "", 400, "\"\" is not base64 of 16 bytes"),
    ("\r\n\r\n", "\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", 400, "more than one Sec-WebSocket-Key"),
    ("Version: 13", "Version: 8", 426, "version \"8\" is not spoken here"),
    ("Version: 13", "Version: 8, 13", 426, "version \"8, 13\" is not spoken here"),
    ("Version: 13", "Version: 013", 426, "version \"013\" is not spoken here"),
    ("Sec-WebSocket-Version: 13\r\n", "", 426, "no Sec-WebSocket-Version"),
    ("\r\n\r\n", "\r\nSec-WebSocket-Version: 13\r\n\r\n", 400, "more than one Sec-WebSocket-Version"),
    ("\r\n\r\n", "\r\nSec-WebSocket-Extensions:\r\n\r\n", 400, "names with parameters"),
    ("\r\n\r\n", "\r\nSec-WebSocket-Extensions: a b\r\n\r\n", 400, "names with parameters"),
    ("\r\n\r\n", "\r\nSec-WebSocket-Extensions: a; \r\n\r\n", 400, "names with parameters"),
    ("\r\n\r\n", "\r\nSec-WebSocket-Extensions: a;b=\r\n\r\n", 400, "names with parameters"),
    ("\r\n\r\n", "\r\nSec-WebSocket-Extensions: a;b=\"c\r\n\r\n", 400, "names with parameters"),
    ("\r\n\r\n", "\r\nSec-WebSocket-Extensions: a;b=\"\"\r\n\r\n", 400, "names with parameters"),
    ("\r\n\r\n", "\r\nSec-WebSocket-Extensions: =\r\n\r\n", 400, "names with parameters"),
    ("\r\n\r\n", "\r\nSec-WebSocket-Extensions:, ,\r\n\r\n", 400, "names with parameters"),
    ("\r\n\r\n", "\r\nSec-WebSocket-Extensions: a/b\r\n\r\n", 400, "names with parameters"),
    ("\r\n\r\n", "\r\nContent-Length: 1\r\n\r\n", 400, "has no body"),
    ("\r\n\r\n", "\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "has no body"),
    ("\r\n\r\n", "\r\nSec-WebSocket-Protocol: a, b, a\r\n\r\n", 400, "offers a twice"),
    ("\r\n\r\n", "\r\nSec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: a\r\n\r\n", 400, "offers a twice"),
    ("\r\n\r\n", "\r\nSec-WebSocket-Protocol: a,,b\r\n\r\n", 400, "offers \"\", which is not a token"),
    ("\r\n\r\n", "\r\nSec-WebSocket-Protocol:\r\n\r\n", 400, "offers \"\", which is not a token"),
    ("\r\n\r\n", "\r\nSec-WebSocket-Protocol: a b\r\n\r\n", 400, "offers \"a b\", which is not a token"),
    ("\r\n\r\n", "\r\nSec-WebSocket-Protocol: a/b\r\n\r\n", 400, "offers \"a/b\", which is not a token"),
];

#[test]
fn handshakes_that_break_a_rule_are_refused_with_the_status_that_says_so() {
    for &(part, other, status, reason) in REFUSED {
        let head = with(part, other);
        let rejection = judge(&head)
            .err()
            .unwrap_or_else(|| panic!("not refused: {head:?}"));
        assert_eq!(rejection.status().as_u16(), status, "{head:?}: {rejection}");
        assert!(rejection.reason().contains(reason), "{head:?}: {rejection}");
        let answer = response(rejection.to_bytes())
            .expect("the answer is legal HTTP")
            .message;
        let headers = answer.headers();
        assert_eq!(answer.status().as_u16(), status);
        assert_eq!(headers.get("allow").is_some(), status == 405);
        // RFC 9110 §15.5.22: a 426 says which protocol is required.
        assert_eq!(headers.contains_key("upgrade"), status == 426);
        assert_eq!(headers.contains_key("sec-websocket-version"), status == 426);
        if status == 426 {
            assert_eq!(headers["upgrade"], "websocket");
            assert_eq!(headers["sec-websocket-version"], "13");
            assert_eq!(headers[CONNECTION], "Upgrade, close");
        }
    }
}

#[rustfmt::skip]
const ACCEPTED: &[(&str, &str)] = &[
    ("Upgrade: websocket", "UPGRADE: WebSocket"),
    ("Upgrade: websocket", "Upgrade: h2c, WEBSOCKET/13 , foo"),
    ("Upgrade: websocket", "Upgrade: h2c\r\nUpgrade: websocket"),
    ("Connection: Upgrade", "Connection: keep-alive, Upgrade"),
    ("Connection: Upgrade", "Connection: keep-alive\r\nConnection: ,upgrade,"),
    ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "sec-websocket-key:dGhlIHNhbXBsZSBub25jZQ== \t"),
    ("/chat", "http://example.com/chat"),
    ("/chat", "ws://example.com/chat"),
    ("\r\n\r\n", "\r\nSec-WebSocket-Extensions: a;b ; c = d,, e;f=\"g\"\r\n\r\n"),
    ("\r\n\r\n", "\r\nContent-Length: 0\r\n\r\n"),
    ("\r\n\r\n", "\r\nSec-WebSocket-Extensions: permessage-deflate; a=\"b\"\r\n\r\n"),
];

#[test]
fn handshakes_in_every_legal_form_are_accepted() {
    for &(part, other) in ACCEPTED {
        let head = with(part, other);
        let bytes = [head.as_bytes(), FRAMES].concat();
        let upgrade = judge(&bytes).unwrap_or_else(|rejection| panic!("{head:?}: {rejection}"));
        let accepted = upgrade.accept(None).expect("no subprotocol is no misuse");
        assert_eq!(&bytes[accepted.negotiated().head_len()..], FRAMES);
        let answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
            Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
        assert_eq!(String::from_utf8_lossy(&accepted.to_bytes()), answer);
    }
}

#[test]
fn only_http_1_1_requests_that_name_websocket_are_upgrades() {
    for (head, expected) in [
        (HANDSHAKE.to_owned(), true),
        (with("GET", "POST"), true),
        (with("Connection: Upgrade\r\n", ""), true),
        (
            with("Upgrade: websocket", "Upgrade: foo, WebSocket/13"),
            true,
        ),
        (with("Upgrade: websocket", "Upgrade: h2c"), false),
        (with("Upgrade: websocket\r\n", ""), false),
        (with("HTTP/1.1", "HTTP/1.0"), false),
    ] {
        let read = request(&head).expect("the head is legal");
        assert_eq!(is_upgrade(&read.message), expected, "{head:?}");
    }
}

#[test]
fn subprotocols_are_offered_in_order_over_all_lines_and_one_of_them_is_chosen() {
    let offers = "Sec-WebSocket-Protocol: v2.chat,chat\r\nsec-websocket-protocol: Chat\r\n";
    let head = with("\r\n\r\n", &format!("\r\n{offers}\r\n"));
    let upgrade = judge(head).expect("the offers are legal");
    assert_eq!(upgrade.subprotocols(), ["v2.chat", "chat", "Chat"]);
    let accepted = upgrade.accept(Some("chat")).expect("chat is offered");
    assert_eq!(accepted.negotiated().subprotocol(), Some("chat"));
    assert_eq!(
        accepted.response().headers()["sec-websocket-protocol"],
        "chat"
    );
    let misuse = upgrade.accept(Some("CHAT")).expect_err("names have case");
    assert!(
        matches!(&misuse, HandshakeMisuse::SubprotocolNotOffered { chosen, offered }
        if chosen == "CHAT" && offered.len() == 3)
    );
    assert!(misuse.to_string().contains("\"v2.chat\""), "{misuse}");
}

#[test]
fn a_request_that_another_library_read_is_judged_the_same_way() {
    let head = request(HANDSHAKE).expect("the head is legal");
    let other: Request<&str> = head.message.clone().map(|()| "a body type");
    let upgrade = Upgrade::from_request(&other).expect("the handshake is legal");
    let accepted = upgrade.accept(None).expect("no misuse");
    let answer = accepted.response();
    assert_eq!(answer.status(), StatusCode::SWITCHING_PROTOCOLS);
    assert_eq!(accepted.into_negotiated().head_len(), 0);
}

#[test]
fn the_answer_is_the_same_as_bytes_and_as_a_response() {
    let offers = "Sec-WebSocket-Protocol: v2.chat,chat\r\n";
    let mut extra = HeaderMap::new();
    extra.append("set-cookie", HeaderValue::from_static("a=1"));
    extra.append("set-cookie", HeaderValue::from_static("b=2"));
    extra.append("x-seen", HeaderValue::from_static("yes"));
    for subprotocol in [None, Some("chat")] {
        for extra in [&HeaderMap::new(), &extra] {
            let head = with("\r\n\r\n", &format!("\r\n{offers}\r\n"));
            let accepted = judge(head).expect("legal").accept(subprotocol);
            let accepted = accepted.expect("offered").with_headers(extra);
            let accepted = accepted.expect("not the handshake's");
            let bytes = accepted.to_bytes();
            let read = HeadReader::default().read_response(&bytes);
            let read = read.expect("legal").expect("whole").message;
            let response = accepted.response();
            assert_eq!(read.status(), response.status());
            assert_eq!(read.headers(), response.headers());
            assert_eq!(
                read.headers().len(),
                3 + extra.len() + subprotocol.iter().count()
            );
        }
    }
}

#[test]
fn headers_can_be_added_to_the_answer_but_not_the_handshakes_own() {
    let accept = || {
        judge(HANDSHAKE)
            .expect("legal")
            .accept(None)
            .expect("no misuse")
    };
    let mut extra = HeaderMap::new();
    extra.append(SET_COOKIE, HeaderValue::from_static("a=1"));
    extra.append(SET_COOKIE, HeaderValue::from_static("b=2"));
    let bytes = accept()
        .with_headers(&extra)
        .expect("cookies may be set")
        .to_bytes();
    let answer = String::from_utf8_lossy(&bytes).into_owned();
    assert!(
        answer.ends_with("\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\n"),
        "{answer}"
    );
    for name in [
        "upgrade",
        "connection",
        "content-length",
        "transfer-encoding",
        "sec-websocket-accept",
        "sec-websocket-foo",
    ] {
        let mut extra = extra.clone();
        extra.insert(HeaderName::from_static(name), HeaderValue::from_static("1"));
        let misuse = accept()
            .with_headers(&extra)
            .expect_err("it is the handshake's own");
        assert_eq!(
            misuse,
            HandshakeMisuse::ReservedHeader(HeaderName::from_static(name))
        );
    }
}

#[test]
fn a_rejection_is_a_short_text_that_ends_the_connection() {
    let retry = HeaderValue::from_static("5");
    for (rejection, status) in [
        (Rejection::bad_request("no"), 400),
        (
            Rejection::new(
                StatusCode::FORBIDDEN,
                "the origin http://a.example may not connect",
            ),
            403,
        ),
        (Rejection::not_found(), 404),
        (Rejection::request_timeout(), 408),
        (Rejection::upgrade_required(), 426),
        (
            Rejection::service_unavailable("too many connections").with_header(RETRY_AFTER, retry),
            503,
        ),
    ] {
        let bytes = rejection.to_bytes();
        let answer = response(&bytes).expect("the answer is legal HTTP");
        let headers = answer.message.headers();
        let body = &bytes[answer.len..];
        assert_eq!(answer.message.status().as_u16(), status);
        assert_eq!(body, format!("{}\n", rejection.reason()).as_bytes());
        assert_eq!(headers["content-length"], body.len().to_string());
        assert_eq!(headers[CONTENT_TYPE], "text/plain; charset=utf-8");
        assert!(headers[CONNECTION].as_bytes().ends_with(b"close"));
        assert_eq!(headers.contains_key(RETRY_AFTER), status == 503);
        let line = rejection.to_string();
        assert!(
            line.starts_with(&format!("{status} ")) && line.ends_with(rejection.reason()),
            "{line}"
        );
    }
}

#[test]
fn a_rejection_of_head_has_no_content() {
    let head = with("GET", "HEAD");
    let refused = judge(&head).expect_err("HEAD is no handshake");
    let not_found = Rejection::not_found().for_method(&Method::HEAD);
    for rejection in [refused, not_found] {
        let bytes = rejection.to_bytes();
        let answer = response(&bytes).expect("the answer is legal HTTP");
        assert_eq!(answer.len, bytes.len(), "nothing stands behind the head");
        let length = rejection.reason().len() + 1;
        assert_eq!(
            answer.message.headers()["content-length"],
            length.to_string()
        );
    }
    assert!(
        Rejection::not_found()
            .for_method(&Method::GET)
            .to_bytes()
            .ends_with(b"path\n")
    );
}

#[test]
fn a_rejections_reason_stays_one_line() {
    let rejection = Rejection::bad_request("a\r\nX-Injected: b\u{1b}[31m");
    assert_eq!(rejection.reason(), "a  X-Injected: b [31m");
}
