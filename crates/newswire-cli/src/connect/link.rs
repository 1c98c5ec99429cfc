//! The connection, or with --reconnect one after the other: what happens on it, in its order. When it
//! is over is the session's to say.

use super::failure::Failure;
use super::outlet::Outlet;
use http::Response;
use newswire::reconnect::{self, GivenUp, Lost, Policy, Reconnecting};
use newswire::{
    CloseCode, CloseFrame, ConnectError, Connector, ControlFrame, ControlFrames, Message, Sender,
    Side, WebSocket,
};
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// What has happened.
pub(super) enum Event {
    /// A connection is open.
    Open(Opening),
    Message(Message),
    Control(ControlFrame),
    /// The connection is lost, and another one wanted.
    Lost {
        how: String,
        /// The server's Close frame.
        frame: Option<CloseFrame>,
        /// Whether the first message that waits had begun to be sent, and is sent again.
        repeats: bool,
    },
    /// Another attempt follows.
    Waiting {
        delay: Duration,
        attempts: u32,
        why: String,
    },
}

/// What the opening handshake has found.
#[derive(Clone)]
pub(super) struct Opening {
    pub(super) response: Option<Response<()>>,
    pub(super) subprotocol: Option<String>,
    pub(super) extensions: Option<String>,
}

/// The connection, as far as events tell of it.
pub(super) struct Link {
    way: Way,
    current: Option<Current>,
    /// What comes behind the control frames that are there.
    held: Option<Result<Option<Event>, Failure>>,
}

enum Way {
    Once(WebSocket),
    Again(Box<Again>),
}

struct Again {
    connections: Reconnecting,
    /// What the hook has found on the connection that is open next.
    opened: mpsc::Receiver<Opened>,
    /// The connection that is open, for those who send.
    sender: watch::Sender<Option<Sender>>,
    /// What went wrong last, unless a connection is open since.
    last: Option<Failure>,
    unsent: usize,
}

/// A connection that is or was open.
struct Current {
    sender: Sender,
    frames: ControlFrames,
}

type Opened = (Current, Opening);

/// What happens next, and the connection that is open since.
type Next = (Option<Event>, Option<Current>);

fn opened(ws: &WebSocket) -> Opened {
    let current = Current {
        sender: ws.sender(),
        frames: ws.control_frames(),
    };
    let opening = Opening {
        response: ws.response().cloned(),
        subprotocol: ws.subprotocol().map(str::to_owned),
        extensions: ws.deflate().map(|params| params.to_string()),
    };
    (current, opening)
}

impl Link {
    /// A connection that is open.
    pub(super) fn once(ws: WebSocket) -> Self {
        let (current, opening) = opened(&ws);
        Self {
            way: Way::Once(ws),
            current: Some(current),
            held: Some(Ok(Some(Event::Open(opening)))),
        }
    }

    /// One that is opened when it is waited for, and again when it is lost.
    pub(super) fn again(connector: &Connector, url: &str, policy: Policy) -> Self {
        let (found, opened_next) = mpsc::channel(1);
        let policy = policy.on_open(move |ws, _| {
            // Each is taken before the next one is opened.
            let _ = found.try_send(opened(&ws));
            async { Ok(ws) }
        });
        Self {
            way: Way::Again(Box::new(Again {
                connections: connector.reconnecting(url, policy),
                opened: opened_next,
                sender: watch::Sender::default(),
                last: None,
                unsent: 0,
            })),
            current: None,
            held: None,
        }
    }

    pub(super) fn outlet(&self) -> Outlet {
        match &self.way {
            Way::Once(ws) => Outlet::Once(ws.sender()),
            Way::Again(again) => Outlet::Again {
                outbox: again.connections.outbox(),
                sender: again.sender.subscribe(),
            },
        }
    }

