//! A message whose bytes are still being read when it is sent, as a `Blob`'s are. What is done with
//! them afterwards is not known here.

use super::channel::Channel;
use bytes::Bytes;
use std::fmt;
use std::sync::Arc;

/// The place of a binary message that was sent before its bytes were there:
/// [`WebSocket::send_blob`](super::WebSocket::send_blob). What is sent later goes behind it, the
/// Close frame too. Dropped without bytes, it gives its place up, and what it was counted for stays
/// in `bufferedAmount`.
pub struct PendingBlob {
    size: u64,
    /// None on a socket that sends nothing any more.
    place: Option<(Arc<Channel>, u64)>,
}

impl PendingBlob {
    pub(super) fn new(size: u64, place: Option<(Arc<Channel>, u64)>) -> Self {
        Self { size, place }
    }

    /// How many bytes there must be.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Sends the bytes, from any thread. Whether they are as many as was said; otherwise nothing
    /// is sent.
    pub fn fill(mut self, bytes: impl Into<Bytes>) -> bool {
        let bytes = bytes.into();
        if bytes.len() as u64 != self.size {
            return false;
        }
        if let Some((channel, place)) = self.place.take() {
            channel.fill(place, Some(bytes.into()));
        }
        true
    }
}

impl Drop for PendingBlob {
    fn drop(&mut self) {
        if let Some((channel, place)) = self.place.take() {
            channel.fill(place, None);
        }
    }
}

impl fmt::Debug for PendingBlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingBlob")
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}
