//! The last bytes of one direction, which is all that a connection keeps of it in shared mode.
//! Who looks back at them, and how far, is not known here.

/// At most `most` bytes; the memory for them grows with what has come.
#[derive(Clone, Debug)]
pub(super) struct History {
    bytes: Vec<u8>,
    most: usize,
}

impl History {
    pub(super) fn new(most: usize) -> Self {
        Self {
            bytes: Vec::new(),
            most,
        }
    }

    /// The bytes, oldest first.
    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
    }

    /// How much memory the bytes are in.
    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Appends a message, and forgets as much of what was before as has no room beside it.
    pub(super) fn push(&mut self, message: &[u8]) {
        let message = &message[message.len().saturating_sub(self.most)..];
        let gone = (self.bytes.len() + message.len()).saturating_sub(self.most);
        self.bytes.drain(..gone);
        let needed = self.bytes.len() + message.len();
        if needed > self.bytes.capacity() {
            // As much again, so that many small messages do not move it each time.
            let capacity = needed.max(2 * self.bytes.capacity()).min(self.most);
            self.bytes.reserve_exact(capacity - self.bytes.len());
        }
        self.bytes.extend_from_slice(message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_the_end_of_all_that_came_and_takes_no_more_memory_than_it_may(
            messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..20),
            most in 0_usize..100,
        ) {
            let mut history = History::new(most);
            for message in &messages {
                history.push(message);
            }
            let all = messages.concat();
            prop_assert_eq!(history.as_slice(), &all[all.len().saturating_sub(most)..]);
            prop_assert!(history.capacity() <= most);
        }
    }
}
