//! A connection that comes back: [`Connector::reconnecting`]. What it does in between is in
//! `drive.rs`.
//!
//! ```no_run
//! use newswire::Connector;
//! use newswire::reconnect::{Event, Policy};
//!
//! # async fn example() -> newswire::Result {
//! let mut ws = Connector::new().reconnecting("ws://127.0.0.1:9998/echo", Policy::new());
//! ws.send("it waits for the connection")?;
//! while let Some(event) = ws.recv().await? {
//!     match event {
//!         Event::Message(message) => println!("{message:?}"),
//!         Event::Lost { lost, .. } => println!("{lost}"),
//!         Event::Waiting { delay, last, .. } => println!("{last}; again in {delay:?}"),
//!         _ => {}
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What arrives
//! A message waits in the [`Outbox`] until all of it was handed to the network: those that were not
//! are sent on the next connection, in order. One that was is sent no second time. It may still have
//! been lost on its way: TCP does not tell. So a message arrives once or not at all, and of those
//! sent before a loss only the last ones can be missing; who has to know needs an answer to each.

mod drive;
mod outbox;
mod policy;

pub use outbox::{NotTaken, Outbox};
pub use policy::Policy;

use self::drive::Life;
use super::Connector;
use crate::error::{Error, RecvError};
use newswire_proto::{CloseCode, CloseFrame, CommandError, Message, Utf8Bytes};
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

impl Connector {
    /// A connection to `url` that is opened again when it is lost. Nothing happens until
    /// [`Reconnecting::recv`] or [`close`](Reconnecting::close) is awaited.
    #[must_use]
    pub fn reconnecting(&self, url: &str, policy: Policy) -> Reconnecting {
        let outbox = Outbox::new(&policy);
        let life = Life {
            connector: self.clone(),
            url: url.to_owned(),
            policy,
            outbox: outbox.clone(),
        };
        Reconnecting {
            outbox,
            drive: Some(Box::pin(life.run())),
            given_up: None,
        }
    }
}

/// A connection that is opened again when it is lost. It has no task of its own: it connects, waits,
/// sends and receives while [`recv`](Self::recv) or [`close`](Self::close) is awaited. Dropping it
/// drops the connection.
pub struct Reconnecting {
    outbox: Outbox,
    drive: Option<Drive>,
    /// Why it is over, until that is told.
    given_up: Option<GivenUp>,
}

/// Everything that happens until the end, once it is polled.
type Drive = Pin<Box<dyn Future<Output = Result<(), GivenUp>> + Send>>;

/// What has happened.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// A connection is open, and [`Policy::on_open`] has run on it. What waits is sent now.
    Open {
        /// How many there were before it.
        before: u64,
        /// The subprotocol that both ends agreed on.
        subprotocol: Option<String>,
    },
    /// A message was received.
    Message(Message),
    /// The connection is lost.
    Lost {
        /// How.
        lost: Lost,
        /// Whether the first message that waits had begun to be written. It is sent again on the
        /// next connection. The server has not had it whole, unless all that was left to write was
        /// an answer to a ping behind it.
        repeats: bool,
    },
    /// There is no connection, and another attempt follows.
    Waiting {
        /// After this time.
        delay: Duration,
        /// How many attempts have not led to a stable connection since the last one that was.
        attempts: u32,
        /// What came of the last one: a [`ConnectError`](crate::ConnectError), the error of
        /// [`Policy::on_open`], or how the connection was lost.
        last: Error,
    },
    /// Messages that waited were dropped for others, as [`Policy::drop_oldest`] allows.
    Dropped {
        /// How many since this was last told.
        messages: u64,
    },
}

/// How a connection was lost.
#[derive(Debug)]
#[non_exhaustive]
pub enum Lost {
    /// The server has closed it.
    Closed(CloseFrame),
    /// It has ended without a Close frame.
    Ended,
    /// It has failed.
    Failed(RecvError),
}

/// Why there is no further connection.
#[derive(Debug)]
#[non_exhaustive]
pub enum GivenUp {
    /// The server has closed with a code that means "do not come back".
    Closed(CloseFrame),
    /// The attempt failed, and so would all others: the URL or a setting cannot be, or the
    /// credentials are not good (status 401, 403 or 407).
    Useless(Error),
    /// As many attempts as are allowed have not led to a stable connection.
    Attempts {
        /// How many.
        attempts: u32,
        /// What came of the last one.
        last: Error,
    },
}

