//! What a driver does for a handler that is busy elsewhere: write, answer control frames, mind the
//! time, and read as far as the first message that nobody has received yet.

use super::budget::{self, Budget};
use super::inner::Inner;
use super::turn::Moved;
use crate::transport::Transport;
use newswire_proto::{CloseCode, State};
use std::task::{Context, Poll};

impl<T: Transport> Inner<T> {
    /// What a driver does for a handler that is busy elsewhere: write, answer control frames,
    /// mind the time, and read as far as the first message that nobody has received yet.
    #[inline]
    pub(super) fn poll_quietly(&mut self, cx: &mut Context<'_>) {
        // The usual turn ends in `recv`, which has done all there was to do.
        if !self.recv_waits
            || self.wants_write()
            || self.connection.wants_timeout()
            || !self.outside.timer.is_quiet(cx)
        {
            self.poll_everything(cx);
        }
    }

    fn poll_everything(&mut self, cx: &mut Context<'_>) {
        if self.receiver_gone && self.senders == 0 {
            // Nobody can use the connection; that it may be closing already is fine.
            let _ = self.connection.close(CloseCode::GOING_AWAY, "");
        }
        let mut left = Budget::WHOLE;
        loop {
            self.poll_unclaimed(&mut left);
            let drained = self.poll_flush().is_ready();
            if self.has_ended() {
                return;
            }
            if (drained && self.connection.state() == State::Closed) || self.poll_timer(cx) {
                continue;
            }
            if self.recv_waits || self.has_unclaimed() || self.has_last_words() {
                return;
            }
            if left.is_spent() && self.connection.compresses() {
                let _: Poll<()> = budget::defer(cx);
                return;
            }
            self.shut_down_when_done(cx);
            if self.poll_read(cx).is_pending() {
                return;
            }
        }
    }

    /// Takes the next message when there is none yet, and notices the end in any case. Messages
    /// that nobody will receive are thrown away, as many as there is budget `left` for.
    fn poll_unclaimed(&mut self, left: &mut Budget) {
        while !self.has_unclaimed() || self.connection.state() == State::Closed {
            let Some(message) = self.poll_events() else {
                return;
            };
            if self.receiver_gone {
                self.count(Moved::RECEIVED);
                *left = left.less(&message);
                if left.is_spent() && self.connection.compresses() {
                    return;
                }
                continue;
            }
            self.seldom().unclaimed = Some(message);
            if let Some(receiver) = self.outside.receiver.take() {
                receiver.wake();
            }
        }
    }
}
