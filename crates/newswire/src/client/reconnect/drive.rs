//! What happens while nobody looks: connecting, waiting, sending what waits, receiving. It is one
//! future, which runs while one of the user's calls is awaited. What the user sees is in `mod.rs`.

use super::outbox::{Command, Outbox};
use super::policy::{Policy, is_final};
use super::{Event, GivenUp, Lost};
use crate::client::Connector;
use crate::error::Error;
use crate::websocket::{Sender, WebSocket};
use newswire_proto::CloseCode;
use std::convert::Infallible;
use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// A connection and those that follow it.
pub(super) struct Life {
    pub(super) connector: Connector,
    pub(super) url: String,
    pub(super) policy: Policy,
    pub(super) outbox: Outbox,
}

/// Why an attempt has not led to a connection.
struct Failure {
    error: Error,
    is_final: bool,
    retry_after: Duration,
}

impl Life {
    /// Runs until the user closes, or there is no use in going on.
    pub(super) async fn run(self) -> Result<(), GivenUp> {
        let mut opened = 0;
        let mut attempts = 0;
        loop {
            attempts += 1;
            let Some(attempt) = self.unless_closing(self.attempt(opened)).await else {
                return Ok(());
            };
            let (last, retry_after) = match attempt {
                Ok(ws) => {
                    let began = Instant::now();
                    self.opened(&ws, opened).await;
                    opened += 1;
                    let lost = self.converse(ws).await;
                    let repeats = self.outbox.give_up();
                    if self.outbox.is_closing() {
                        return Ok(());
                    }
                    if let Lost::Closed(frame) = &lost
                        && self.policy.stays_away_after(frame.code)
                    {
                        return match frame.code {
                            CloseCode::NORMAL => Ok(()),
                            _ => Err(GivenUp::Closed(frame.clone())),
                        };
                    }
                    if began.elapsed() >= self.policy.stable_after {
                        attempts = 0;
                    }
                    let last = lost.to_string().into();
                    self.outbox.tell(Event::Lost { lost, repeats }).await;
                    (last, Duration::ZERO)
                }
                Err(failure) if failure.is_final => return Err(GivenUp::Useless(failure.error)),
                Err(failure) => (failure.error, failure.retry_after),
            };
            if self
                .policy
                .max_attempts
                .is_some_and(|most| attempts >= most)
            {
                return Err(GivenUp::Attempts { attempts, last });
            }
            let delay = self.policy.delay(attempts.max(1), rand::random());
            let delay = delay.max(retry_after.min(self.policy.max_delay));
            let waiting = Event::Waiting {
                delay,
                attempts,
                last,
            };
            self.outbox.tell(waiting).await;
            if self.unless_closing(sleep(delay)).await.is_none() {
                return Ok(());
            }
        }
    }

    /// What `future` gives, unless the user closes before.
    async fn unless_closing<F: Future>(&self, future: F) -> Option<F::Output> {
        let mut closing = pin!(self.outbox.until_closing());
        let mut future = pin!(future);
        poll_fn(|cx| {
            if closing.as_mut().poll(cx).is_ready() {
                return Poll::Ready(None);
            }
            future.as_mut().poll(cx).map(Some)
        })
        .await
    }

    async fn attempt(&self, opened: u64) -> Result<WebSocket, Failure> {
        let connected = self.connector.connect(&self.url).await;
        let ws = connected.map_err(|error| Failure {
            is_final: is_final(&error),
            retry_after: error.retry_after().unwrap_or_default(),
            error: error.into(),
        })?;
        let Some(hook) = &self.policy.on_open else {
            return Ok(ws);
        };
        hook(ws, opened).await.map_err(|error| Failure {
            error,
            is_final: false,
            retry_after: Duration::ZERO,
        })
    }

    async fn opened(&self, ws: &WebSocket, before: u64) {
        let subprotocol = ws.subprotocol().map(str::to_owned);
        let open = Event::Open {
            before,
            subprotocol,
        };
        self.outbox.tell(open).await;
    }

    /// Sends and receives until the connection ends.
    async fn converse(&self, ws: WebSocket) -> Lost {
        let sender = ws.sender();
        let mut write = pin!(self.write(&sender));
        let mut read = pin!(self.read(ws));
        poll_fn(|cx| {
            let _: Poll<Infallible> = write.as_mut().poll(cx);
            read.as_mut().poll(cx)
        })
        .await
    }

    async fn write(&self, sender: &Sender) -> Infallible {
        loop {
            match self.outbox.command().await {
                Command::Send(message) => {
                    if sender.feed(message).await.is_err() {
                        break;
                    }
                    self.outbox.begin();
                    // One at a time: so it is known which ones were written.
                    if sender.flush().await.is_err() {
                        break;
                    }
                    self.outbox.finish();
                }
                Command::Close(frame) => {
                    // The server may have closed meanwhile.
                    let _ = sender.close(frame.code, frame.reason).await;
                    break;
                }
            }
        }
        // How the connection ends is the reader's to see.
        pending().await
    }

    async fn read(&self, mut ws: WebSocket) -> Lost {
        loop {
            match ws.recv().await {
                Ok(Some(message)) => self.outbox.tell(Event::Message(message)).await,
                Ok(None) => {
                    return match ws.close_frame() {
                        Some(frame) => Lost::Closed(frame),
                        None => Lost::Ended,
                    };
                }
                Err(error) => return Lost::Failed(error),
            }
        }
    }
}
