//! The opening handshake as a whole: the two that the tutorials show, any legal one, and bytes
//! that are none. Here are also the readers that deliver each head in every cut.

use std::fmt::Debug;

use base64::Engine as _;
use http::header::{COOKIE, ORIGIN, SEC_WEBSOCKET_EXTENSIONS};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use newswire_proto::handshake::{
    ClientHandshake, Head, HeadError, HeadReader, Rejection, Upgrade, WebSocketUri, accept_key,
    client_key, is_valid_key,
};
use proptest::prelude::*;

pub(crate) type Read<M> = Result<Option<Head<M>>, HeadError>;

/// What one cut gives, as a text that can be compared.
fn outcome<M: Debug>(result: &Read<M>) -> Option<String> {
    match result {
        Ok(None) => None,
        decided => Some(format!("{decided:?}")),
    }
}

/// Reads a head whole, in two parts at every offset, and one byte at a time: all must agree, and
/// leave the buffer's other bytes to the caller.
pub(crate) fn read_in_every_cut<M: Debug>(
    bytes: &[u8],
    read: fn(&mut HeadReader, &[u8]) -> Read<M>,
) -> Read<M> {
    let whole = read(&mut HeadReader::default(), bytes);
    let expected = outcome(&whole);
    for cut in 0..bytes.len() {
        let mut reader = HeadReader::default();
        let first = outcome(&read(&mut reader, &bytes[..cut]));
        let got = first.or_else(|| outcome(&read(&mut reader, bytes)));
        assert_eq!(got, expected, "cut at {cut}");
    }
    let mut reader = HeadReader::default();
    let got = (0..=bytes.len()).find_map(|end| outcome(&read(&mut reader, &bytes[..end])));
    assert_eq!(got, expected, "one byte at a time");
    whole
}

pub(crate) fn request(bytes: impl AsRef<[u8]>) -> Result<Head<Request<()>>, HeadError> {
    let head = read_in_every_cut(bytes.as_ref(), HeadReader::read_request)?;
    Ok(head.expect("the request is complete"))
}

pub(crate) fn response(bytes: impl AsRef<[u8]>) -> Result<Head<Response<()>>, HeadError> {
    let head = read_in_every_cut(bytes.as_ref(), HeadReader::read_response)?;
    Ok(head.expect("the response is complete"))
}

/// Reads and judges, as a server does.
pub(crate) fn judge(bytes: impl AsRef<[u8]>) -> Result<Upgrade, Rejection> {
    Upgrade::from_head(&request(bytes)?)
}

/// The client that would have sent this key.
pub(crate) fn client_with_key(uri: &str, key: &str) -> ClientHandshake {
    let nonce = base64::prelude::BASE64_STANDARD
        .decode(key)
        .expect("the key is base64");
    let uri = WebSocketUri::parse(uri).expect("the URI is legal");
    ClientHandshake::new(&uri, nonce.try_into().expect("the nonce has 16 bytes"))
}

/// A masked client frame and an unmasked server frame, for what follows a head at once.
pub(crate) const FRAMES: &[u8] = b"\x81\x82\x01\x02\x03\x04ik\r\n\r\n\x81\x02hi";

const SEED_0_REQUEST: &str = "GET / HTTP/1.1\r\n\
    Upgrade: websocket\r\n\
    Connection: Upgrade\r\n\
    Host: echo.websocket.org\r\n\
    Origin: null\r\n\
    Pragma: no-cache\r\n\
    Cache-Control: no-cache\r\n\
    Sec-WebSocket-Key: Qcgtb1RJ6HceeTRLPFux/A==\r\n\
    Sec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Extensions: x-webkit-deflate-frame\r\n\
    Cookie: __utma=9925811.951031439.1365242028.1365980711.1366068689.5; __utmc=9925811; \
    __utmz=9925811.1365242028.1.1.utmcsr=websocket.org|utmccn=(referral)|utmcmd=referral|utmcct=/\
    \r\n\r\n";

