//! Heads of HTTP/1.1: what is read, what is refused and with which words, and how much work it is.

use http::{Method, StatusCode, Version};
use newswire_proto::handshake::{HeadError, HeadLimits, HeadReader, Rejection};

use crate::handshake::{FRAMES, read_in_every_cut, request, response};

/// The status that a server answers this head with, and the words.
fn refused(head: impl AsRef<[u8]>) -> (u16, String) {
    let head = head.as_ref();
    let shown = head.escape_ascii();
    let error = request(head)
        .err()
        .unwrap_or_else(|| panic!("not refused: {shown}"));
    let rejection = Rejection::from(error);
    (rejection.status().as_u16(), rejection.reason().to_owned())
}

#[rustfmt::skip]
const REFUSED: &[(&str, u16, &str)] = &[
    // Bytes that no line may have.
    ("GET / HTTP/1.1\nHost: a\r\n\r\n", 400, "byte 14 is a line feed without"),
    ("GET / HTTP/1.1\r\nHost: a\n\r\n", 400, "byte 23 is a line feed without"),
    ("GET / HTTP/1.1\r\nHost: a\r\n\n", 400, "byte 25 is a line feed without"),
    ("GET / HTTP/1.1\rHost: a\r\n\r\n", 400, "byte 14 is a carriage return without"),
    ("GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n", 400, "byte 23 is a carriage return without"),
    ("GET / HTTP/1.1\r\nHost: a\r\r\n\r\n", 400, "byte 23 is a carriage return without"),
    ("GET / HTTP/1.1\r\nHost: a\0\r\n\r\n", 400, "control character 0x00"),
    ("GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n", 400, "control character 0x01"),
    ("GET / HTTP/1.1\r\nHost: a\r\nX\x7f: b\r\n\r\n", 400, "control character 0x7f"),
    // Lines that no head may have.
    ("GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n", 400, "begins with whitespace"),
    ("GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n\tc\r\n\r\n", 400, "begins with whitespace"),
    ("GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400, "begins with whitespace"),
    ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400, "whitespace stands between the header name \"Host\""),
    ("GET / HTTP/1.1\r\nHost\t: a\r\n\r\n", 400, "whitespace stands between the header name \"Host\""),
    ("GET / HTTP/1.1\r\nHost: a\r\nnonsense\r\n\r\n", 400, "the header line \"nonsense\""),
    ("GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", 400, "the header line \"\""),
    ("GET / HTTP/1.1\r\nHost: a\r\nX(y): b\r\n\r\n", 400, "the header line \"X(y)\""),
    ("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "begins with an empty line"),
    // Request lines.
    ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "the request line \"GET  / HTTP/1.1\""),
    ("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400, "the request line"),
    (" GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "the request line"),
    ("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400, "the request line"),
    ("GET /\r\nHost: a\r\n\r\n", 400, "the request line"),
    ("G@T / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "the request line"),
    ("GET / http/1.1\r\nHost: a\r\n\r\n", 400, "the request line"),
    ("GET / HTTP/1.10\r\nHost: a\r\n\r\n", 400, "the request line"),
    ("HTTP/1.1 200 OK\r\nHost: a\r\n\r\n", 400, "the request line"),
    ("GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505, "\"HTTP/1.2\" is not understood"),
    ("GET / HTTP/0.9\r\n\r\n", 505, "\"HTTP/0.9\" is not understood"),
    ("GET / HTTP/2.0\r\n\r\n", 505, "\"HTTP/2.0\" is not understood"),
    // Targets.
    ("GET chat HTTP/1.1\r\nHost: a\r\n\r\n", 400, "the request target \"chat\""),
    ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400, "the request target \"*\""),
    ("GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 400, "the request target \"a:80\""),
    ("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400, "the request target \"/a#b\""),
    ("GET /ä HTTP/1.1\r\nHost: a\r\n\r\n", 400, "the request target \"/\\xc3\\xa4\""),
    ("GET /a\tb HTTP/1.1\r\nHost: a\r\n\r\n", 400, "the request target \"/a\\tb\""),
    ("GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "the request target \"http://u@a/\""),
    ("CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "the request target \"/\""),
    ("CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n", 400, "the request target \"a\""),
    // Host.
    ("GET / HTTP/1.1\r\n\r\n", 400, "there is no Host"),
    ("GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", 400, "more than one Host"),
    ("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", 400, "more than one Host"),
    ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400, "the Host header \"a b\""),
    ("GET / HTTP/1.1\r\nHost: a,b/c\r\n\r\n", 400, "the Host header"),
    ("GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", 400, "the Host header"),
    ("GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n", 400, "the Host header"),
    ("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400, "the Host header"),
    ("GET / HTTP/1.1\r\nHost: a%zz\r\n\r\n", 400, "the Host header"),
    ("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", 400, "the Host header"),
    ("GET / HTTP/1.1\r\nHost: [a]\r\n\r\n", 400, "the Host header"),
    ("GET / HTTP/1.1\r\nHost: ::1\r\n\r\n", 400, "the Host header"),
    ("GET / HTTP/1.1\r\nHost: ä\r\n\r\n", 400, "the Host header"),
    // Where the body ends.
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "contradict"),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400, "two values"),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 2\r\n\r\n", 400, "two values"),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n", 400, "the Content-Length \"+1\""),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x1\r\n\r\n", 400, "the Content-Length \"0x1\""),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", 400, "the Content-Length \"\""),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551616\r\n\r\n", 400, "the Content-Length"),
    ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "HTTP/1.0 has no Transfer-Encoding"),
];

