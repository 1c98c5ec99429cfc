//! What the bytes of a peer mean, found out in the simplest way there is: all of them at once,
//! every payload copied, byte by byte. It shares no code with the crate but the types in which
//! the answer is given.

use crate::wire::xor;
use bytes::Bytes;
use newswire_proto::{CloseCode, CloseFrame, Event, Failure, ProtocolError, Role, Utf8Bytes};

/// What was heard.
#[derive(Debug, Default)]
pub struct Heard {
    /// Messages, pings and pongs.
    pub events: Vec<Event>,
    /// The rule that was broken, if one was.
    pub failure: Option<Failure>,
    /// The Close frame, if there was one.
    pub close: Option<CloseFrame>,
    /// How many bytes stand behind a Close frame or a broken rule.
    pub ignored: usize,
}

/// Why nothing more is heard.
enum End {
    Incomplete,
    Closed(CloseFrame),
    Failed(Failure),
}

impl From<ProtocolError> for End {
    fn from(error: ProtocolError) -> Self {
        Self::Failed(error.into())
    }
}

/// What `receiver` has to make of `bytes` when its messages may be `limit` bytes long.
#[must_use]
pub fn hear(receiver: Role, limit: usize, mut bytes: &[u8]) -> Heard {
    let mut heard = Heard::default();
    let mut begun = None;
    let end = loop {
        if let Err(end) = frame(receiver, limit, &mut bytes, &mut begun, &mut heard.events) {
            break end;
        }
    };
    match end {
        End::Incomplete => return heard,
        End::Closed(frame) => heard.close = Some(frame),
        End::Failed(failure) => heard.failure = Some(failure),
    }
    heard.ignored = bytes.len();
    heard
}

/// A message of which not all has come: whether it is text, and its payload so far.
type Begun = Option<(bool, Vec<u8>)>;

fn frame(
    receiver: Role,
    limit: usize,
    bytes: &mut &[u8],
    begun: &mut Begun,
    events: &mut Vec<Event>,
) -> Result<(), End> {
    let [first, second] = take(bytes)?;
    let (fin, reserved, opcode) = (first & 0x80 != 0, first & 0x70, first & 0x0F);
    let control = opcode >= 0x8;
    if !matches!(opcode, 0x0..=0x2 | 0x8..=0xA) {
        return Err(ProtocolError::ReservedOpCode(opcode).into());
    }
    if control && !fin {
        return Err(ProtocolError::FragmentedControl.into());
    }
    let len = match second & 0x7F {
        126 | 127 if control => return Err(ProtocolError::ControlTooLong.into()),
        126 => match u64::from(u16::from_be_bytes(take(bytes)?)) {
            0..126 => return Err(ProtocolError::LengthNotMinimal.into()),
            len => len,
        },
        127 => match u64::from_be_bytes(take(bytes)?) {
            0..0x1_0000 => return Err(ProtocolError::LengthNotMinimal.into()),
            0x8000_0000_0000_0000.. => return Err(ProtocolError::LengthTooLarge.into()),
            len => len,
        },
        len => u64::from(len),
    };
    let masked = second & 0x80 != 0;
    let key: [u8; 4] = if masked { take(bytes)? } else { [0; 4] };
    if reserved != 0 {
        return Err(ProtocolError::ReservedBits.into());
    }
    match receiver {
        Role::Server if !masked => return Err(ProtocolError::Unmasked.into()),
        Role::Client if masked => return Err(ProtocolError::Masked.into()),
        _ => {}
    }
    match (opcode, begun.is_some()) {
        (0x0, false) => return Err(ProtocolError::UnexpectedContinuation.into()),
        (0x1 | 0x2, true) => return Err(ProtocolError::UnfinishedMessage.into()),
        _ => {}
    }
    let before = begun.as_ref().map_or(0, |(_, payload)| payload.len());
    if !control && u128::from(len) + before as u128 > limit as u128 {
        return Err(End::Failed(Failure::MessageTooBig { limit }));
    }
    let here = bytes.len().min(usize::try_from(len).unwrap_or(usize::MAX));
    let (piece, rest) = bytes.split_at(here);
    *bytes = rest;
    let mut payload = piece.to_vec();
    if masked {
        xor(&mut payload, key);
    }
    let whole = here as u64 == len;
    if control {
        events.push(match opcode {
            _ if !whole => return Err(End::Incomplete),
            0x8 => return Err(close(&payload)?),
            0x9 => Event::Ping(payload.into()),
            _ => Event::Pong(payload.into()),
        });
        return Ok(());
    }
    let (text, so_far) = begun.get_or_insert((opcode == 0x1, Vec::new()));
    so_far.extend(payload);
    if *text && std::str::from_utf8(so_far).is_err_and(|error| error.error_len().is_some()) {
        // What follows cannot make it right.
        return Err(ProtocolError::InvalidUtf8.into());
    }
    if !whole {
        return Err(End::Incomplete);
    }
    if let (true, Some((text, payload))) = (fin, begun.take_if(|_| fin)) {
        events.push(Event::Message(if text {
            String::from_utf8(payload)
                .map_err(|_| ProtocolError::InvalidUtf8)?
                .into()
        } else {
            payload.into()
        }));
    }
    Ok(())
}

fn close(payload: &[u8]) -> Result<End, ProtocolError> {
    let (code, reason) = match payload {
        [] => (1005, &[][..]),
        [_] => return Err(ProtocolError::CloseTooShort),
        [high, low, reason @ ..] => match u16::from_be_bytes([*high, *low]) {
            code @ (1000..=1003 | 1007..=1014 | 3000..=4999) => (code, reason),
            code => return Err(ProtocolError::InvalidCloseCode(code)),
        },
    };
    let reason = String::from_utf8(reason.to_vec()).map_err(|_| ProtocolError::InvalidUtf8)?;
    let reason = Utf8Bytes::from(reason);
    Ok(End::Closed(CloseFrame {
        code: CloseCode(code),
        reason,
    }))
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], End> {
    let (taken, rest) = bytes.split_first_chunk().ok_or(End::Incomplete)?;
    *bytes = rest;
    Ok(*taken)
}

/// The pings among events.
pub fn pings(events: &[Event]) -> impl Iterator<Item = &Bytes> + Clone {
    events.iter().filter_map(|event| match event {
        Event::Ping(payload) => Some(payload),
        _ => None,
    })
}

/// The pongs among events.
pub fn pongs(events: &[Event]) -> impl Iterator<Item = &Bytes> + Clone {
    events.iter().filter_map(|event| match event {
        Event::Pong(payload) => Some(payload),
        _ => None,
    })
}