const SEED_0_RESPONSE: &str = "HTTP/1.1 101 Web Socket Protocol Handshake\r\n\
    Upgrade: WebSocket\r\n\
    Connection: Upgrade\r\n\
    Sec-WebSocket-Accept: 84Qpane33QhxOmcz8bGkFdE1AHk=\r\n\
    Server: Kaazing Gateway\r\n\
    Date: Tue, 16 Apr 2013 09:51:25 GMT\r\n\
    Access-Control-Allow-Origin: null\r\n\
    Access-Control-Allow-Credentials: true\r\n\
    Access-Control-Allow-Headers: content-type\r\n\
    Access-Control-Allow-Headers: authorization\r\n\
    Access-Control-Allow-Headers: x-websocket-extensions\r\n\
    Access-Control-Allow-Headers: x-websocket-version\r\n\
    Access-Control-Allow-Headers: x-websocket-protocol\r\n\r\n";

const SEED_1_REQUEST: &str = "GET / HTTP/1.1\r\n\
    Upgrade: websocket\r\n\
    Connection: Upgrade\r\n\
    Host: example.com\r\n\
    Origin: http://example.com\r\n\
    Sec-WebSocket-Key: sN9cRrP/n9NdMgdcy2VJFQ==\r\n\
    Sec-WebSocket-Version: 13\r\n\r\n";

const SEED_1_RESPONSE: &str = "HTTP/1.1 101 Switching Protocols\r\n\
    Upgrade: websocket\r\n\
    Connection: Upgrade\r\n\
    Sec-WebSocket-Accept: fFBooB7FAkLlXgRSz0BT3v4hq5s=\r\n\
    Sec-WebSocket-Location: ws://example.com/\r\n\r\n";