#[test]
fn malformed_requests_are_refused_with_the_reason() {
    for &(head, status, reason) in REFUSED {
        let (got, text) = refused(head);
        assert_eq!(got, status, "{head:?}: {text}");
        assert!(
            text.contains(reason),
            "{head:?}: {text:?} does not say {reason:?}"
        );
    }
}

#[rustfmt::skip]
const READ: &[(&str, Method, &str)] = &[
    ("GET /chat?a=b HTTP/1.1\r\nHost: a\r\n\r\n", Method::GET, "/chat?a=b"),
    ("GET //a HTTP/1.1\r\nHost: a\r\n\r\n", Method::GET, "//a"),
    ("GET / HTTP/1.0\r\n\r\n", Method::GET, "/"),
    ("GET http://a.example:8080/b HTTP/1.1\r\nHost: a\r\n\r\n", Method::GET, "http://a.example:8080/b"),
    ("OPTIONS * HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", Method::OPTIONS, "*"),
    ("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", Method::CONNECT, "a:443"),
    ("POST / HTTP/1.1\r\nHost:\r\nContent-Length: 5, 5\r\n\r\n", Method::POST, "/"),
    ("POST / HTTP/1.1\r\nHost: a%20b:\r\nTransfer-Encoding: chunked\r\n\r\n", Method::POST, "/"),
    ("\r\nGET / HTTP/1.1\r\nHost:\t a_b \t\r\n\r\n", Method::GET, "/"),
];

#[test]
fn legal_requests_of_every_form_are_read() {
    for (head, method, target) in READ {
        let bytes = [head.as_bytes(), FRAMES].concat();
        let read = request(&bytes).unwrap_or_else(|error| panic!("{head:?}: {error}"));
        assert_eq!(read.message.method(), method, "{head:?}");
        assert_eq!(&read.message.uri().to_string(), target, "{head:?}");
        assert_eq!(read.len, head.len(), "{head:?}");
    }
}

#[test]
fn header_values_keep_their_order_and_their_odd_letters() {
    let head = b"GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\nY:\r\nx:  \xff\t2 \r\n\r\n";
    let read = request(head).expect("the head is legal");
    let values: Vec<&[u8]> = read
        .message
        .headers()
        .get_all("x")
        .iter()
        .map(|v| v.as_bytes())
        .collect();
    assert_eq!(values, [&b"1"[..], b"\xff\t2"]);
    assert_eq!(read.message.headers()["y"], "");
}

#[test]
fn other_protocols_are_recognised() {
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x12\x04\0\0\0\0\0";
    assert_eq!(request(preface).err(), Some(HeadError::Http2Preface));
    assert_eq!(
        Rejection::from(HeadError::Http2Preface).status().as_u16(),
        505
    );
    // The first bytes of a ClientHello, and of the alert that a TLS server sends to plain HTTP.
    assert_eq!(
        request(b"\x16\x03\x01\x02\0\x01\0").err(),
        Some(HeadError::Tls)
    );
    assert_eq!(
        response(b"\x15\x03\x03\0\x02\x02\x46").err(),
        Some(HeadError::Tls)
    );
    assert!(HeadError::Tls.to_string().contains("wss://"));
}