    /// What happens next; `None` when it is over as it should be. Control frames come before the
    /// message that they were received before; with --reconnect, which reads on while a message
    /// waits to be taken, those behind it may come before it too. Cancel-safe.
    pub(super) async fn next(&mut self) -> Result<Option<Event>, Failure> {
        loop {
            let Some(Current { frames, .. }) = &mut self.current else {
                let (event, opened) = self.way.next().await?;
                self.current = opened;
                return Ok(event);
            };
            if let Some(frame) = frames.try_recv() {
                return Ok(Some(Event::Control(frame)));
            }
            if let Some(held) = self.held.take() {
                return held;
            }
            tokio::select! {
                biased;
                Some(frame) = frames.recv() => return Ok(Some(Event::Control(frame))),
                next = self.way.next() => match next {
                    // What comes on a connection comes behind its opening.
                    Ok((event, Some(opened))) => {
                        self.current = Some(opened);
                        return Ok(event);
                    }
                    next => self.held = Some(next.map(|(event, _)| event)),
                },
            }
        }
    }

    /// Begins to close. What is not sent yet is not wanted any more.
    pub(super) async fn close(&mut self) {
        // When it is closing already, that is as good.
        match &mut self.way {
            Way::Once(ws) => {
                let _ = ws.sender().close(CloseCode::NORMAL, "").await;
            }
            Way::Again(again) => {
                again.unsent += again.connections.take_unsent().len();
                let _ = again.connections.outbox().close(CloseCode::NORMAL, "");
            }
        }
    }

    /// The server's Close frame, and which end began to close.
    pub(super) fn close_frame(&self) -> Option<(CloseFrame, Option<Side>)> {
        let sender = &self.current.as_ref()?.sender;
        Some((sender.close_frame()?, sender.closed_by()))
    }
}

impl Way {
    async fn next(&mut self) -> Result<Next, Failure> {
        match self {
            Self::Once(ws) => Ok((ws.recv().await?.map(Event::Message), None)),
            Self::Again(again) => again.next().await,
        }
    }
}

impl Again {
    async fn next(&mut self) -> Result<Next, Failure> {
        loop {
            let event = match self.connections.recv().await {
                Ok(Some(event)) => event,
                Ok(None) => return self.ended(),
                Err(why) => return self.given_up(why),
            };
            return Ok(match event {
                reconnect::Event::Open { .. } => {
                    let Ok((current, opening)) = self.opened.try_recv() else {
                        continue;
                    };
                    self.last = None;
                    self.sender.send_replace(Some(current.sender.clone()));
                    (Some(Event::Open(opening)), Some(current))
                }
                reconnect::Event::Message(message) => (Some(Event::Message(message)), None),
                reconnect::Event::Lost { lost, repeats } => {
                    self.sender.send_replace(None);
                    let event = Event::Lost {
                        how: lost.to_string(),
                        frame: match &lost {
                            Lost::Closed(frame) => Some(frame.clone()),
                            _ => None,
                        },
                        repeats,
                    };
                    self.last = Some(lost.into());
                    (Some(event), None)
                }
                reconnect::Event::Waiting {
                    delay,
                    attempts,
                    last,
                } => {
                    let why = last.to_string();
                    if last.is::<ConnectError>() {
                        self.last = Some(last.into());
                    }
                    let event = Event::Waiting {
                        delay,
                        attempts,
                        why,
                    };
                    (Some(event), None)
                }
                _ => continue,
            });
        }
    }

    /// This end has closed, or the server as it should.
    fn ended(&mut self) -> Result<Next, Failure> {
        if let Some(last) = self.last.take() {
            let sentence = last.to_string();
            return Err(last.given_up(sentence, self.unsent()));
        }
        let sender = self.sender.borrow().clone();
        match sender {
            Some(sender) if sender.close_frame().is_none() => Err(Failure::from(Lost::Ended)),
            _ => Ok((None, None)),
        }
    }

    /// The exit code is that of what went wrong last.
    fn given_up(&mut self, why: GivenUp) -> Result<Next, Failure> {
        let sentence = why.to_string();
        let failure = match why {
            GivenUp::Useless(error) => error.into(),
            GivenUp::Attempts { last, .. } if last.is::<ConnectError>() => last.into(),
            GivenUp::Attempts { last, .. } => match self.last.take() {
                Some(lost) => lost,
                None => last.into(),
            },
            // How it was closed is judged as without --reconnect.
            _ => return Ok((None, None)),
        };
        Err(failure.given_up(sentence, self.unsent()))
    }

    fn unsent(&mut self) -> usize {
        self.unsent + self.connections.take_unsent().len()
    }
}