#[test]
fn the_keys_of_the_tutorials_and_of_the_rfc_have_their_answers() {
    for (key, answer) in [
        ("Qcgtb1RJ6HceeTRLPFux/A==", "84Qpane33QhxOmcz8bGkFdE1AHk="),
        ("sN9cRrP/n9NdMgdcy2VJFQ==", "fFBooB7FAkLlXgRSz0BT3v4hq5s="),
        ("dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
    ] {
        assert!(is_valid_key(key.as_bytes()), "{key}");
        assert_eq!(accept_key(key.as_bytes()), answer);
    }
    assert_eq!(client_key(*b"the sample nonce"), "dGhlIHNhbXBsZSBub25jZQ==");
}

#[test]
fn a_key_is_base64_of_sixteen_bytes_and_nothing_else() {
    // The letter before the padding has four bits to spare, which need not be zero.
    assert!(is_valid_key(b"dGhlIHNhbXBsZSBub25jZX=="));
    for key in [
        "",
        "abc",
        "dGhlIHNhbXBsZSBub25jZQ",
        "dGhlIHNhbXBsZSBub25jZQ=",
        "dGhlIHNhbXBsZSBub25jZQ===",
        "dGhlIHNhbXBsZSBub25jZS4=",
        "dGhlIHNhbXBsZSBub25jZS4u",
        "dGhlIHNhbXBsZSBub25jZS4uLg==",
        "dGhlIHNhbXBsZSBub25=",
        "dGhlIHNhbXBsZSBub25jZ===",
        "dGhlIHNhbXBsZSBub25j-_==",
        "dGhlIHNhbXBs SBub25jZQ==",
    ] {
        assert!(!is_valid_key(key.as_bytes()), "{key}");
    }
}

#[test]
fn the_server_answers_the_browser_of_the_first_tutorial() {
    let bytes = [SEED_0_REQUEST.as_bytes(), FRAMES].concat();
    let head = request(&bytes).expect("the head is legal");
    assert_eq!(&bytes[head.len..], FRAMES);
    assert_eq!(head.message.headers()[ORIGIN], "null");
    assert!(
        head.message.headers()[COOKIE]
            .as_bytes()
            .ends_with(b"utmcct=/")
    );

    let upgrade = Upgrade::from_head(&head).expect("the handshake is legal");
    let accepted = upgrade.accept(None).expect("no subprotocol is no misuse");
    assert_eq!(accepted.negotiated().head_len(), SEED_0_REQUEST.len());
    // The extension that nobody knows any more is left out.
    let expected = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
        Connection: Upgrade\r\nSec-WebSocket-Accept: 84Qpane33QhxOmcz8bGkFdE1AHk=\r\n\r\n";
    assert_eq!(String::from_utf8_lossy(&accepted.to_bytes()), expected);
    assert!(
        !accepted
            .response()
            .headers()
            .contains_key(SEC_WEBSOCKET_EXTENSIONS)
    );
}

#[test]
fn the_client_takes_the_answers_that_the_tutorials_show() {
    let echo = client_with_key("ws://echo.websocket.org/", "Qcgtb1RJ6HceeTRLPFux/A==");
    let example = client_with_key("ws://example.com", "sN9cRrP/n9NdMgdcy2VJFQ==");
    for (client, text) in [(echo, SEED_0_RESPONSE), (example, SEED_1_RESPONSE)] {
        let bytes = [text.as_bytes(), FRAMES].concat();
        let head = response(&bytes).expect("the head is legal");
        let negotiated = client.verify(&head).expect("the answer is right");
        assert_eq!(&bytes[negotiated.head_len()..], FRAMES);
        assert_eq!(negotiated.subprotocol(), None);
    }
}

#[test]
fn the_second_tutorials_request_is_what_the_client_writes_and_the_server_accepts() {
    let mut origin = HeaderMap::new();
    origin.insert(ORIGIN, HeaderValue::from_static("http://example.com"));
    let client = client_with_key("ws://example.com", "sN9cRrP/n9NdMgdcy2VJFQ==");
    let client = client
        .with_headers(&origin)
        .expect("Origin is not reserved");
    let lines = |head: &str| -> Vec<String> {
        let mut lines: Vec<String> = head.split("\r\n").map(str::to_owned).collect();
        lines[1..].sort();
        lines
    };
    let written = String::from_utf8(client.to_bytes()).expect("the request is ASCII");
    assert_eq!(lines(&written), lines(SEED_1_REQUEST));

    let accepted = judge(SEED_1_REQUEST)
        .expect("the handshake is legal")
        .accept(None);
    let answer = accepted.expect("no subprotocol is no misuse").to_bytes();
    // RFC 6455 has no Sec-WebSocket-Location, so it is not sent; the rest is the same.
    let expected = SEED_1_RESPONSE.replace("Sec-WebSocket-Location: ws://example.com/\r\n", "");
    assert_eq!(String::from_utf8_lossy(&answer), expected);
}

/// A legal request or response that bytes were changed in, put into or taken out of.
fn damaged(head: &'static str) -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        any::<u8>(),
        prop::sample::select(b" \t\r\n\0:,/;=\"AZaz09\x7f\x80".to_vec())
    ];
    let edit = (any::<prop::sample::Index>(), 0..3_u8, byte);
    prop::collection::vec(edit, 1..5).prop_map(move |edits| {
        let mut bytes = head.as_bytes().to_vec();
        for (index, kind, byte) in edits {
            let at = index.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => drop(bytes.remove(at)),
            }
        }
        bytes
    })
}

fn some_bytes(head: &'static str) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![1 => prop::collection::vec(any::<u8>(), 0..300), 4 => damaged(head)]
}

