//! One connection at a time that is being established to a host and port, in the whole process.
//! How it is established is not known here.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use tokio::sync::{Mutex as Turns, OwnedMutexGuard};

type Address = (String, u16);

/// Those to whom somebody is connecting, or waits for it.
static ADDRESSES: Mutex<BTreeMap<Address, Weak<Turns<()>>>> = Mutex::new(BTreeMap::new());

/// The right to connect, as long as it is held.
pub(super) struct Turn {
    address: Address,
    /// Taken only by `drop`.
    held: Option<OwnedMutexGuard<()>>,
}

/// Waits until those that have asked before have their connection or have failed.
///
/// RFC 6455 §4.1: "There MUST be no more than one connection in a CONNECTING state."
pub(super) async fn turn(host: &str, port: u16) -> Turn {
    let address = (host.to_owned(), port);
    let turns = {
        let mut addresses = ADDRESSES.lock();
        let known = addresses.get(&address).and_then(Weak::upgrade);
        known.unwrap_or_else(|| {
            let turns = Arc::new(Turns::new(()));
            addresses.insert(address.clone(), Arc::downgrade(&turns));
            turns
        })
    };
    Turn {
        address,
        held: Some(turns.lock_owned().await),
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.held = None;
        let mut addresses = ADDRESSES.lock();
        if addresses.get(&self.address).is_some_and(is_gone) {
            addresses.remove(&self.address);
        }
    }
}

fn is_gone(turns: &Weak<Turns<()>>) -> bool {
    turns.strong_count() == 0
}

#[cfg(test)]
mod tests {
    use super::{ADDRESSES, turn};
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    fn is_ready(future: std::pin::Pin<&mut impl Future>) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        !matches!(future.poll(&mut cx), Poll::Pending)
    }

    #[test]
    fn an_address_is_for_one_at_a_time_and_others_do_not_wait() {
        let mut first = Box::pin(turn("one.example", 80));
        let mut second = pin!(turn("one.example", 80));
        let mut port = pin!(turn("one.example", 81));
        let mut host = pin!(turn("two.example", 80));
        let mut cx = Context::from_waker(Waker::noop());
        let Poll::Ready(held) = first.as_mut().poll(&mut cx) else {
            panic!("nobody is before it");
        };
        assert!(!is_ready(second.as_mut()));
        assert!(is_ready(port.as_mut()) && is_ready(host.as_mut()));
        drop(held);
        assert!(is_ready(second.as_mut()));
    }

    #[test]
    fn an_address_is_forgotten_when_nobody_connects_to_it() {
        let known = || {
            let addresses = ADDRESSES.lock();
            addresses.contains_key(&("three.example".to_owned(), 80))
        };
        let mut cx = Context::from_waker(Waker::noop());
        let Poll::Ready(first) = pin!(turn("three.example", 80)).poll(&mut cx) else {
            panic!("nobody is before it");
        };
        {
            // Given up while it waits.
            let mut second = pin!(turn("three.example", 80));
            assert!(!is_ready(second.as_mut()));
        }
        assert!(known());
        drop(first);
        assert!(!known());
    }
}
