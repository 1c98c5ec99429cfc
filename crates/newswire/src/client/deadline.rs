//! How long opening a connection may still take. What is done meanwhile is not known here.

use super::error::{ConnectError, Step};
use std::future::Future;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// A point in time, or none when it is further away than the clock goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline(Option<Instant>);

impl Deadline {
    pub(super) fn after(duration: Duration) -> Self {
        Self(Instant::now().checked_add(duration))
    }

    /// This one, or another in so much time if that comes sooner.
    pub(super) fn or_after(self, duration: Duration) -> Self {
        match (self.0, Instant::now().checked_add(duration)) {
            (Some(this), Some(other)) => Self(Some(this.min(other))),
            (this, other) => Self(this.or(other)),
        }
    }

    /// What `attempt` gives; `None` when it is not ready in time.
    pub(super) async fn wait<F: Future>(self, attempt: F) -> Option<F::Output> {
        match self.0 {
            Some(at) => timeout_at(at, attempt).await.ok(),
            None => Some(attempt.await),
        }
    }

    /// What the attempt at a step gives, if it is ready in time.
    pub(super) async fn within<R>(
        self,
        step: Step,
        attempt: impl Future<Output = Result<R, ConnectError>>,
    ) -> Result<R, ConnectError> {
        let output = self.wait(attempt).await;
        output.unwrap_or(Err(ConnectError::Timeout(step)))
    }
}
