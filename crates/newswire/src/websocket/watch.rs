//! What is noted of what passes through a connection: counts for its server, the time of a pong, and
//! whether the peer sends faster than it may.

use super::inner::Inner;
use super::latency::{Latency, Pinged};
use super::shared::Shared;
use super::turn::{self, Moved};
use crate::transport::Transport;
use newswire_proto::Event;

impl<T: Transport> Inner<T> {
    /// A message was received: it is counted, and when this task does not go on reading, the
    /// driver does.
    #[inline]
    pub(super) fn received(&self, shared: &Shared<T>) {
        if shared.is_in_turn() {
            turn::received();
        } else {
            self.moved_elsewhere(Moved::RECEIVED);
        }
    }

    /// A message was queued: it is counted, and the driver writes it.
    #[inline]
    pub(super) fn sent(&self, shared: &Shared<T>) {
        if shared.is_in_turn() {
            turn::sent();
        } else {
            self.moved_elsewhere(Moved::SENT);
        }
    }

    /// A message was moved outside a turn of the driver.
    #[inline(never)]
    fn moved_elsewhere(&self, moved: Moved) {
        if let Some(driver) = &self.outside.driver {
            driver.wake_by_ref();
            self.count(moved);
        }
    }

    /// Counts messages for the server.
    #[inline]
    pub(super) fn count(&self, moved: Moved) {
        #[cfg(feature = "server")]
        if let Some(traffic) = self.outside.timer.traffic() {
            traffic.moved(moved);
        }
        #[cfg(not(feature = "server"))]
        let _ = moved;
    }

    /// So much was read.
    #[inline]
    pub(super) fn was_read(&mut self, len: usize) {
        #[cfg(feature = "server")]
        if let Some(traffic) = self.outside.timer.traffic() {
            traffic.read(len);
        }
        if let Some(seldom) = self.seldom.as_deref_mut()
            && let Some(rates) = &mut seldom.rates
            && let Err(failure) = rates.read(len)
        {
            self.connection.fail(failure);
        }
    }

    /// A ping was queued: its pong is waited for, and that of no other unless somebody looks.
    pub(super) fn pinged(&mut self, payload: &[u8]) {
        let seldom = self.seldom();
        let before = seldom.pinged.replace(Pinged::now(payload));
        if let (Some(control), Some(before)) = (&mut seldom.control, before) {
            control.remember(before);
        }
    }

    /// Times the pong that a ping waits for, and shows control frames to who wants to see them. Whether the peer has sent too much with this event,
    /// which is not handed on then.
    #[cold]
    pub(super) fn is_too_much(&mut self, event: &Event) -> bool {
        let Some(seldom) = self.seldom.as_deref_mut() else {
            return false;
        };
        let mut round_trip = None;
        if let Event::Pong(payload) = event {
            let control = seldom.control.as_mut();
            round_trip = control.and_then(|control| control.round_trip(payload));
            if round_trip.is_none()
                && let Some(pinged) = &seldom.pinged
            {
                round_trip = pinged.round_trip(payload);
                if let Some(latency) = round_trip {
                    self.outside.latency = latency;
                    seldom.pinged = None;
                }
            }
        }
        if let (false, Some(rates)) = (matches!(event, Event::Closed), &mut seldom.rates)
            && let Err(failure) = rates.message()
        {
            self.connection.fail(failure);
            return true;
        }
        if let Some(control) = &seldom.control
            && !control.tell(event, round_trip.and_then(Latency::get))
        {
            seldom.control = None;
        }
        if seldom.is_over() {
            self.seldom = None;
        }
        false
    }
}
