//! How fast a peer may send: [`Config::max_message_rate`](crate::Config::max_message_rate) and
//! [`Config::max_receive_rate`](crate::Config::max_receive_rate). What becomes of a peer that is
//! faster is said in `inner.rs`.

use crate::config::Config;
use crate::rate::{Rate, Taken};
use newswire_proto::Failure;
use std::time::Duration;
use tokio::time::Instant;

/// The limits of one connection, and what the peer has used of them.
pub(super) struct Rates {
    messages: Option<(Rate, Taken)>,
    bytes: Option<(Rate, Taken)>,
    began: Instant,
    /// When the last read was, from `began` on: the clock is read once a read, not for each message.
    read_at: Duration,
}

impl Rates {
    /// `None` when nothing is limited.
    pub(super) fn new(config: &Config) -> Option<Box<Self>> {
        let limit = |rate: Option<Rate>| rate.map(|rate| (rate, Taken::default()));
        let (messages, bytes) = (limit(config.message_rate), limit(config.receive_rate));
        (messages.is_some() || bytes.is_some()).then(|| {
            Box::new(Self {
                messages,
                bytes,
                began: Instant::now(),
                read_at: Duration::ZERO,
            })
        })
    }

    /// So many bytes have been read now.
    pub(super) fn read(&mut self, len: usize) -> Result<(), Failure> {
        self.read_at = self.began.elapsed();
        take(&mut self.bytes, self.read_at, len as u64).map_err(|()| Failure::ReceiveRate)
    }

    /// A message, a ping or a pong has come with the last read.
    pub(super) fn message(&mut self) -> Result<(), Failure> {
        take(&mut self.messages, self.read_at, 1).map_err(|()| Failure::MessageRate)
    }
}

fn take(limit: &mut Option<(Rate, Taken)>, now: Duration, units: u64) -> Result<(), ()> {
    match limit {
        None => Ok(()),
        Some((rate, taken)) => rate.take(taken, now, units).map_err(|_| ()),
    }
}
