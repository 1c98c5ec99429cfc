//! The timer of a connection: one of its own, or a place in a clock that many connections share.
//! What its passing means is the state machine's to say.

use super::inner::set_waker;
#[cfg(feature = "server")]
use super::traffic::Traffic;
use std::pin::Pin;
#[cfg(feature = "server")]
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;
use tokio::task::coop::has_budget_remaining;
use tokio::time::{Instant, Sleep, sleep};

/// A clock for many connections, and what knows their server otherwise. It costs each of them less
/// memory than a timer of its own, and may be a little late.
#[cfg(feature = "server")]
pub(crate) trait Clock: Send + Sync {
    /// Sets the alarm of `place` anew. When the time has passed, the clock calls
    /// [`time_passed`](super::shared::Shared::time_passed) once.
    fn set(self: Arc<Self>, place: u32, wait: Duration);

    /// The connection in `place` has ended, and its place is free.
    fn leave(&self, place: u32);

    /// Where what the connections move is counted.
    fn traffic(&self) -> &Traffic;
}

/// No alarm is set for later than this: thirty years, which no clock fails to add.
const LONGEST: Duration = Duration::from_secs(30 * 365 * 24 * 3600);

pub(super) enum Timer {
    /// Its own, once it was needed.
    Own(Option<Box<Own>>),
    /// A place in a clock.
    #[cfg(feature = "server")]
    Shared {
        clock: Arc<dyn Clock>,
        place: u32,
        passed: bool,
    },
}

pub(super) struct Own {
    sleep: Pin<Box<Sleep>>,
    /// Who is woken.
    waker: Option<Waker>,
}

impl Timer {
    pub(super) fn new() -> Self {
        Self::Own(None)
    }

    /// Sets the alarm anew.
    pub(super) fn set(&mut self, wait: Duration) {
        let wait = wait.min(LONGEST);
        match self {
            Self::Own(Some(own)) => {
                own.sleep.as_mut().reset(Instant::now() + wait);
                own.waker = None;
            }
            Self::Own(none) => {
                *none = Some(Box::new(Own {
                    sleep: Box::pin(sleep(wait)),
                    waker: None,
                }));
            }
            #[cfg(feature = "server")]
            Self::Shared { clock, place, .. } => Arc::clone(clock).set(*place, wait),
        }
    }

    /// Whether there is nothing to do: the alarm has not gone off, and will wake this task.
    #[cfg(feature = "server")]
    #[inline]
    pub(super) fn is_quiet(&self, cx: &Context<'_>) -> bool {
        match self {
            Self::Shared { passed, .. } => !passed,
            Self::Own(None) => true,
            Self::Own(Some(own)) => !own.sleep.is_elapsed() && own.wakes(cx),
        }
    }

    /// Whether the time has passed, which is told once.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> bool {
        let has_passed = match self {
            #[cfg(feature = "server")]
            Self::Shared { passed, .. } => return std::mem::take(passed),
            Self::Own(None) => false,
            Self::Own(Some(own)) => own.poll(cx),
        };
        if has_passed {
            self.stop();
        }
        has_passed
    }

    /// Nothing is waited for any more.
    pub(super) fn stop(&mut self) {
        match self {
            Self::Own(own) => *own = None,
            #[cfg(feature = "server")]
            Self::Shared { passed, .. } => *passed = false,
        }
    }

    /// Gives up the place in the clock, to be told to it.
    #[cfg(feature = "server")]
    pub(super) fn leave(&mut self) -> Option<(Arc<dyn Clock>, u32)> {
        match std::mem::replace(self, Self::Own(None)) {
            Self::Own(_) => None,
            Self::Shared { clock, place, .. } => Some((clock, place)),
        }
    }

    /// Where what the connection moves is counted, if anywhere.
    #[cfg(feature = "server")]
    #[inline]
    pub(super) fn traffic(&self) -> Option<&Traffic> {
        match self {
            Self::Own(_) => None,
            Self::Shared { clock, .. } => Some(clock.traffic()),
        }
    }

    /// The clock says that the time has passed.
    #[cfg(feature = "server")]
    pub(super) fn pass(&mut self) {
        if let Self::Shared { passed, .. } = self {
            *passed = true;
        }
    }
}

impl Own {
    fn wakes(&self, cx: &Context<'_>) -> bool {
        self.waker
            .as_ref()
            .is_some_and(|waker| waker.will_wake(cx.waker()))
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.sleep.is_elapsed() {
            if self.wakes(cx) {
                return false;
            }
            // Without budget the timer would not take note of the waker.
            if has_budget_remaining() {
                set_waker(&mut self.waker, cx);
            }
        }
        self.sleep.as_mut().poll(cx).is_ready()
    }
}