proptest! {
    #[test]
    fn any_bytes_are_a_request_that_httparse_reads_the_same_way_or_are_refused(
        bytes in some_bytes(SEED_1_REQUEST),
    ) {
        let Ok(Some(head)) = read_in_every_cut(&bytes, HeadReader::read_request) else {
            return Ok(());
        };
        let mut fields = [httparse::EMPTY_HEADER; 100];
        let mut other = httparse::Request::new(&mut fields);
        prop_assert_eq!(other.parse(&bytes), Ok(httparse::Status::Complete(head.len)));
        prop_assert_eq!(other.method, Some(head.message.method().as_str()));
        let target = other.path.unwrap_or_default();
        if target.starts_with('/') {
            prop_assert_eq!(target, head.message.uri().to_string());
        }
        for field in other.headers.iter() {
            let mut values = head.message.headers().get_all(field.name).iter();
            prop_assert!(values.any(|value| value.as_bytes() == field.value), "{}", field.name);
        }
        prop_assert_eq!(other.headers.len(), head.message.headers().len());
        if let Err(rejection) = Upgrade::from_head(&head) {
            prop_assert!(rejection.status().is_client_error());
            prop_assert!(!rejection.to_string().contains('\n'));
        }
    }

    #[test]
    fn any_bytes_are_a_response_or_are_refused(bytes in some_bytes(SEED_1_RESPONSE)) {
        if let Ok(Some(head)) = read_in_every_cut(&bytes, HeadReader::read_response) {
            let client = client_with_key("ws://example.com", "sN9cRrP/n9NdMgdcy2VJFQ==");
            if let Err(error) = client.verify(&head) {
                prop_assert!(!error.to_string().contains('\n'));
            }
        }
    }

    #[test]
    fn any_legal_handshake_succeeds_on_both_sides(
        nonce: [u8; 16],
        host in "[a-z0-9]([a-z0-9.-]{0,20}[a-z0-9])?",
        port: u16,
        target in "(/[a-zA-Z0-9._~!$&'()*+,;=:@%/-]{0,30})?(\\?[a-zA-Z0-9=&%/?{}|-]{0,20})?",
        names in prop::collection::hash_set("[!#$%&'*+.^_`|~0-9A-Za-z-]{1,12}", 0..5),
        choice: Option<prop::sample::Index>,
        extra in prop::collection::vec(("x-[a-z0-9-]{1,10}", "[!-~]{1,9}[ -~]{0,9}[!-~]"), 0..5),
        frames in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let names = Vec::from_iter(names);
        let chosen = choice.filter(|_| !names.is_empty()).map(|index| index.get(&names).as_str());
        let mut headers = HeaderMap::new();
        for (name, value) in &extra {
            let name = HeaderName::try_from(name).expect("the strategy makes legal names");
            headers.append(name, HeaderValue::from_str(value).expect("and legal values"));
        }
        let uri = WebSocketUri::parse(&format!("ws://{host}:{port}{target}"));
        let uri = uri.expect("the strategy makes legal URIs");
        let client = ClientHandshake::new(&uri, nonce)
            .with_subprotocols(&names).expect("they are tokens, each once")
            .with_headers(&headers).expect("x- is not reserved");

        let request = [client.to_bytes(), frames.clone()].concat();
        let head = HeadReader::default().read_request(&request).expect("it is legal");
        let head = head.expect("it is complete");
        prop_assert_eq!(head.message.uri().to_string(), uri.target());
        for name in headers.keys() {
            let sent = headers.get_all(name).iter().collect::<Vec<_>>();
            let came = head.message.headers().get_all(name).iter().collect::<Vec<_>>();
            prop_assert_eq!(sent, came);
        }
        let upgrade = Upgrade::from_head(&head).expect("it is a handshake");
        prop_assert_eq!(upgrade.subprotocols(), &names[..]);
        let accepted = upgrade.accept(chosen).expect("it was offered");
        prop_assert_eq!(&request[accepted.negotiated().head_len()..], &frames[..]);

        let response = [accepted.to_bytes(), frames.clone()].concat();
        let head = HeadReader::default().read_response(&response).expect("it is legal");
        let negotiated = client.verify(&head.expect("it is complete")).expect("it is right");
        prop_assert_eq!(negotiated.subprotocol(), chosen);
        prop_assert_eq!(accepted.negotiated().subprotocol(), chosen);
        prop_assert_ne!(negotiated.role(), accepted.negotiated().role());
        prop_assert_eq!(&response[negotiated.head_len()..], &frames[..]);
    }
}
