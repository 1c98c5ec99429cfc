//! The client's half: the request it writes, and which responses it does not take.

use http::header::{AUTHORIZATION, HOST, HeaderMap, HeaderValue};
use http::{HeaderName, StatusCode};
use newswire_proto::handshake::{ClientHandshake, HandshakeMisuse, Negotiated, ResponseError};

use crate::handshake::{FRAMES, client_with_key, response};

const ANSWER: &str = "HTTP/1.1 101 Switching Protocols\r\n\
    Upgrade: websocket\r\n\
    Connection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// The answer with one part changed. Its end, `\r\n\r\n`, is where headers are added.
fn with(part: &str, other: &str) -> String {
    assert_eq!(
        ANSWER.matches(part).count(),
        1,
        "{part:?} stands in it once"
    );
    ANSWER.replace(part, other)
}

fn client() -> ClientHandshake {
    client_with_key("wss://Example.com:443/chat?a=b", "dGhlIHNhbXBsZSBub25jZQ==")
}

fn verify(client: &ClientHandshake, answer: &str) -> Result<Negotiated, ResponseError> {
    client.verify(&response(answer).expect("the head is legal"))
}

fn headers(list: &[(&'static str, &'static str)]) -> HeaderMap {
    let pair = |&(name, value)| {
        (
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        )
    };
    list.iter().map(pair).collect()
}

#[test]
fn the_request_is_the_one_that_the_rfc_asks_for() {
    let client = client()
        .with_subprotocols(["v2.chat", "chat"])
        .and_then(|client| client.with_headers(&headers(&[("origin", "https://example.com")])))
        .expect("all of it is legal");
    let expected = "GET /chat?a=b HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\n\
        Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: v2.chat, chat\r\n\
        Origin: https://example.com\r\n\r\n";
    assert_eq!(String::from_utf8_lossy(&client.to_bytes()), expected);
    let none: [&str; 0] = [];
    let client = client
        .with_subprotocols(none)
        .expect("offering none is legal");
    assert!(
        !client
            .request()
            .headers()
            .contains_key("sec-websocket-protocol")
    );
}

#[test]
fn subprotocols_that_are_no_tokens_or_come_twice_are_misuse() {
    for name in ["", "a b", "a,b", "a/b", "\u{e4}", "a\r\n"] {
        let misuse = client().with_subprotocols(["ok", name]).expect_err(name);
        assert_eq!(misuse, HandshakeMisuse::InvalidSubprotocol(name.to_owned()));
    }
    let misuse = client()
        .with_subprotocols(["a", "A", "a"])
        .expect_err("a comes twice");
    assert_eq!(misuse, HandshakeMisuse::RepeatedSubprotocol("a".to_owned()));
}

#[test]
fn the_handshakes_own_headers_cannot_be_added_and_host_can_be_replaced() {
    for name in [
        "upgrade",
        "connection",
        "content-length",
        "transfer-encoding",
        "sec-websocket-key",
        "sec-websocket-protocol",
    ] {
        let misuse = client()
            .with_headers(&headers(&[(name, "1")]))
            .expect_err(name);
        assert_eq!(
            misuse,
            HandshakeMisuse::ReservedHeader(HeaderName::from_static(name))
        );
    }
    let replaced = client()
        .with_headers(&headers(&[
            ("host", "other.example:8080"),
            ("authorization", "Basic YTpi"),
        ]))
        .expect("a host is legal");
    let request = replaced.request().headers();
    assert_eq!(
        request.get_all(HOST).iter().collect::<Vec<_>>(),
        ["other.example:8080"]
    );
    assert_eq!(request[AUTHORIZATION], "Basic YTpi");
    for host in ["", ":80", "a b", "u@a", "a:b", "[::1"] {
        let misuse = client()
            .with_headers(&headers(&[("host", host)]))
            .expect_err(host);
        assert!(
            matches!(misuse, HandshakeMisuse::InvalidHost(_)),
            "{misuse}"
        );
    }
    let mut twice = headers(&[("host", "a")]);
    twice.append(HOST, HeaderValue::from_static("b"));
    assert!(matches!(
        client().with_headers(&twice),
        Err(HandshakeMisuse::InvalidHost(_))
    ));
}

#[rustfmt::skip]
const TAKEN: &[(&str, &str, Option<&str>)] = &[
    ("Switching Protocols", "Whatever", None),
    ("Upgrade: websocket", "upgrade:\tWEBSOCKET ", None),
    ("Connection: Upgrade", "Connection: keep-alive, upgrade", None),
    ("Connection: Upgrade", "Connection: keep-alive\r\nConnection: Upgrade", None),
    ("xOo=", "xOo= \t", None),
    ("\r\n\r\n", "\r\nContent-Length: 0\r\n\r\n", None),
    ("\r\n\r\n", "\r\nSec-WebSocket-Protocol: b\r\n\r\n", Some("b")),
];

