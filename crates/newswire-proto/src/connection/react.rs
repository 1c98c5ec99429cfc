//! What a connection does by itself: answers pings and closes, fails when the peer breaks a rule,
//! is cut when time is up. When it is asked to is decided in `mod.rs`.

use super::closing::{Closing, Side};
use super::{Connection, Event};
use crate::close::CloseFrame;
use crate::error::Failure;
use crate::frame::{FrameHeader, OpCode};
use crate::utf8::Utf8Bytes;
use bytes::Bytes;

/// How many bytes of pongs may wait to be written. Then only the newest ping is remembered, so
/// that a peer that pings and does not read cannot fill the memory.
const MOST_PONGS: usize = 1024;

impl Connection {
    #[inline]
    pub(super) fn masking_key(&self) -> Option<[u8; 4]> {
        self.masking_keys.map(|next_key| next_key())
    }

    /// What is known of the end, which begins here if it has not begun.
    pub(super) fn closing_mut(&mut self) -> &mut Closing {
        self.closing.get_or_insert_default()
    }

    /// Whether the peer will be told nothing more.
    fn is_mute(&self) -> bool {
        self.closing
            .as_deref()
            .is_some_and(|closing| closing.write_end)
    }

    pub(super) fn control(&mut self, opcode: OpCode, payload: &[u8]) {
        if self.is_mute() {
            return;
        }
        let header = FrameHeader::new(opcode, payload.len() as u64, self.masking_key());
        self.transmit.get_or_insert_default().frame(header, payload);
    }

    /// Answers a ping, or remembers it while too many answers wait.
    #[cold]
    pub(super) fn answer_ping(&mut self, payload: &[u8]) {
        // RFC 6455 §5.5.2: "Upon receipt of a Ping frame, an endpoint MUST send a Pong frame in
        // response, unless it already received a Close frame." Our own Close changes nothing.
        if self.close_frame().is_some() || self.is_mute() {
            return;
        }
        let key = self.masking_key();
        let output = self.transmit.get_or_insert_default();
        if output.pongs_len() < MOST_PONGS {
            output.unanswered_ping = None;
            output.pong(payload, key);
        } else {
            // RFC 6455 §5.5.3: "If an endpoint receives a Ping frame and has not yet sent Pong
            // frame(s) in response to previous Ping frame(s), the endpoint MAY elect to send a
            // Pong frame for only the most recently processed Ping frame."
            output.unanswered_ping = Some(payload.into());
        }
    }

    /// Answers the remembered ping if there is room now.
    #[inline]
    pub(super) fn answer_remembered_ping(&mut self) {
        if let Some(payload) = self.take_remembered_ping() {
            self.answer_ping(&payload);
        }
    }

    #[inline]
    fn take_remembered_ping(&mut self) -> Option<Box<[u8]>> {
        self.transmit.as_deref_mut()?.unanswered_ping.take()
    }

    pub(super) fn close_received(&mut self, payload: Bytes) {
        match CloseFrame::parse(payload) {
            Ok(frame) => {
                if !self.closing_mut().sent {
                    // RFC 6455 §5.5.1: "When sending a Close frame in response, the endpoint
                    // typically echos the status code it received." The reason goes with it:
                    // a browser shows its user the one that it received.
                    self.begin_closing(Side::Remote, &frame);
                }
                self.closing_mut().received = Some(frame);
                self.receiver.discard();
            }
            Err(error) => self.fail(error.into()),
        }
    }

    pub(super) fn begin_closing(&mut self, side: Side, frame: &CloseFrame) {
        self.answer_remembered_ping();
        self.take_remembered_ping();
        self.control(OpCode::Close, &frame.payload());
        let closing = self.closing_mut();
        closing.sent = true;
        closing.begun_by.get_or_insert(side);
        closing.code.get_or_insert(frame.code);
        self.timers.begin_closing();
    }

    /// RFC 6455 §7.1.7, "Fail the WebSocket Connection": the peer is told why, unless a
    /// Close frame was already sent, and what it still sends is thrown away. The connection does
    /// this itself when the peer breaks a rule; a driver does it for a limit of its own.
    ///
    /// A connection that has failed, or that the peer has closed, is left as it is.
    #[cold]
    pub fn fail(&mut self, failure: Failure) {
        if self.ignores_input() {
            return;
        }
        self.receiver.discard();
        let closing = self.closing_mut();
        closing.failure = Some(failure);
        if let (false, Some(code)) = (closing.sent, failure.close_code()) {
            let frame = CloseFrame {
                code,
                reason: Utf8Bytes::default(),
            };
            self.begin_closing(Side::Local, &frame);
        }
        self.timers.begin_closing();
    }

    pub(super) fn cut(&mut self, failure: Failure) {
        self.receiver.discard();
        let closing = self.closing_mut();
        closing.failure.get_or_insert(failure);
        closing.cut = true;
    }

    pub(super) fn poll_closed(&mut self) -> Option<Event> {
        if !self.is_over() {
            return None;
        }
        let closing = self.closing_mut();
        if closing.reported {
            return None;
        }
        closing.reported = true;
        if closing.received.is_none() {
            closing.failure.get_or_insert(Failure::Lost);
        }
        Some(Event::Closed)
    }
}