impl Reconnecting {
    /// Waits for what happens next. `Ok(None)` means that it is over as it should be: this end has
    /// closed, or the server with code 1000 where that means "do not come back".
    ///
    /// # Errors
    /// [`GivenUp`] when there will be no further connection. It is given once; after it comes
    /// `Ok(None)`.
    ///
    /// # Cancel safety
    /// Cancel-safe: nothing is lost when the future is dropped before it is ready, and what was
    /// being done goes on with the next call.
    pub async fn recv(&mut self) -> Result<Option<Event>, GivenUp> {
        poll_fn(|cx| {
            loop {
                if let Some(event) = self.outbox.take_event() {
                    return Poll::Ready(Ok(Some(event)));
                }
                if self.drive.is_none() {
                    return Poll::Ready(self.given_up.take().map_or(Ok(None), Err));
                }
                match self.poll_drive(cx) {
                    // What happened before the end is told before it.
                    Poll::Ready(ended) => self.given_up = ended.err(),
                    Poll::Pending => match self.outbox.take_event() {
                        Some(event) => return Poll::Ready(Ok(Some(event))),
                        None => return Poll::Pending,
                    },
                }
            }
        })
        .await
    }

    /// Queues a message: [`Outbox::send`].
    ///
    /// # Errors
    /// [`NotTaken`] gives the message back.
    pub fn send(&self, message: impl Into<Message>) -> Result<(), NotTaken> {
        self.outbox.send(message)
    }

    /// Closes: sends what waits and a Close frame when there is a connection, waits for the server's,
    /// and for the end of the transport. Messages that still come are thrown away; to have them,
    /// close with the [`Outbox`] and go on receiving. Without a
    /// connection it is over at once: [`Outbox::drained`] tells when there is nothing left to send,
    /// and [`take_unsent`](Self::take_unsent) gives what was not.
    ///
    /// # Errors
    /// [`CommandError`] for a code or reason that cannot be sent, as for
    /// [`WebSocket::close`](crate::WebSocket::close); it goes on then.
    ///
    /// # Cancel safety
    /// Cancel-safe: it goes on with the next call of [`recv`](Self::recv) or `close`.
    pub async fn close(
        &mut self,
        code: CloseCode,
        reason: impl Into<Utf8Bytes>,
    ) -> Result<(), CommandError> {
        self.outbox.close(code, reason)?;
        // Whatever comes of it, it is over.
        while let Ok(Some(_)) = self.recv().await {}
        Ok(())
    }

    /// A handle that queues messages from other tasks.
    #[must_use]
    pub fn outbox(&self) -> Outbox {
        self.outbox.clone()
    }

    /// Takes the messages that wait out of the outbox, such as after the end.
    #[must_use]
    pub fn take_unsent(&mut self) -> Vec<Message> {
        self.outbox.take_unsent()
    }

    fn poll_drive(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), GivenUp>> {
        let Some(drive) = &mut self.drive else {
            return Poll::Ready(Ok(()));
        };
        let ended = ready!(drive.as_mut().poll(cx));
        self.drive = None;
        self.outbox.end();
        Poll::Ready(ended)
    }
}

impl Drop for Reconnecting {
    fn drop(&mut self) {
        self.outbox.end();
    }
}

impl fmt::Debug for Reconnecting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reconnecting")
            .field("outbox", &self.outbox)
            .field("ended", &self.drive.is_none())
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(frame) => write!(f, "the server has closed: {frame}"),
            Self::Ended => f.write_str("the connection has ended"),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for GivenUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(frame) => write!(f, "the server does not want us back: {frame}"),
            Self::Useless(error) => error.fmt(f),
            Self::Attempts { attempts, last } => {
                write!(
                    f,
                    "given up after {attempts} attempts; the last one: {last}"
                )
            }
        }
    }
}

impl std::error::Error for GivenUp {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Closed(_) => None,
            Self::Useless(last) | Self::Attempts { last, .. } => Some(&**last),
        }
    }
}