#[test]
fn a_head_may_be_as_large_as_the_limit_and_no_larger() {
    let empty = "GET / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n".len();
    let default = HeadLimits::default();
    let exact = format!(
        "GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
        "x".repeat(default.max_bytes - empty)
    );
    let mut reader = HeadReader::default();
    let head = reader
        .read_request(exact.as_bytes())
        .expect("it is as large as the limit");
    assert_eq!(head.map(|head| head.len), Some(16 * 1024));

    let larger = exact.replace("X: ", "X: x");
    let too_large = Some(HeadError::TooLarge {
        max_bytes: 16 * 1024,
    });
    let mut reader = HeadReader::default();
    assert_eq!(reader.read_request(larger.as_bytes()).err(), too_large);
    // A full buffer without an end is enough to know.
    assert!(matches!(
        reader.read_request(&larger.as_bytes()[..16 * 1024 - 1]),
        Ok(None)
    ));
    assert_eq!(
        reader.read_request(&larger.as_bytes()[..16 * 1024]).err(),
        too_large
    );
    assert_eq!(
        Rejection::from(HeadError::TooLarge { max_bytes: 1 })
            .status()
            .as_u16(),
        431
    );
    // A request line that takes all of it is another matter: its target is too long.
    let long = format!("GET /{} HTTP/1.1\r\n", "x".repeat(20_000));
    let too_long = HeadReader::default().read_request(long.as_bytes()).err();
    assert_eq!(
        too_long.clone(),
        Some(HeadError::RequestLineTooLong {
            max_bytes: 16 * 1024
        })
    );
    let rejection = too_long.map(Rejection::from).expect("an error");
    assert_eq!(rejection.status().as_u16(), 414);
    assert!(rejection.reason().contains("16384"), "{rejection}");
    let mut reader = HeadReader::default();
    assert_eq!(
        reader.read_response("x".repeat(20_000).as_bytes()).err(),
        too_large
    );
    // What follows the head does not count.
    let followed = exact + &"x".repeat(100_000);
    assert!(matches!(
        HeadReader::default().read_request(followed.as_bytes()),
        Ok(Some(_))
    ));
}

#[test]
fn a_head_may_have_as_many_headers_as_the_limit_and_no_more() {
    let head = |count: usize| {
        format!(
            "GET / HTTP/1.1\r\nHost: a\r\n{}\r\n",
            "X: y\r\n".repeat(count - 1)
        )
    };
    let read = |limits, count| HeadReader::new(limits).read_request(head(count).as_bytes());
    let limits = HeadLimits::default();
    assert!(matches!(read(limits, 100), Ok(Some(_))));
    assert_eq!(
        read(limits, 101).err(),
        Some(HeadError::TooManyHeaders { max_headers: 100 })
    );
    let limits = HeadLimits {
        max_headers: 1,
        ..limits
    };
    assert!(matches!(read(limits, 1), Ok(Some(_))));
    assert_eq!(
        read(limits, 2).err(),
        Some(HeadError::TooManyHeaders { max_headers: 1 })
    );
    assert_eq!(
        Rejection::from(HeadError::TooManyHeaders { max_headers: 1 })
            .status()
            .as_u16(),
        431
    );
    // However high the limit, what http's map cannot hold is refused and does not panic.
    let unlimited = HeadLimits {
        max_bytes: usize::MAX,
        max_headers: usize::MAX,
    };
    let many: String = (0..40_000).map(|n| format!("X{n}: y\r\n")).collect();
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n");
    let read = HeadReader::new(unlimited).read_request(many.as_bytes());
    assert!(matches!(read, Err(HeadError::TooManyHeaders { .. })));
}

