//! The turn of a driver, as this thread knows it: whose it is, what it may still spend, and how many
//! messages it has moved. So what is done for every message in a turn needs no lock of its own.

use super::budget::Budget;
use std::cell::Cell;

/// How many messages were moved.
#[cfg_attr(
    not(feature = "server"),
    expect(dead_code, reason = "only a server counts")
)]
#[derive(Clone, Copy, Default)]
pub(super) struct Moved {
    pub(super) received: u32,
    pub(super) sent: u32,
}

impl Moved {
    pub(super) const RECEIVED: Self = Self {
        received: 1,
        sent: 0,
    };
    pub(super) const SENT: Self = Self {
        received: 0,
        sent: 1,
    };
}

thread_local! {
    /// The address of the connection in whose driver's turn this thread is, 0 in none.
    static CONNECTION: Cell<usize> = const { Cell::new(0) };
    /// What that turn may still spend, when the connection compresses.
    static LEFT: Cell<Budget> = const { Cell::new(Budget::WHOLE) };
    static RECEIVED: Cell<u32> = const { Cell::new(0) };
    static SENT: Cell<u32> = const { Cell::new(0) };
}

/// Runs a turn of the connection at this address.
#[cfg(feature = "server")]
pub(super) fn run<R>(connection: usize, run: impl FnOnce() -> R) -> (R, Moved) {
    let outer = CONNECTION.replace(connection);
    let left = LEFT.replace(Budget::WHOLE);
    let (received, sent) = (RECEIVED.replace(0), SENT.replace(0));
    let result = run();
    CONNECTION.set(outer);
    LEFT.set(left);
    let moved = Moved {
        received: RECEIVED.replace(received),
        sent: SENT.replace(sent),
    };
    (result, moved)
}

/// Whether this is a turn of the connection at this address.
#[inline]
pub(super) fn is_of(connection: usize) -> bool {
    CONNECTION.get() == connection
}

/// What is left to spend.
pub(super) fn left() -> Budget {
    LEFT.get()
}

pub(super) fn set_left(left: Budget) {
    LEFT.set(left);
}

/// A message was received in this turn.
#[inline]
pub(super) fn received() {
    RECEIVED.set(RECEIVED.get().wrapping_add(1));
}

/// A message was sent in this turn.
#[inline]
pub(super) fn sent() {
    SENT.set(SENT.get().wrapping_add(1));
}
