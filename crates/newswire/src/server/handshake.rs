//! A request that its handler itself accepts or rejects, and the stage of a connection's task in
//! which that is open. Which requests get this far is the route's to say.

use super::handler::{Stage, drive};
use super::http::Opening;
use super::judge;
use super::log::{self, Peer};
use super::metrics::Metrics;
use super::registry::Registered;
use super::request::Request;
use super::subprotocol::Subprotocols;
use crate::config::Config;
use crate::error::AcceptError;
use crate::transport::Stream;
use crate::websocket::WebSocket;
use crate::websocket::driver::{HandlerResult, Handling};
use crate::websocket::shared::Shared;
use ::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use newswire_proto::handshake::{Rejection, Upgrade};
use parking_lot::Mutex;
use std::fmt;
use std::future::{Future, poll_fn, ready};
use std::mem;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Poll, Waker};
use tokio::time::{Instant, timeout_at};

/// A client's request to open a WebSocket, which is not answered yet: a handler that takes it
/// looks at the [`Request`], which it derefs to, and accepts or rejects it. The rules of the
/// [`Route`](super::Route) come first, the policy on origins among them.
///
/// What is not answered within the handshake timeout is answered with 503, and its handler is
/// dropped; when the handler ends or panics without an answer, that is a 500.
///
/// ```
/// use newswire::{Handshake, Origins, Rejection, Router, Route};
///
/// async fn echo(handshake: Handshake) -> newswire::Result {
///     if handshake.origin() != Some("https://example.com") {
///         handshake.reject(Rejection::forbidden("only from example.com")).await;
///         return Ok(());
///     }
///     let mut ws = handshake.accept_subprotocol("echo-protocol").await?;
///     while let Some(message) = ws.recv().await? {
///         ws.send(message).await?;
///     }
///     Ok(())
/// }
///
/// // The handler looks at the origin itself.
/// let router = Router::new().route("/echo", Route::new(echo).origins(Origins::any()));
/// ```
#[must_use = "the client waits for an answer"]
pub struct Handshake<S = ()> {
    request: Request<S>,
    headers: HeaderMap,
    answer: Arc<Mutex<Answer>>,
}

/// How far the answer is.
enum Answer {
    /// There is none yet.
    Open(Box<Ready>),
    /// It is on its way, or was a rejection.
    Given,
    /// It was 101, and the connection is this one; who decided waits for its task to know.
    Accepted(Arc<Shared<Stream>>, Waker),
}

/// What it takes to answer.
struct Ready {
    opening: Opening,
    upgrade: Upgrade,
    subprotocols: Subprotocols,
    config: Config,
    limit: Instant,
    /// The task of the connection, once it has looked.
    task: Option<Waker>,
    peer: Peer,
    path: String,
    metrics: Metrics,
}

/// What [`http`] knows of a request that its handler decides.
pub(super) struct Undecided {
    pub(super) opening: Opening,
    pub(super) upgrade: Upgrade,
    pub(super) subprotocols: Subprotocols,
    pub(super) config: Config,
    pub(super) limit: Instant,
    pub(super) registered: Registered,
}

impl<S> Handshake<S> {
    /// The request itself.
    pub fn request(&self) -> &Request<S> {
        &self.request
    }

    /// A header line for the answer if that is 101, such as `Set-Cookie`.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }

    /// Accepts, with the subprotocol that the route's [`Subprotocols`] choose.
    ///
    /// # Errors
    /// [`AcceptError::Rejected`] when none of the offered subprotocols will do, or one of the
    /// headers cannot be added; the client has been told. Otherwise the client is gone.
    ///
    /// # Cancel safety
    /// Dropping the future drops the connection.
    pub async fn accept(self) -> Result<WebSocket, AcceptError> {
        self.answer(|ready| ready.subprotocols.choose(ready.upgrade.subprotocols()))
            .await
    }

    /// Accepts with one of the subprotocols that the client offers.
    ///
    /// # Errors
    /// [`AcceptError::Rejected`] when the client does not offer it (400), or one of the headers
    /// cannot be added; the client has been told. Otherwise the client is gone.
    ///
    /// # Cancel safety
    /// Dropping the future drops the connection.
    pub async fn accept_subprotocol(self, name: &str) -> Result<WebSocket, AcceptError> {
        self.answer(|_| Ok(Some(name.to_owned()))).await
    }

    /// Rejects: any status, headers and one line for the human at the other end.
    ///
    /// # Cancel safety
    /// Dropping the future may cut the connection before the client has read the answer.
    pub async fn reject(self, rejection: Rejection) {
        if let Some(ready) = take(&self.answer) {
            ready.refuse(&rejection).await;
        }
    }

    async fn answer(
        self,
        choose: impl FnOnce(&Ready) -> Result<Option<String>, Rejection>,
    ) -> Result<WebSocket, AcceptError> {
        let Some(mut ready) = take(&self.answer) else {
            // It took too long, and has been answered.
            return Err(AcceptError::Ended);
        };
        let task = ready.task.take();
        let accepted = choose(&ready).and_then(|subprotocol| {
            judge::accepted(&ready.upgrade, subprotocol.as_deref(), &ready.config)?
                .with_headers(&self.headers)
                .map_err(|misuse| {
                    Rejection::new(StatusCode::INTERNAL_SERVER_ERROR, misuse.to_string())
                })
        });
        let accepted = match accepted {
            Ok(accepted) => accepted,
            Err(rejection) => {
                ready.refuse(&rejection).await;
                return Err(AcceptError::Rejected(rejection));
            }
        };
        let Ready {
            opening,
            config,
            limit,
            ..
        } = *ready;
        let ws = opening.accept(accepted, &config, limit).await?;
        // The task of the connection takes over before anything is done with it.
        let mut told = false;
        poll_fn(|cx| {
            if mem::replace(&mut told, true) {
                return Poll::Ready(());
            }
            *self.answer.lock() = Answer::Accepted(ws.shared(), cx.waker().clone());
            if let Some(task) = &task {
                task.wake_by_ref();
            }
            Poll::Pending
        })
        .await;
        Ok(ws)
    }
}

