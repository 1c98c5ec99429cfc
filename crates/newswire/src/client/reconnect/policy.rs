//! [`Policy`]: when to come back, how often, and what to keep meanwhile. Nothing is connected here.

use crate::client::error::{ConnectError, Step};
use crate::error::Result;
use crate::websocket::WebSocket;
use http::StatusCode;
use newswire_proto::CloseCode;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// When to come back after a connection was lost, and what to keep until then.
///
/// | knob | default |
/// |---|---|
/// | [`first_delay`](Self::first_delay) | 0.5 s |
/// | [`max_delay`](Self::max_delay) | 30 s |
/// | [`max_attempts`](Self::max_attempts) | no limit |
/// | [`stable_after`](Self::stable_after) | 10 s |
/// | [`stay_away_after`](Self::stay_away_after) | 1000, 1008 |
/// | [`outbox`](Self::outbox) | 1024 messages, 1 MiB |
/// | [`drop_oldest`](Self::drop_oldest) | no |
///
/// Before an attempt a random time is waited for, so that the clients of a server that was restarted
/// do not all come back at once: between nothing and the first delay, and for each attempt that
/// failed between nothing and twice as much, up to the longest delay ("full jitter"). A server's
/// `Retry-After` in seconds is waited for too, up to the longest delay.
#[derive(Clone)]
pub struct Policy {
    first_delay: Duration,
    pub(super) max_delay: Duration,
    pub(super) max_attempts: Option<u32>,
    pub(super) stable_after: Duration,
    stay_away_after: Vec<CloseCode>,
    pub(super) max_messages: usize,
    pub(super) max_bytes: usize,
    pub(super) drop_oldest: bool,
    pub(super) on_open: Option<Hook>,
}

/// What runs on a connection that was opened, before anybody else has it.
pub(super) type Hook = Arc<dyn Fn(WebSocket, u64) -> Hooked + Send + Sync>;
type Hooked = Pin<Box<dyn Future<Output = Result<WebSocket>> + Send>>;

impl Default for Policy {
    fn default() -> Self {
        Self {
            first_delay: Duration::from_millis(500),
            max_delay: Duration::from_secs(30),
            max_attempts: None,
            stable_after: Duration::from_secs(10),
            stay_away_after: vec![CloseCode::NORMAL, CloseCode::POLICY],
            max_messages: 1024,
            max_bytes: 1024 * 1024,
            drop_oldest: false,
            on_open: None,
        }
    }
}

impl Policy {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How long to wait at most before the first attempt. Default: 0.5 s.
    #[must_use]
    pub fn first_delay(mut self, delay: Duration) -> Self {
        self.first_delay = delay;
        self
    }

    /// How long to wait at most before any attempt. Default: 30 s.
    #[must_use]
    pub fn max_delay(mut self, delay: Duration) -> Self {
        self.max_delay = delay;
        self
    }

    /// How many attempts are made until a connection is stable; at least 1. Default: no limit.
    #[must_use]
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = Some(attempts.max(1));
        self
    }

    /// How long a connection has to last until attempts and delays are counted anew. Default: 10 s.
    #[must_use]
    pub fn stable_after(mut self, time: Duration) -> Self {
        self.stable_after = time;
        self
    }

    /// The codes of a server's Close frame that mean "do not come back", in place of the default:
    /// 1000 (the purpose is fulfilled) and 1008 (a policy was broken).
    #[must_use]
    pub fn stay_away_after<C: Into<CloseCode>>(
        mut self,
        codes: impl IntoIterator<Item = C>,
    ) -> Self {
        self.stay_away_after = codes.into_iter().map(Into::into).collect();
        self
    }

    /// How many messages, and bytes of them, wait at most to be sent. Default: 1024 messages and
    /// 1 MiB. A single message may be larger than that when nothing else waits.
    #[must_use]
    pub fn outbox(mut self, messages: usize, bytes: usize) -> Self {
        self.max_messages = messages;
        self.max_bytes = bytes;
        self
    }

    /// Whether a message for which there is no room takes the place of the oldest ones, which is
    /// told with [`Event::Dropped`](super::Event::Dropped), instead of being given back. Default: no.
    #[must_use]
    pub fn drop_oldest(mut self, drop_oldest: bool) -> Self {
        self.drop_oldest = drop_oldest;
        self
    }

    /// What to do on each connection before what waits is sent, such as subscribing again. It takes
    /// the connection and how many there were before it, 0 for the first, and gives it back. An
    /// error counts as a failed attempt. It has no timeout of its own.
    ///
    /// ```
    /// use newswire::WebSocket;
    /// use newswire::reconnect::Policy;
    ///
    /// let policy = Policy::new().on_open(async |mut ws: WebSocket, _before| {
    ///     ws.send("subscribe: news").await?;
    ///     match ws.recv().await? {
    ///         Some(answer) if answer.as_text() == Some("subscribed") => Ok(ws),
    ///         other => Err(format!("not subscribed: {other:?}").into()),
    ///     }
    /// });
    /// ```
    #[must_use]
    pub fn on_open<F, R>(mut self, hook: F) -> Self
    where
        F: Fn(WebSocket, u64) -> R + Send + Sync + 'static,
        R: Future<Output = Result<WebSocket>> + Send + 'static,
    {
        self.on_open = Some(Arc::new(move |ws, before| Box::pin(hook(ws, before))));
        self
    }

    pub(super) fn stays_away_after(&self, code: CloseCode) -> bool {
        self.stay_away_after.contains(&code)
    }

    /// How long to wait before another attempt when so many have not led to a stable connection;
    /// `random` is in 0..1.
    pub(super) fn delay(&self, attempts: u32, random: f64) -> Duration {
        let doubled = 2_u32.saturating_pow(attempts.saturating_sub(1));
        let most = self.first_delay.saturating_mul(doubled);
        most.min(self.max_delay).mul_f64(random)
    }
}

/// Whether the same would come of another attempt: what was asked for cannot be, or whoever asks
/// is not let in.
pub(super) fn is_final(error: &ConnectError) -> bool {
    let barred = [
        StatusCode::UNAUTHORIZED,
        StatusCode::FORBIDDEN,
        StatusCode::PROXY_AUTHENTICATION_REQUIRED,
    ];
    match error {
        ConnectError::Proxy { error, .. } => is_final(error),
        ConnectError::Timeout(_) => false,
        error => {
            error.step() == Step::Setup || error.status().is_some_and(|it| barred.contains(&it))
        }
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy")
            .field("first_delay", &self.first_delay)
            .field("max_delay", &self.max_delay)
            .field("max_attempts", &self.max_attempts)
            .field("stable_after", &self.stable_after)
            .field("stay_away_after", &self.stay_away_after)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::Policy;
    use std::time::Duration;

    #[test]
    fn the_longest_wait_doubles_up_to_its_cap_and_never_overflows() {
        let policy = Policy::new()
            .first_delay(Duration::from_millis(100))
            .max_delay(Duration::from_secs(2));
        let longest = [1, 2, 3, 5, 6, 1000, u32::MAX].map(|n| policy.delay(n, 1.0).as_millis());
        assert_eq!(longest, [100, 200, 400, 1600, 2000, 2000, 2000]);
        assert_eq!(policy.delay(3, 0.5).as_millis(), 200);
        assert_eq!(policy.delay(3, 0.0), Duration::ZERO);
        let endless = Policy::new()
            .first_delay(Duration::MAX)
            .max_delay(Duration::MAX);
        let _ = endless.delay(9, 0.999);
    }
}
