//! Any bytes as a request, as a response, or as a URI. A head means the same in every cut, and
//! the same as to httparse; what this crate answers or asks is understood by itself and by
//! httparse.
#![no_main]

use http::{HeaderMap, Request, Response};
use libfuzzer_sys::fuzz_target;
use newswire_fuzz::script::Script;
use newswire_proto::handshake::{
    ClientHandshake, Head, HeadError, HeadLimits, HeadReader, Rejection, Upgrade, WebSocketUri,
    accept_key, is_upgrade,
};
use std::fmt::Debug;

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const NONCE: [u8; 16] = *b"the sample nonce";

fuzz_target!(|data: &[u8]| {
    let mut script = Script(data);
    let limits = match script.choice(2) {
        0 => HeadLimits::default(),
        _ => HeadLimits {
            max_bytes: 200,
            max_headers: 5,
        },
    };
    let kind = script.choice(3);
    let cut = usize::from(script.byte()) + 1;
    match kind {
        0 => request(script.0, cut, limits),
        1 => response(script.0, cut, limits),
        _ => uri(script.0),
    }
});

type Read<M> = Result<Option<Head<M>>, HeadError>;

/// Reads a head whole and in pieces of `cut` bytes, which must come to the same.
fn read<M: Debug>(
    bytes: &[u8],
    cut: usize,
    limits: HeadLimits,
    read: fn(&mut HeadReader, &[u8]) -> Read<M>,
) -> Read<M> {
    let whole = read(&mut HeadReader::new(limits), bytes);
    let mut reader = HeadReader::new(limits);
    let ends = (1..).map(|n| n * cut).take_while(|end| *end < bytes.len());
    let in_pieces = ends
        .map(|end| read(&mut reader, &bytes[..end]))
        .find(|outcome| !matches!(outcome, Ok(None)));
    let in_pieces = in_pieces.unwrap_or_else(|| read(&mut reader, bytes));
    assert_eq!(
        format!("{whole:?}"),
        format!("{in_pieces:?}"),
        "in pieces of {cut}"
    );
    if let Ok(Some(head)) = &whole {
        assert!(head.len <= bytes.len().min(limits.max_bytes));
    }
    whole
}

