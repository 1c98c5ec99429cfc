//! [`ControlFrames`]: the pings and pongs of the peer, for those who want to see them. They are answered
//! and timed elsewhere, whether somebody looks or not.

use super::latency::{Latency, Pinged};
use bytes::Bytes;
use newswire_proto::Event;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::sync::mpsc;

/// How many wait for whoever asked for them, who may have stopped to look.
const MOST_WAITING: usize = 32;

/// A control frame that was received. A Close frame is
/// [`WebSocket::close_frame`](super::WebSocket::close_frame).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ControlFrame {
    /// A ping, which was answered.
    Ping(Bytes),
    /// A pong.
    Pong {
        /// What the ping held that it answers, or what the peer likes.
        payload: Bytes,
        /// How long the ping took to it that it answers: one that was sent by this end, since
        /// control frames are shown. `None` when it answers none.
        round_trip: Option<Duration>,
    },
}

/// The control frames that a connection receives, in their order:
/// [`WebSocket::control_frames`](super::WebSocket::control_frames).
///
/// It reads nothing itself: frames come while the connection is driven, so
/// [`WebSocket::recv`](super::WebSocket::recv) has to be awaited. When 32 of them wait that nobody
/// has taken, those that follow are not kept.
#[derive(Debug)]
pub struct ControlFrames(mpsc::Receiver<ControlFrame>);

impl ControlFrames {
    /// Waits for the next one; `None` after the end of the connection, and when they are shown
    /// elsewhere since.
    ///
    /// # Cancel safety
    /// Cancel-safe: nothing is lost when the future is dropped before it is ready.
    pub async fn recv(&mut self) -> Option<ControlFrame> {
        self.0.recv().await
    }

    /// The next one if it is here already. After a message was received, all that were received
    /// before it are.
    pub fn try_recv(&mut self) -> Option<ControlFrame> {
        self.0.try_recv().ok()
    }
}

/// Where they come from.
pub(super) struct ControlSender {
    sender: mpsc::Sender<ControlFrame>,
    /// The pings before the last one whose pongs may still come, the oldest first.
    earlier: VecDeque<Pinged>,
}

pub(super) fn channel() -> (ControlSender, ControlFrames) {
    let (sender, receiver) = mpsc::channel(MOST_WAITING);
    let sender = ControlSender {
        sender,
        earlier: VecDeque::new(),
    };
    (sender, ControlFrames(receiver))
}

impl ControlSender {
    /// Another ping was sent behind this one.
    pub(super) fn remember(&mut self, earlier: Pinged) {
        if self.earlier.len() == MOST_WAITING {
            self.earlier.pop_front();
        }
        self.earlier.push_back(earlier);
    }

    /// How long it took, when this pong is the answer to one of the earlier pings. Those before it
    /// are not waited for any more.
    pub(super) fn round_trip(&mut self, pong: &[u8]) -> Option<Latency> {
        let mut pings = self.earlier.iter().enumerate();
        let found = pings.find_map(|(at, ping)| Some((at, ping.round_trip(pong)?)));
        let (at, latency) = found?;
        self.earlier.drain(..=at);
        Some(latency)
    }

    /// Shows what has come, if it is a control frame. Whether there may be somebody who looks.
    pub(super) fn tell(&self, event: &Event, round_trip: Option<Duration>) -> bool {
        let frame = match event {
            Event::Ping(payload) => ControlFrame::Ping(payload.clone()),
            Event::Pong(payload) => ControlFrame::Pong {
                payload: payload.clone(),
                round_trip,
            },
            Event::Closed => return false,
            _ => return true,
        };
        !matches!(
            self.sender.try_send(frame),
            Err(mpsc::error::TrySendError::Closed(_))
        )
    }
}
