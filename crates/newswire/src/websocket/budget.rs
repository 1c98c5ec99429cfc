//! How much a turn of a connection may handle, so that others have theirs: bytes that are read, and for
//! a connection that compresses messages, since one read may hold thousands of small ones, each of
//! which costs a hundred times what it would cost otherwise. Who stops when the budget is spent is in
//! `shared.rs` and `inner.rs`.

use newswire_proto::Message;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, ready};
use tokio::task::coop::{has_budget_remaining, poll_proceed};
use tokio::task::yield_now;

/// What a message costs, and each of its KiB besides: sixteen small messages, or three or four of
/// 16 KiB, are a turn. Turns that are too short would be a write for each message.
const A_MESSAGE: usize = 8;
const A_KIB: usize = 2;

/// What is left of a turn.
#[derive(Clone, Copy)]
pub(super) struct Budget(usize);

impl Budget {
    /// As many units as the runtime gives a task.
    pub(super) const WHOLE: Self = Self(128);

    pub(super) fn is_spent(self) -> bool {
        self.0 == 0
    }

    /// What is left after this message.
    pub(super) fn less(self, message: &Message) -> Self {
        Self(self.0.saturating_sub(units(message)))
    }
}

/// What a message costs.
pub(super) fn units(message: &Message) -> usize {
    A_MESSAGE + A_KIB * (message.len() / 1024)
}

/// Pending; the task goes on when the reactor has been asked what else is ready.
pub(super) fn defer<R>(cx: &mut Context<'_>) -> Poll<R> {
    let _ = pin!(yield_now()).poll(cx);
    Poll::Pending
}

/// So many bytes cost as much as a read itself. The runtime counts reads only, and 128 of them are a
/// turn: of a peer that floods that would be 32 MiB, with this it is half of one.
const A_READ: usize = 4 * 1024;

/// The same for what is read to where it belongs, the rest of a large payload, which costs less: four
/// MiB are a turn. With shorter ones many large messages would be half read at the same time, for
/// which the processor's cache has no room.
const A_DIRECT_READ: usize = 32 * 1024;

/// Uses up the runtime's own budget for what was read; what is too much is the next read's to wait
/// for.
#[inline]
pub(super) fn charge_read(cx: &mut Context<'_>, len: usize, is_direct: bool) {
    let a_read = if is_direct { A_DIRECT_READ } else { A_READ };
    for _ in 0..len / a_read {
        if !has_budget_remaining() {
            return;
        }
        if let Poll::Ready(unit) = poll_proceed(cx) {
            unit.made_progress();
        }
    }
}

/// Uses up the runtime's own budget; pending when there is none left, and then the task is woken to
/// have more.
pub(super) fn charge_runtime(cx: &mut Context<'_>, units: usize) -> Poll<()> {
    for _ in 0..units {
        ready!(poll_proceed(cx)).made_progress();
    }
    Poll::Ready(())
}
