//! What `--compression` adds to a connection: the offer, and replies that are inflated and
//! compared with what was sent. The frames to send are made in [`super::traffic`].

use newswire::proto::deflate::{
    Compression, Compressor, Decompressor, DeflateConfig, DeflateForm, DeflateParams, SharedCodec,
    max_compressed_size,
};
use newswire::proto::{FrameHeader, Role};

/// The windows that frames can be compressed with. What is written at 9 is right for 8.
pub(super) const LEAST_WINDOW_BITS: u8 = 9;
pub(super) const MOST_WINDOW_BITS: u8 = 15;
pub(super) const WINDOWS: usize = (MOST_WINDOW_BITS - LEAST_WINDOW_BITS) as usize + 1;

/// RFC 7692 §6: the bit of a message's first frame that says that the message is compressed.
pub(super) const RSV1: u8 = 0b100;

/// What is offered. A message that was made before the run cannot refer to those that went before
/// it on some connection; the server's may.
pub(super) fn offer() -> DeflateConfig {
    DeflateConfig::new()
        .compression(Compression::dedicated())
        .client_no_context_takeover(true)
}

/// How a message is compressed for a server that agreed to this window.
pub(super) fn form(window_bits: u8) -> DeflateForm {
    let config = offer().compression(Compression::Dedicated {
        window_bits,
        mem_level: 8,
        level: 6,
    });
    Compressor::new(&config, DeflateParams::default(), Role::Client).form()
}

/// What the connections of a thread share.
#[derive(Debug, Default)]
pub(super) struct Workspace {
    codec: SharedCodec,
    message: Vec<u8>,
}

/// A connection's incoming messages when compression was agreed on.
#[derive(Debug)]
pub(super) struct Inflater {
    params: DeflateParams,
    decompressor: Decompressor,
    /// Whether the message that is coming is compressed, and what has come of it if it is.
    compressed: bool,
    gathered: Vec<u8>,
    /// Bytes of that message's frames, headers included.
    wire_len: u64,
    counted: Wire,
}

/// Messages that came back, and the bytes of their frames, headers included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wire {
    pub(super) messages: u64,
    /// Of them, those that the server sent compressed.
    pub(super) compressed: u64,
    pub(super) sent: u64,
    pub(super) received: u64,
}

impl Wire {
    pub(super) fn add(&mut self, other: Self) {
        self.messages += other.messages;
        self.compressed += other.compressed;
        self.sent += other.sent;
        self.received += other.received;
    }
}

impl Inflater {
    pub(super) fn new(params: DeflateParams) -> Self {
        Self {
            params,
            decompressor: Decompressor::new(&offer(), params, Role::Client),
            compressed: false,
            gathered: Vec::new(),
            wire_len: 0,
            counted: Wire::default(),
        }
    }

    /// What was agreed on.
    pub(super) fn params(&self) -> DeflateParams {
        self.params
    }

    /// Whether the message that is coming is compressed.
    pub(super) fn is_compressed(&self) -> bool {
        self.compressed
    }

    /// Takes note of a message's frame whose reserved bits are right: of the first, whether RSV1
    /// is set. `most` is the size of the message.
    pub(super) fn begin_frame(
        &mut self,
        header: &FrameHeader,
        header_len: usize,
        most: usize,
    ) -> Result<(), String> {
        if self.wire_len == 0 {
            self.compressed = header.reserved == RSV1;
        }
        self.wire_len += header_len as u64 + header.payload_len;
        let len = (self.gathered.len() as u64).saturating_add(header.payload_len);
        if self.compressed && len > max_compressed_size(most) as u64 {
            return Err(format!(
                "{len} bytes came of a compressed message of {most}"
            ));
        }
        Ok(())
    }

    /// More of a compressed message.
    pub(super) fn gather(&mut self, piece: &[u8]) {
        self.gathered.extend_from_slice(piece);
    }

    /// The message that has come to its end, inflated if it was compressed.
    pub(super) fn message<'a>(
        &mut self,
        workspace: &'a mut Workspace,
        most: usize,
    ) -> Result<&'a [u8], String> {
        let Workspace { codec, message } = workspace;
        message.clear();
        let inflated = self
            .decompressor
            .decompress(codec, &self.gathered, most, message);
        self.gathered.clear();
        inflated.map_err(|error| error.to_string())?;
        Ok(message)
    }

    /// Counts the message that has come to its end, for which a frame of `sent` bytes went out.
    pub(super) fn count(&mut self, sent: usize) {
        self.counted.add(Wire {
            messages: 1,
            compressed: self.compressed.into(),
            sent: sent as u64,
            received: std::mem::take(&mut self.wire_len),
        });
    }

    /// Takes what was counted.
    pub(super) fn take_counted(&mut self) -> Wire {
        std::mem::take(&mut self.counted)
    }
}

#[cfg(test)]
mod tests {
    use super::super::receiver::{Expected, Receiver};
    use super::super::traffic::Traffic;
    use super::*;
    use newswire::proto::OpCode;
    use newswire::proto::deflate::DeflateOffer;

    fn frame(opcode: OpCode, reserved: u8, fin: bool, payload: &[u8]) -> Vec<u8> {
        let header = FrameHeader {
            fin,
            reserved,
            ..FrameHeader::new(opcode, payload.len() as u64, None)
        };
        let mut bytes = Vec::new();
        header.write(&mut bytes);
        bytes.extend_from_slice(payload);
        bytes
    }

    fn text(reserved: u8, payload: &[u8]) -> Vec<u8> {
        frame(OpCode::Text, reserved, true, payload)
    }

