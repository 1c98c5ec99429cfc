//! Any payload of a Close frame, read by itself and by both ends of a connection. What is read is what
//! a plain reading of RFC 6455 §5.5.1 and §7.4 finds, each end answers with the code that the RFC
//! names, and what may be sent is read as it was meant.
#![no_main]

use bytes::{Buf, Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;
use newswire_fuzz::wire::{masking_key, put_frame};
use newswire_proto::{CloseCode, CloseFrame, Config, Connection, Mask, Role};
use std::sync::Arc;

/// A Close frame that is whole.
const CLOSE: u8 = 0x88;

fuzz_target!(|data: &[u8]| {
    let payload = &data[..data.len().min(125)];
    let plain = read_plainly(payload);
    let parsed = CloseFrame::parse(Bytes::copy_from_slice(payload));
    match (&parsed, plain) {
        (Ok(frame), Ok((code, reason))) => {
            assert_eq!((frame.code.0, frame.reason.as_str()), (code, reason));
        }
        (Err(error), Err(code)) => assert_eq!(error.close_code().0, code),
        _ => panic!("{parsed:?}, and by a plain reading {plain:?}"),
    }
    for role in [Role::Server, Role::Client] {
        let said = answer(role, payload);
        let expected = match plain {
            Ok((code, _)) => code,
            Err(code) => code,
        };
        assert_eq!(said, expected, "{role:?}");
    }
    if let Ok(frame) = parsed
        && frame.code != CloseCode::NO_STATUS
    {
        assert_eq!(CloseFrame::new(frame.code, frame.reason.clone()), Ok(frame));
    }
});

/// Code and reason, or the code to fail with.
fn read_plainly(payload: &[u8]) -> Result<(u16, &str), u16> {
    match payload {
        [] => Ok((1005, "")),
        [_] => Err(1002),
        [high, low, reason @ ..] => {
            let code = u16::from(*high) << 8 | u16::from(*low);
            let legal = (1000..5000).contains(&code)
                && !(1015..3000).contains(&code)
                && ![1004, 1005, 1006].contains(&code);
            if !legal {
                return Err(1002);
            }
            std::str::from_utf8(reason)
                .map(|reason| (code, reason))
                .map_err(|_| 1007)
        }
    }
}

/// The code of the Close frame that this end answers with, 1005 for none.
fn answer(role: Role, payload: &[u8]) -> u16 {
    let config = Arc::new(Config::new());
    let mut connection = match role {
        Role::Client => Connection::client(config, masking_key),
        Role::Server => Connection::server(config),
    };
    let mut frame = Vec::new();
    put_frame(&mut frame, role.peer(), CLOSE, payload);
    connection.handle_data(BytesMut::from(&frame[..]));
    while connection.poll_event().is_some() {}
    let mut written = Vec::new();
    while let Some(output) = connection.poll_transmit() {
        written.extend_from_slice(output.chunk());
        let len = output.chunk().len();
        output.advance(len);
    }
    let (&[CLOSE, length], mut rest) = written.split_first_chunk().expect("it answers") else {
        panic!("{written:?} is no Close frame");
    };
    assert_eq!(length & 0x80 != 0, role.masks());
    let mut body = Vec::new();
    if role.masks() {
        let (key, masked) = rest.split_first_chunk().expect("a key");
        body.extend_from_slice(masked);
        Mask::new(*key).apply(&mut body);
        rest = &body;
    }
    assert_eq!(usize::from(length & 0x7f), rest.len());
    match rest {
        [] => 1005,
        [high, low, ..] => u16::from_be_bytes([*high, *low]),
        [_] => panic!("a Close frame of one byte"),
    }
}