/// The same fields with the same values; what is repeated, in the same order.
fn assert_same_fields(ours: &HeaderMap, theirs: &[httparse::Header<'_>]) {
    assert_eq!(ours.len(), theirs.len());
    for name in ours.keys() {
        let ours = ours.get_all(name).iter().map(|value| value.as_bytes());
        let theirs = theirs
            .iter()
            .filter(|field| field.name.eq_ignore_ascii_case(name.as_str()));
        assert!(ours.eq(theirs.map(|field| field.value)), "{name}");
    }
}

fn request(bytes: &[u8], cut: usize, limits: HeadLimits) {
    let head = match read(bytes, cut, limits, HeadReader::read_request) {
        Ok(Some(head)) => head,
        Ok(None) => return,
        Err(error) => return assert_legal_rejection(&error.into()),
    };
    let mut fields = [httparse::EMPTY_HEADER; 100];
    let mut other = httparse::Request::new(&mut fields);
    assert_eq!(other.parse(bytes), Ok(httparse::Status::Complete(head.len)));
    assert_eq!(other.method, Some(head.message.method().as_str()));
    assert_eq!(
        other.version,
        Some(u8::from(head.message.version() == http::Version::HTTP_11))
    );
    if let Some(target) = other.path.filter(|target| target.starts_with('/')) {
        assert_eq!(target, head.message.uri().to_string());
    }
    assert_same_fields(head.message.headers(), other.headers);

    match Upgrade::from_head(&head) {
        Ok(upgrade) => accept(&head.message, &upgrade),
        Err(rejection) => {
            assert!(rejection.status().is_client_error());
            assert_legal_rejection(&rejection);
        }
    }
}

/// The answer to an accepted request satisfies a client that made the same offers.
fn accept(request: &Request<()>, upgrade: &Upgrade) {
    assert!(is_upgrade(request));
    let offers = upgrade.subprotocols();
    let accepted = upgrade
        .accept(offers.first().map(String::as_str))
        .expect("it was offered");
    let bytes = accepted.to_bytes();
    let answer = HeadReader::default()
        .read_response(&bytes)
        .expect("the answer is legal");
    let answer = answer.expect("the answer is whole");
    assert_eq!(answer.len, bytes.len());
    let headers = answer.message.headers();
    let key = request.headers()["sec-websocket-key"].as_bytes();
    assert_eq!(headers["sec-websocket-accept"], accept_key(key));
    assert!(!headers.contains_key("sec-websocket-extensions"));
    if key == KEY.as_bytes() {
        let uri = WebSocketUri::parse("ws://localhost/").expect("it is legal");
        let client = ClientHandshake::new(&uri, NONCE).with_subprotocols(offers);
        let client = client.expect("the server has judged the same names");
        let negotiated = client.verify(&answer).expect("it answers this client");
        assert_eq!(
            negotiated.subprotocol(),
            accepted.negotiated().subprotocol()
        );
    }
}

fn assert_legal_rejection(rejection: &Rejection) {
    assert!(!rejection.to_string().contains(['\r', '\n']));
    let bytes = rejection.to_bytes();
    let mut fields = [httparse::EMPTY_HEADER; 16];
    let mut answer = httparse::Response::new(&mut fields);
    let Ok(httparse::Status::Complete(len)) = answer.parse(&bytes) else {
        panic!("not legal: {rejection}");
    };
    assert_eq!(answer.code, Some(rejection.status().as_u16()));
    let length = answer
        .headers
        .iter()
        .find(|field| field.name == "Content-Length");
    let length = length.expect("a body has a length").value;
    assert_eq!(length, (bytes.len() - len).to_string().as_bytes());
}

fn response(bytes: &[u8], cut: usize, limits: HeadLimits) {
    let Ok(Some(head)) = read(bytes, cut, limits, HeadReader::read_response) else {
        return;
    };
    let mut fields = [httparse::EMPTY_HEADER; 100];
    let mut other = httparse::Response::new(&mut fields);
    assert_eq!(other.parse(bytes), Ok(httparse::Status::Complete(head.len)));
    assert_eq!(other.code, Some(head.message.status().as_u16()));
    assert_same_fields(head.message.headers(), other.headers);
    verify(&head, other.headers);
}

/// Who passes has said all that a server must say, and nothing that was not asked for.
fn verify(head: &Head<Response<()>>, fields: &[httparse::Header<'_>]) {
    let uri = WebSocketUri::parse("ws://example.com/chat").expect("it is legal");
    let client = ClientHandshake::new(&uri, NONCE).with_subprotocols(["chat", "superchat"]);
    let negotiated = match client.expect("they are tokens").verify(head) {
        Ok(negotiated) => negotiated,
        Err(error) => return assert!(!error.to_string().contains(['\r', '\n'])),
    };
    let values = |name: &str| -> Vec<String> {
        let named = fields
            .iter()
            .filter(|field| field.name.eq_ignore_ascii_case(name));
        let lines: Vec<_> = named
            .map(|field| String::from_utf8_lossy(field.value))
            .collect();
        let elements = lines.iter().flat_map(|line| line.split(','));
        elements
            .map(|element| element.trim().to_ascii_lowercase())
            .collect()
    };
    assert_eq!(head.message.status(), 101);
    assert!(values("upgrade").contains(&"websocket".to_owned()));
    assert!(values("connection").contains(&"upgrade".to_owned()));
    let accept = accept_key(KEY.as_bytes()).to_ascii_lowercase();
    assert!(values("sec-websocket-accept").contains(&accept));
    assert!(
        values("sec-websocket-extensions")
            .iter()
            .all(String::is_empty)
    );
    match negotiated.subprotocol() {
        None => assert!(values("sec-websocket-protocol").is_empty()),
        Some(name) => assert_eq!(values("sec-websocket-protocol"), [name]),
    }
}

/// A legal URI comes back from its own text, and makes a request that a server accepts.
fn uri(bytes: &[u8]) {
    let Ok(uri) = String::from_utf8_lossy(bytes).parse::<WebSocketUri>() else {
        return;
    };
    assert_eq!(uri.to_string().parse(), Ok(uri.clone()), "{uri}");
    let client = ClientHandshake::new(&uri, NONCE);
    let limits = HeadLimits {
        max_bytes: usize::MAX,
        max_headers: 100,
    };
    let head = HeadReader::new(limits).read_request(&client.to_bytes());
    let head = head.expect("our request is legal").expect("and whole");
    assert_eq!(head.message.uri().to_string(), uri.target());
    assert_eq!(head.message.headers()["host"], uri.host_header());
    Upgrade::from_head(&head).expect("and a handshake");
}