fn take(answer: &Mutex<Answer>) -> Option<Box<Ready>> {
    let mut answer = answer.lock();
    match mem::replace(&mut *answer, Answer::Given) {
        Answer::Open(ready) => Some(ready),
        other => {
            *answer = other;
            None
        }
    }
}

impl Ready {
    async fn refuse(self, rejection: &Rejection) {
        self.metrics.handshake_refused(rejection.kind());
        log::refused(&self.peer, Some(&self.path), rejection);
        self.opening.refuse(rejection).await;
    }
}

impl<S> Deref for Handshake<S> {
    type Target = Request<S>;

    fn deref(&self) -> &Request<S> {
        &self.request
    }
}

impl<S> fmt::Debug for Handshake<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Handshake").field(&self.request).finish()
    }
}

/// What became of a request while its handler was polled.
enum Decided {
    /// It is a connection now; the handler goes on.
    Accepted(Arc<Shared<Stream>>),
    /// The handler has ended, or panicked.
    Ended(Option<crate::Result>),
}

/// The stage of a handler that decides: up to where its connection is open, or to its end.
pub(super) fn decide<S, R>(
    undecided: Undecided,
    request: Request<S>,
    handler: impl FnOnce(Handshake<S>) -> R + Send + 'static,
) -> Stage
where
    S: Send + 'static,
    R: Future<Output: HandlerResult> + Send + 'static,
{
    let Undecided {
        opening,
        upgrade,
        subprotocols,
        config,
        limit,
        registered,
    } = undecided;
    let peer = request.peer_addr();
    let answer = Arc::new(Mutex::new(Answer::Open(Box::new(Ready {
        opening,
        upgrade,
        subprotocols,
        config,
        limit,
        task: None,
        peer: peer.into(),
        path: request.path().to_owned(),
        metrics: registered.metrics().clone(),
    }))));
    let handshake = Handshake {
        request,
        headers: HeaderMap::new(),
        answer: Arc::clone(&answer),
    };
    Stage::new(async move {
        // The handler goes on in another stage, and where it is it stays.
        let begun = catch_unwind(AssertUnwindSafe(|| Box::pin(handler(handshake))));
        let Ok(mut handler) = begun else {
            give_up(&answer, "the handler panicked").await;
            return None;
        };
        let mut deciding = poll_fn(|cx| {
            if let Answer::Open(ready) = &mut *answer.lock() {
                ready.task = Some(cx.waker().clone());
            }
            let polled = catch_unwind(AssertUnwindSafe(|| handler.as_mut().poll_result(cx)));
            let ended = match polled {
                Ok(Poll::Pending) => None,
                Ok(Poll::Ready(result)) => Some(Some(result)),
                Err(_) => Some(None),
            };
            match (ended, &*answer.lock()) {
                (Some(ended), _) => Poll::Ready(Decided::Ended(ended)),
                (None, Answer::Accepted(shared, decider)) => {
                    decider.wake_by_ref();
                    Poll::Ready(Decided::Accepted(Arc::clone(shared)))
                }
                (None, _) => Poll::Pending,
            }
        });
        let decided = match timeout_at(limit, &mut deciding).await {
            Ok(decided) => decided,
            Err(_) => match take(&answer) {
                Some(ready) => {
                    ready.refuse(&too_slow()).await;
                    return None;
                }
                // The answer is on its way, within its own time.
                None => deciding.await,
            },
        };
        let result = match decided {
            Decided::Accepted(shared) => {
                registered.opened(&shared);
                return Some(drive(shared, Ok(handler), peer.into()));
            }
            Decided::Ended(result) => result,
        };
        let accepted = match &*answer.lock() {
            Answer::Accepted(shared, _) => Some(Arc::clone(shared)),
            _ => None,
        };
        if let Some(shared) = accepted {
            registered.opened(&shared);
            // Somebody else has the connection, which ends with its handler all the same.
            let result = result.ok_or_else(|| Box::new(()) as _).map(ready);
            return Some(drive(shared, result, peer.into()));
        }
        match result {
            None => give_up(&answer, "the handler panicked").await,
            Some(Err(error)) => {
                log::gave_up(&peer.into(), &error);
                give_up(&answer, "the handler failed").await;
            }
            Some(Ok(())) => give_up(&answer, "the handler gave no answer").await,
        }
        None
    })
}

/// The answer when the decision takes too long.
pub(super) fn too_slow() -> Rejection {
    Rejection::service_unavailable("it could not be decided in time")
}

/// Answers with 500 what is not answered yet.
async fn give_up(answer: &Mutex<Answer>, why: &str) {
    if let Some(ready) = take(answer) {
        let rejection = Rejection::new(StatusCode::INTERNAL_SERVER_ERROR, why);
        ready.refuse(&rejection).await;
    }
}