#[test]
fn bytes_that_were_scanned_are_not_looked_at_again_until_the_head_is_complete() {
    let head = format!(
        "GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
        "x".repeat(10_000)
    );
    let bytes = head.as_bytes();
    let mut reader = HeadReader::default();
    // Bytes that were delivered become NUL, which a second look would refuse at once.
    let mut spoilt = vec![0; bytes.len()];
    for end in 1..bytes.len() {
        spoilt[end - 1] = bytes[end - 1];
        let read = reader.read_request(&spoilt[..end]);
        assert!(matches!(read, Ok(None)), "at byte {end}: {read:?}");
        assert_eq!(reader.scanned(), end);
        spoilt[end - 1] = 0;
    }
    assert!(matches!(reader.read_request(bytes), Ok(Some(_))));
    assert_eq!(reader.scanned(), 0);
}

#[test]
fn an_error_stays_the_same_when_the_reader_is_asked_again() {
    let mut reader = HeadReader::default();
    let bytes = b"GET / HTTP/1.1\r\nHost: a\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n";
    assert!(matches!(reader.read_request(&bytes[..20]), Ok(None)));
    let first = reader.read_request(&bytes[..24]).err();
    assert!(first.is_some());
    assert_eq!(reader.read_request(bytes).err(), first);
}

#[test]
fn responses_are_read_whatever_their_reason_phrase() {
    for (line, status) in [
        ("HTTP/1.1 101 Switching Protocols", 101),
        ("HTTP/1.1 101 Web Socket Protocol Handshake", 101),
        ("HTTP/1.1 404 \u{e4}\t not here", 404),
        ("HTTP/1.1 200 ", 200),
        ("HTTP/1.1 200", 200),
        ("HTTP/1.0 500 Oh", 500),
        ("HTTP/1.1 799 Odd", 799),
    ] {
        let bytes = [line.as_bytes(), b"\r\nX: y\r\n\r\n", FRAMES].concat();
        let head = response(&bytes).unwrap_or_else(|error| panic!("{line:?}: {error}"));
        assert_eq!(head.message.status().as_u16(), status);
        assert_eq!(&bytes[head.len..], FRAMES);
    }
    for line in [
        "HTTP/1.1 99 Low",
        "HTTP/1.1 1010",
        "HTTP/1.1",
        "HTTP/1.1  200",
        "HTTP/1.1 2x0",
        "ICY 200 OK",
        "GET / HTTP/1.1",
        "\r\nHTTP/1.1 200 OK",
    ] {
        let error = response(format!("{line}\r\n\r\n")).err();
        assert!(
            matches!(error, Some(HeadError::Malformed(_))),
            "{line:?}: {error:?}"
        );
    }
    let error = response("HTTP/2.0 200 OK\r\n\r\n").err();
    assert_eq!(error, Some(HeadError::Version("\"HTTP/2.0\"".to_owned())));
}

#[test]
fn a_reader_reads_one_head_after_another() {
    let bytes = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n\r\n";
    let mut reader = HeadReader::default();
    let first = reader
        .read_response(bytes)
        .expect("legal")
        .expect("complete");
    assert_eq!(first.message.status(), StatusCode::EARLY_HINTS);
    let second = reader
        .read_response(&bytes[first.len..])
        .expect("legal")
        .expect("complete");
    assert_eq!(
        (second.message.status(), second.message.version()),
        (StatusCode::OK, Version::HTTP_11)
    );
}

#[test]
fn an_incomplete_head_is_not_an_error() {
    for text in [
        "",
        "\r",
        "\r\n",
        "G",
        "GET / HTTP/1.1\r\nHost: a\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\r",
    ] {
        let read = read_in_every_cut(text.as_bytes(), HeadReader::read_request);
        assert!(matches!(read, Ok(None)), "{text:?}: {read:?}");
    }
}

#[test]
fn what_a_peer_sent_is_quoted_short_printable_and_without_values_that_may_be_secret() {
    let (_, text) = refused(format!(
        "GET {} HTTP/1.1\r\nHost: a\r\n\r\n",
        "x".repeat(500)
    ));
    assert!(text.len() < 200, "{text}");
    let (_, text) = refused("GET / HTTP/1.1\r\nHost: a\r\nAuthorization : Basic c2VjcmV0\r\n\r\n");
    assert!(
        text.contains("Authorization") && !text.contains("c2VjcmV0"),
        "{text}"
    );
}