    /// What a server with this compression answers to the offer.
    fn agree(compression: Compression) -> (DeflateConfig, DeflateParams) {
        let server = DeflateConfig::new().compression(compression);
        let offers = DeflateOffer::read([&offer().offer().unwrap()]);
        let answer = server.accept(&offers).unwrap();
        let params = offer().check([&answer.to_header_value()]).unwrap().unwrap();
        assert!(params.client_no_context_takeover());
        (server, params)
    }

    /// Hands `data` over in pieces, as what came for `sent` messages.
    fn handle(
        traffic: &Traffic,
        params: DeflateParams,
        data: &[u8],
        piece: usize,
    ) -> Result<Wire, String> {
        let (mut receiver, mut workspace) = (Receiver::default(), Workspace::default());
        receiver.inflate(params);
        let expected = Expected {
            traffic,
            sent: 30,
            window_bits: params.client_max_window_bits(),
        };
        for piece in data.chunks(piece) {
            receiver
                .handle(expected, piece, &mut workspace, |_| {})
                .map_err(|wrong| wrong.to_string())?;
        }
        let wire = receiver.take_wire();
        assert_eq!(wire.messages, receiver.received());
        assert_eq!(receiver.take_wire(), Wire::default());
        Ok(wire)
    }

    #[test]
    fn replies_that_refer_to_earlier_ones_are_inflated_and_counted_however_they_are_cut() {
        let traffic = Traffic::of(500, false, true);
        for compression in [Compression::shared(), Compression::dedicated()] {
            let (server, params) = agree(compression);
            let mut compressor = Compressor::new(&server, params, Role::Server);
            let (mut codec, mut data) = (SharedCodec::new(), Vec::new());
            for number in 0..30 {
                let mut payload = Vec::new();
                compressor.compress(&mut codec, traffic.payload(number), &mut payload);
                data.extend(match number % 3 {
                    0 => text(RSV1, &payload),
                    // In fragments, and a ping between them.
                    1 => [
                        frame(OpCode::Text, RSV1, false, &payload[..2]),
                        frame(OpCode::Ping, 0, true, b"still there?"),
                        frame(OpCode::Continuation, 0, false, b""),
                        frame(OpCode::Continuation, 0, true, &payload[2..]),
                    ]
                    .concat(),
                    _ => text(RSV1, &payload),
                });
            }
            let pings = 10 * (2 + "still there?".len());
            let received = (data.len() - pings) as u64;
            assert!(received < 30 * 400, "{received}");
            for piece in [1, 2, 7, 1000, data.len()] {
                let wire = handle(&traffic, params, &data, piece).unwrap();
                assert_eq!((wire.messages, wire.compressed), (30, 30));
                assert_eq!(wire.received, received);
                let requests = traffic.requests(15).in_a_row(0, 30);
                assert_eq!(wire.sent, requests.len() as u64);
            }
        }
    }

    #[test]
    fn a_server_may_leave_a_message_uncompressed() {
        let traffic = Traffic::of(500, false, true);
        let (_, params) = agree(Compression::shared());
        let replies = traffic.replies().in_a_row(0, 3);
        let wire = handle(&traffic, params, replies, 100).unwrap();
        assert_eq!((wire.messages, wire.compressed), (3, 0));
        assert_eq!(wire.received, replies.len() as u64);
    }

    #[test]
    fn a_compressed_reply_that_is_not_the_echo_is_named() {
        let traffic = Traffic::of(500, false, true);
        let (server, params) = agree(Compression::shared());
        let compressed = |message: &[u8]| {
            let mut payload = Vec::new();
            form(15).compress(&mut SharedCodec::new(), message, &mut payload);
            payload
        };
        let right = compressed(traffic.payload(0));
        let mut flipped = traffic.payload(0).to_vec();
        flipped[77] ^= 1;
        let continued = [
            frame(OpCode::Text, RSV1, false, &right[..9]),
            frame(OpCode::Continuation, RSV1, true, &right[9..]),
        ];
        let mut later = Vec::new();
        let mut compressor = Compressor::new(&server, params, Role::Server);
        for number in 0..2 {
            later.clear();
            compressor.compress(&mut SharedCodec::new(), traffic.payload(number), &mut later);
        }
        for (data, said) in [
            (
                text(RSV1, &compressed(&flipped)),
                "message 0: byte 77 of the payload came as",
            ),
            (
                text(RSV1, &compressed(&traffic.payload(0)[..499])),
                "inflates to 499 bytes, should have 500",
            ),
            (
                text(RSV1, &compressed(&[b' '; 1 << 20])),
                "inflates to more than 500 bytes",
            ),
            (
                text(RSV1, &right[..40]),
                "the compressed message is corrupt",
            ),
            // It refers to the message before it, which never came.
            (text(RSV1, &later), "the compressed message is corrupt"),
            (
                text(RSV1, &[0; 2000]),
                "2000 bytes came of a compressed message of 500",
            ),
            (text(0, &right), "should have 500"),
            (
                frame(OpCode::Binary, RSV1, true, &right),
                "should be a text",
            ),
            (
                continued.concat(),
                "RSV1 is set on a frame that does not begin a message",
            ),
            (
                frame(OpCode::Ping, RSV1, true, b""),
                "RSV1 is set on a frame",
            ),
            (text(0b010, &right), "a reserved bit other than RSV1"),
        ] {
            for piece in [1, data.len()] {
                let wrong = handle(&traffic, params, &data, piece).unwrap_err();
                assert!(wrong.contains(said), "{wrong:?} should say {said:?}");
            }
        }
    }
}
