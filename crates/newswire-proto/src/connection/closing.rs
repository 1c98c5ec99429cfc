//! The closing handshake (RFC 6455 §7): what has been said, by whom, and when it is over.
//!
//! ```text
//!            close() / a failure                 Close received
//!   Open ───────────────────────────▶ Closing ◀────────────────── Open
//!                                        │ a Close frame is queued at once either way
//!         server: both Closes exchanged  │  and all is written
//!         client: … and the transport ended (it waits for the server to end it)
//!         failed: all is written and the transport ended
//!         any:    the close timeout has passed, or the transport has ended
//!                                        ▼
//!                                      Closed
//! ```

use crate::close::{CloseCode, CloseFrame};
use crate::error::Failure;
use crate::role::Role;

/// Where a connection is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Messages flow both ways.
    Open,
    /// A Close frame was queued or the connection failed; nothing more can be sent.
    Closing,
    /// Over: the transport should be dropped.
    Closed,
}

/// One of the two ends, seen from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// This end.
    Local,
    /// The peer.
    Remote,
}

/// What is known of the end. It exists from when the first of these things has happened.
#[derive(Debug, Default)]
pub(super) struct Closing {
    /// Who began the closing handshake, once one has.
    pub(super) begun_by: Option<Side>,
    /// A Close frame was queued.
    pub(super) sent: bool,
    /// The code of the first Close frame, whichever end sent it.
    pub(super) code: Option<CloseCode>,
    /// The peer's Close frame.
    pub(super) received: Option<CloseFrame>,
    /// Why the connection failed, if it did.
    pub(super) failure: Option<Failure>,
    /// The peer's bytes have ended.
    pub(super) eof: bool,
    /// The transport takes no more bytes.
    pub(super) write_end: bool,
    /// Nothing more is waited for.
    pub(super) cut: bool,
    /// The end was told to the driver.
    pub(super) reported: bool,
}

impl Closing {
    /// Whether what the peer still sends is thrown away.
    pub(super) fn ignores_input(&self) -> bool {
        // RFC 6455 §1.4: "after receiving a control frame indicating the connection should be
        // closed, a peer discards any further data received."
        self.failure.is_some() || self.received.is_some() || self.cut
    }

    /// Whether it is all over; `drained`: nothing waits to be written.
    pub(super) fn is_over(&self, role: Role, drained: bool) -> bool {
        if self.cut {
            return true;
        }
        if !drained {
            // What is queued may still reach a peer that has closed only its sending half.
            return self.eof && !self.sent;
        }
        if self.eof {
            return true;
        }
        // RFC 6455 §7.1.1: "The underlying TCP connection, in most normal cases, SHOULD be closed
        // first by the server, so that it holds the TIME_WAIT state and not the client". A failed
        // connection waits for the peer's end, so that unread bytes do not reset it before
        // the peer has read why.
        self.failure.is_none() && self.sent && self.received.is_some() && role == Role::Server
    }
}
