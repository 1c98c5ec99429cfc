//! RFC 6455 §5.6, §8.1: text is UTF-8, and wrong bytes are refused as soon as they arrive.

use crate::support::{Script, connection, deliver, frame};
use newswire_proto::{Config, OpCode, ProtocolError, Role};

const KOSME: &str = "κόσμε 𐍈 €";

#[test]
fn characters_may_be_cut_by_fragments_anywhere() {
    for cut in 0..=KOSME.len() {
        let (first, second) = KOSME.as_bytes().split_at(cut);
        Script::to(Role::Client)
            .frame(false, OpCode::Text, first)
            .frame(true, OpCode::Continuation, second)
            .play()
            .assert_messages(&[KOSME.into()]);
    }
}

#[test]
fn text_that_is_not_utf8_fails_the_connection() {
    for wrong in [
        &b"\xff"[..],
        b"abc\xc0\x80",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xce\xba\xe1\xbd",
    ] {
        Script::to(Role::Server)
            .frame(true, OpCode::Text, wrong)
            .play()
            .assert_failed(ProtocolError::InvalidUtf8, 1007);
        Script::to(Role::Server)
            .frame(false, OpCode::Text, wrong)
            .frame(true, OpCode::Continuation, "")
            .play()
            .assert_failed(ProtocolError::InvalidUtf8, 1007);
    }
}

#[test]
fn a_wrong_byte_is_refused_before_its_frame_has_arrived() {
    let text = [b"a".repeat(200), b"\xf4\x90".to_vec(), b"b".repeat(200)].concat();
    let bytes = frame(Role::Client, true, OpCode::Text, &text);
    let header = bytes.len() - text.len();
    let mut server = connection(Role::Server, Config::new());
    // F4 alone may still become a character; with 90 behind it, it cannot.
    assert_eq!(deliver(&mut server, &bytes[..header + 201]), []);
    assert_eq!(server.failure(), None);
    deliver(&mut server, &bytes[header + 201..header + 202]);
    assert_eq!(server.failure(), Some(ProtocolError::InvalidUtf8.into()));
}

#[test]
fn binary_is_never_judged_as_text() {
    Script::to(Role::Server)
        .binary(b"\xff\xfe\xed\xa0\x80")
        .play()
        .assert_messages(&[b"\xff\xfe\xed\xa0\x80".into()]);
}
