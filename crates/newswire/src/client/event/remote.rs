//! A socket on a thread of its own, and its handle for other threads. How tasks run is not known
//! here.

use super::WebSocket;
use super::channel::{Channel, Posted};
use super::exception::DomException;
use super::options::Request;
use std::sync::{Arc, mpsc};
use std::thread::{self, ThreadId};
use std::{fmt, io};

/// Reaches a [`WebSocket`] from any thread: what is posted runs on the socket's, between its
/// events, in the order in which it was posted.
///
/// ```no_run
/// use newswire::event;
///
/// # fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let remote = event::Options::new().spawn("ws://127.0.0.1:9998/echo", (), |socket| {
///     socket.set_onopen(Some(Box::new(|_| println!("open"))));
/// })?;
/// let buffered = remote.call(|socket| socket.buffered_amount())?;
/// # Ok(())
/// # }
/// ```
pub struct Remote {
    channel: Arc<Channel>,
    owner: Option<ThreadId>,
}

impl Remote {
    pub(super) fn new(channel: &Arc<Channel>, owner: Option<ThreadId>) -> Self {
        channel.remote_made();
        Self {
            channel: Arc::clone(channel),
            owner,
        }
    }

    /// Has `task` run on the socket's thread. `false` when the socket is gone; when it goes before
    /// its turn comes, the task is dropped.
    pub fn post(&self, task: impl FnOnce(&WebSocket) + Send + 'static) -> bool {
        self.channel.post(Box::new(task))
    }

    /// Has `task` run on the socket's thread and waits for what it gives.
    ///
    /// # Errors
    /// [`RemoteError::Gone`] when the socket goes before; [`RemoteError::OwnThread`] on the
    /// socket's own thread, which would wait for itself.
    pub fn call<R: Send + 'static>(
        &self,
        task: impl FnOnce(&WebSocket) -> R + Send + 'static,
    ) -> Result<R, RemoteError> {
        if self.owner == Some(thread::current().id()) {
            return Err(RemoteError::OwnThread);
        }
        let (answer, answered) = mpsc::sync_channel(1);
        let posted: Posted = Box::new(move |socket| {
            // Whoever called is waiting.
            let _ = answer.send(task(socket));
        });
        if !self.channel.post(posted) {
            return Err(RemoteError::Gone);
        }
        answered.recv().map_err(|_| RemoteError::Gone)
    }
}

impl Clone for Remote {
    fn clone(&self) -> Self {
        Self::new(&self.channel, self.owner)
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        self.channel.remote_dropped();
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Remote")
    }
}

/// Why a [`Remote::call`] has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RemoteError {
    /// The socket is gone.
    Gone,
    /// It was called on the socket's own thread, which would have to wait for itself.
    OwnThread,
}

impl fmt::Display for RemoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gone => "the socket is gone",
            Self::OwnThread => "called on the socket's own thread: use the socket itself there",
        })
    }
}

impl std::error::Error for RemoteError {}

/// Why a socket did not get a thread of its own.
#[derive(Debug)]
#[non_exhaustive]
pub enum SpawnError {
    /// The constructor has thrown.
    Exception(DomException),
    /// The system has no thread left.
    Thread(io::Error),
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exception(exception) => exception.fmt(f),
            Self::Thread(error) => write!(f, "no thread for the socket: {error}"),
        }
    }
}

impl std::error::Error for SpawnError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Exception(exception) => Some(exception),
            Self::Thread(error) => Some(error),
        }
    }
}

/// Runs a socket on a new thread.
pub(super) fn spawn(
    request: Request,
    set_up: impl FnOnce(&WebSocket) + Send + 'static,
) -> Result<Remote, SpawnError> {
    let channel = Channel::new(request.options.max_pending);
    let mut remote = Remote::new(&channel, None);
    let thread = thread::Builder::new()
        .name("newswire-event".to_owned())
        .spawn(move || {
            let socket = WebSocket::start_on(request, channel);
            set_up(&socket);
            while socket.wait(None) {
                socket.dispatch_pending();
            }
        })
        .map_err(SpawnError::Thread)?;
    remote.owner = Some(thread.thread().id());
    Ok(remote)
}
