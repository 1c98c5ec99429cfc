//! A way to send that outlives each of the connections that follow one another. What comes back is in
//! `link.rs`.

use super::failure::Failure;
use crate::exit_code::ExitCode;
use newswire::reconnect::{NotTaken, Outbox};
use newswire::{CloseCode, CommandError, Message, SendError, Sender, State};
use tokio::sync::watch;

/// A way to send, on whichever connection is open. All of it goes out in the order in which it is
/// given.
pub(super) enum Outlet {
    Once(Sender),
    Again {
        outbox: Outbox,
        sender: watch::Receiver<Option<Sender>>,
    },
}

impl Outlet {
    /// Sends a message, or keeps it for the next connection.
    pub(super) async fn send(&self, message: Message) -> Result<(), Failure> {
        match self {
            Self::Once(sender) => match sender.send(message).await {
                Err(SendError::Closed(_)) => Err(not_everything()),
                done => Ok(done?),
            },
            Self::Again { outbox, .. } => {
                let mut message = message;
                loop {
                    match outbox.send(message) {
                        Ok(()) => return Ok(()),
                        Err(NotTaken::Full(back)) => message = back,
                        Err(_) => return Err(not_everything()),
                    }
                    outbox.drained().await;
                }
            }
        }
    }

    /// Sends a ping, once all that was sent before is written.
    pub(super) async fn ping(&self, payload: &[u8]) -> Result<(), CommandError> {
        self.command(async |sender| sender.ping(payload).await)
            .await
    }

    /// Sends a pong that answers none, in the same way.
    pub(super) async fn pong(&self, payload: &[u8]) -> Result<(), CommandError> {
        self.command(async |sender| sender.pong(payload).await)
            .await
    }

    /// Gives a command to a connection that is open, for which it waits when there will be one.
    async fn command(
        &self,
        give: impl AsyncFn(&Sender) -> Result<(), CommandError>,
    ) -> Result<(), CommandError> {
        match self {
            Self::Once(sender) => give(sender).await,
            Self::Again { outbox, sender } => {
                outbox.drained().await;
                let mut sender = sender.clone();
                loop {
                    let found = sender.wait_for(is_open).await;
                    // There will be none any more.
                    let found = found.map_err(|_| CommandError::Closing)?.clone();
                    let Some(found) = found else { continue };
                    match give(&found).await {
                        // The next one takes it.
                        Err(CommandError::Closing) => {}
                        done => return done,
                    }
                }
            }
        }
    }

    /// Sends a ping if a connection is open.
    pub(super) async fn ping_now(&self, payload: &[u8]) {
        let sender = match self {
            Self::Once(sender) => Some(sender.clone()),
            Self::Again { sender, .. } => sender.borrow().clone(),
        };
        if let Some(sender) = sender {
            // A connection that is closing needs none.
            let _ = sender.ping(payload).await;
        }
    }

    /// Closes behind all that was sent before.
    pub(super) async fn close(&self, code: CloseCode, reason: &str) -> Result<(), CommandError> {
        match self {
            Self::Once(sender) => match sender.close(code, reason).await {
                Err(CommandError::Closing) => Ok(()),
                done => done,
            },
            Self::Again { outbox, .. } => outbox.close(code, reason),
        }
    }

    /// Waits until all is written; `waits`: for a connection too, if there is none.
    pub(super) async fn written(&self, waits: bool) -> Result<(), Failure> {
        if let Self::Again { outbox, sender } = self
            && (waits || is_open(&sender.borrow()))
        {
            outbox.drained().await;
            if !outbox.is_empty() {
                return Err(not_everything());
            }
        }
        Ok(())
    }
}

fn is_open(sender: &Option<Sender>) -> bool {
    sender
        .as_ref()
        .is_some_and(|sender| sender.state() == State::Open)
}

fn not_everything() -> Failure {
    Failure::new(
        ExitCode::Failure,
        "not everything was sent: the connection was closed before",
    )
}
