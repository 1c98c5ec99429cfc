//! What a connection seldom has: kept apart, so that one that just talks, or is silent, is small.

use super::control::ControlSender;
use super::latency::Pinged;
use super::rates::Rates;
use crate::error::RecvError;
use newswire_proto::Message;
use parking_lot::Mutex;
use std::io;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};

#[derive(Default)]
pub(super) struct Seldom {
    /// Tasks that wait for the transport to take bytes.
    pub(super) writers: Arc<Writers>,
    /// Those in `writers` are woken when fewer bytes than this wait; 0 when there are none.
    pub(super) wake_writers_below: usize,
    /// A message that the driver has read while nobody was in `recv`.
    pub(super) unclaimed: Option<Message>,
    /// The sending half is shut down.
    pub(super) shut_down: bool,
    /// Something that was queued was not written and never will be.
    pub(super) lost: bool,
    /// How the transport failed.
    pub(super) io_error: Option<io::Error>,
    /// Why the connection ended, until `recv` has told.
    pub(super) outcome: Option<RecvError>,
    /// The last ping, until its pong has come.
    pub(super) pinged: Option<Pinged>,
    /// How fast the peer may send, where that is limited.
    pub(super) rates: Option<Box<Rates>>,
    /// Where control frames are shown, if somebody wants to see them.
    pub(super) control: Option<ControlSender>,
}

impl Seldom {
    /// Whether nothing of it is there any more.
    pub(super) fn is_over(&self) -> bool {
        let Self {
            writers: _,
            wake_writers_below,
            unclaimed,
            shut_down,
            lost,
            io_error,
            outcome,
            pinged,
            rates,
            control,
        } = self;
        *wake_writers_below == 0
            && unclaimed.is_none()
            && !(*shut_down || *lost)
            && io_error.is_none()
            && outcome.is_none()
            && pinged.is_none()
            && rates.is_none()
            && control.is_none()
    }
}

/// The tasks that wait for the transport to take bytes. An allocation of its own: a transport
/// keeps the waker that is made of it, and must not keep the connection that it belongs to; and
/// it may wake while it is being polled, under the connection's lock.
#[derive(Default)]
pub(super) struct Writers(Mutex<Vec<Waker>>);

impl Writers {
    pub(super) fn add(&self, cx: &Context<'_>) {
        let mut writers = self.0.lock();
        if !writers.iter().any(|writer| writer.will_wake(cx.waker())) {
            writers.push(cx.waker().clone());
        }
    }

    pub(super) fn wake_all(&self) {
        let writers = std::mem::take(&mut *self.0.lock());
        for writer in writers {
            writer.wake();
        }
    }
}

impl Wake for Writers {
    fn wake(self: Arc<Self>) {
        self.wake_all();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.wake_all();
    }
}