#[test]
fn legal_answers_of_every_form_are_taken() {
    let client = client()
        .with_subprotocols(["a", "b"])
        .expect("they are tokens");
    for &(part, other, subprotocol) in TAKEN {
        let answer = with(part, other);
        let bytes = [answer.as_bytes(), FRAMES].concat();
        let head = response(&bytes).expect("the head is legal");
        let negotiated = client
            .verify(&head)
            .unwrap_or_else(|error| panic!("{answer:?}: {error}"));
        assert_eq!(negotiated.subprotocol(), subprotocol, "{answer:?}");
        assert_eq!(&bytes[negotiated.head_len()..], FRAMES);
    }
}

#[rustfmt::skip]
const FAILING: &[(&str, &str, &str)] = &[
    ("HTTP/1.1", "HTTP/1.0", "expected 101 in HTTP/1.1, it came in HTTP/1.0"),
    ("Upgrade: websocket\r\n", "", "expected Upgrade: websocket, found no such header"),
    ("Upgrade: websocket", "Upgrade: h2c", "expected Upgrade: websocket, found \"h2c\""),
    ("Upgrade: websocket", "Upgrade: websocket, h2c", "found \"websocket, h2c\""),
    ("Connection: Upgrade\r\n", "", "expected Connection: Upgrade, found no such header"),
    ("Connection: Upgrade", "Connection: close", "expected Connection: Upgrade, found \"close\""),
    ("Sec-WebSocket-Accept", "X", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=, found no such header"),
    ("s3pP", "S3pP", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=, found \"S3pPLMBiTxaQ9kYGzzhZRbK+xOo=\""),
    ("xOo=", "xOo=, a", "found \"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=, a\""),
    ("\r\n\r\n", "\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n", "xOo=, s3pP"),
    ("\r\n\r\n", "\r\nSec-WebSocket-Extensions:\r\n\r\n", "not offered: \"\""),
    ("\r\n\r\n", "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n", "not offered: \"permessage-deflate\""),
    ("\r\n\r\n", "\r\nSec-WebSocket-Protocol: c\r\n\r\n", "expected one subprotocol of a, b, the server chose \"c\""),
    ("\r\n\r\n", "\r\nSec-WebSocket-Protocol: A\r\n\r\n", "the server chose \"A\""),
    ("\r\n\r\n", "\r\nSec-WebSocket-Protocol: a, b\r\n\r\n", "the server chose \"a, b\""),
    ("\r\n\r\n", "\r\nSec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: a\r\n\r\n", "the server chose \"a, a\""),
    ("\r\n\r\n", "\r\nSec-WebSocket-Protocol:\r\n\r\n", "the server chose \"\""),
];

#[test]
fn answers_that_break_a_rule_fail_and_say_what_was_expected_and_what_came() {
    let client = client()
        .with_subprotocols(["a", "b"])
        .expect("they are tokens");
    for &(part, other, text) in FAILING {
        let answer = with(part, other);
        let error = verify(&client, &answer)
            .err()
            .unwrap_or_else(|| panic!("taken: {answer:?}"));
        assert!(error.to_string().contains(text), "{answer:?}: {error}");
    }
    let error = verify(
        &self::client(),
        &with("\r\n\r\n", "\r\nSec-WebSocket-Protocol: a\r\n\r\n"),
    )
    .expect_err("none was offered");
    assert_eq!(
        error.to_string(),
        "no subprotocol was offered, the server chose \"a\""
    );
}

#[test]
fn an_answer_to_another_key_names_the_two_values() {
    let other = client_with_key("ws://example.com", "sN9cRrP/n9NdMgdcy2VJFQ==");
    let error = verify(&other, ANSWER).expect_err("it answers another key");
    assert!(matches!(error, ResponseError::Accept { expected, found }
        if expected == "fFBooB7FAkLlXgRSz0BT3v4hq5s=" && found.contains("s3pPLMBi")));
}

#[test]
fn a_refusal_keeps_the_whole_response() {
    let answer = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"a\"\r\n\
        Content-Length: 2\r\n\r\nno";
    let error = verify(&client(), answer).expect_err("it is a refusal");
    assert_eq!(
        error.to_string(),
        "expected status 101, the server answered 401 Unauthorized"
    );
    let ResponseError::Status(response) = error else {
        panic!("{error:?}")
    };
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(response.headers()["www-authenticate"], "Basic realm=\"a\"");
}
