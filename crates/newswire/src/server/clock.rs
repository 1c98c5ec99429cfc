//! The time of a server's connections: one task waits for the next alarm of all of them, so that
//! none needs a timer of its own. What an alarm means is the connection's to know.

use super::registry::Registry;
use crate::websocket::timer::Clock;
use crate::websocket::traffic::Traffic;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::time::Instant;

/// An alarm goes off late by up to a sixteenth of its time, and by no more than this, together
/// with others of about then.
const LATEST: Duration = Duration::from_millis(250);

/// When an alarm goes off, in milliseconds since the registry was made.
pub(super) type Due = u64;

impl Clock for Registry {
    fn set(self: Arc<Self>, place: u32, wait: Duration) {
        let due = round_up(self.began.elapsed(), wait);
        let mut entries = self.lock();
        let is_next = entries.set_due(place, due);
        let ticks = std::mem::replace(&mut entries.ticks, true);
        drop(entries);
        if !ticks {
            tokio::spawn(tick(self));
        } else if is_next {
            self.sooner.notify_one();
        }
    }

    fn leave(&self, place: u32) {
        self.give_up(place as usize);
    }

    fn traffic(&self) -> &Traffic {
        self.metrics.traffic()
    }
}

/// When an alarm that is set now goes off. Many of about the same time are one.
fn round_up(now: Duration, wait: Duration) -> Due {
    let grain = (wait / 16).clamp(Duration::from_millis(1), LATEST);
    let grain = grain.as_millis() as Due;
    let exact = (now.saturating_add(wait)).as_millis() as Due;
    (exact / grain).saturating_add(1).saturating_mul(grain)
}

/// Waits until then, or until an alarm is set for sooner.
async fn is_sooner(registry: &Registry, at: Instant) -> bool {
    let mut sooner = pin!(registry.sooner.notified());
    let mut rings = pin!(registry.alarm().ring_at(at));
    poll_fn(|cx| match sooner.as_mut().poll(cx) {
        Poll::Ready(()) => Poll::Ready(true),
        Poll::Pending => rings.as_mut().poll(cx).map(|()| false),
    })
    .await
}

/// Lets alarms go off until none is set.
async fn tick(registry: Arc<Registry>) {
    loop {
        let next = {
            let mut entries = registry.lock();
            entries.ticks = entries.next_due.is_some();
            entries.next_due
        };
        let Some(due) = next else {
            return;
        };
        let at = registry.began + Duration::from_millis(due);
        if is_sooner(&registry, at).await {
            continue;
        }
        // Under the lock nothing is called: a connection that ends takes itself out.
        let connections = registry.lock().take_due(due);
        for connection in connections {
            connection.time_passed();
        }
    }
}
