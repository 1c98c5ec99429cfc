//! The WHATWG `WebSocket`: the interface that web pages have, with its events, states and
//! exceptions. How bytes travel is not known here; that is the connection's of [`crate`].
//!
//! Algorithms are those of the [WebSockets Standard](https://websockets.spec.whatwg.org/), and a
//! task of the standard is a task here: it runs when the thread that owns the socket lets it run,
//! and nothing that it changes is visible before. What follows from which rule, and the test that
//! shows it, is in `docs/reference/websocket-interface.md`.

mod blob;
mod channel;
mod connecting;
mod dispatch;
mod events;
mod exception;
mod io_thread;
mod options;
mod ports;
mod remote;
mod target;
mod wire;

pub use blob::PendingBlob;
pub use events::{BinaryType, CloseEvent, Data, Event, EventType, MessageEvent, ReadyState};
pub use exception::{DomException, ExceptionKind};
pub use options::{Options, Protocols};
pub use remote::{Remote, RemoteError, SpawnError};
pub use target::ListenerId;

use self::channel::{Channel, End, Task};
use self::options::Request;
use self::target::EventTarget;
use newswire_proto::{CloseCode, CloseFrame, Message, Utf8Bytes};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

/// The longest reason, in bytes of UTF-8.
const MAX_REASON: usize = 123;

/// An event handler: called with the socket, so that it need not hold it.
pub type Handler = Box<dyn FnMut(&WebSocket)>;

/// The handler of `message` events.
pub type MessageHandler = Box<dyn FnMut(&WebSocket, &MessageEvent)>;

/// The handler of `close` events.
pub type CloseHandler = Box<dyn FnMut(&WebSocket, &CloseEvent)>;

/// The `WebSocket` of web pages.
///
/// ```no_run
/// use newswire::event::WebSocket;
///
/// # fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let socket = WebSocket::new("ws://127.0.0.1:9998/echo", ())?;
/// socket.set_onopen(Some(Box::new(|socket| {
///     socket.send("WebSocket rocks").expect("it is open");
/// })));
/// socket.set_onmessage(Some(Box::new(|socket, event| {
///     println!("{:?}", event.data);
///     socket.close(None, None).expect("neither can be wrong");
/// })));
/// socket.set_onclose(Some(Box::new(|_, event| println!("closed: {}", event.code))));
/// socket.run();
/// # Ok(())
/// # }
/// ```
///
/// # Threads
/// A socket belongs to the thread that made it, and so may its handlers. The I/O of all sockets is
/// done by one background thread; no runtime has to be there. What happens waits until the owner
/// lets it become visible:
/// - [`run`](Self::run) does nothing else until the socket is closed;
/// - [`dispatch_pending`](Self::dispatch_pending) in a loop of one's own, such as a game's, which
///   [`wait`](Self::wait) or a [waker](Self::set_waker) tells when it is worth it;
/// - [`next_event`](Self::next_event) for those who would rather have events than handlers.
///
/// [`Options::spawn`] makes a thread that runs a socket in the background, and a [`Remote`] has
/// things done there from any other.
///
/// # Many sockets
/// Those to the same host and port are established one after the other, in the order in which they
/// were made, as RFC 6455 §4.1 asks; one that fails or is given up keeps no other waiting.
/// [`connect`](crate::connect) does not wait for others.
///
/// # Dropping
/// A socket that is dropped before it is closed sends what was queued and a Close frame with code
/// 1001, in the background, as long as the program goes on; one that is not established is given up.
/// No event is fired any more. To be sure that all has arrived, [`close`](Self::close) and wait for the
/// `close` event.
pub struct WebSocket {
    url: String,
    origin: String,
    ready_state: Cell<ReadyState>,
    extensions: RefCell<String>,
    protocol: RefCell<String>,
    binary_type: Cell<BinaryType>,
    /// The bytes of all messages that `send` was ever given.
    queued: Cell<u64>,
    /// How many of them the network had taken when the last task began.
    transmitted: Cell<u64>,
    max_buffered_amount: u64,
    /// "flagged as full"
    full: Cell<bool>,
    target: EventTarget,
    dispatching: Cell<bool>,
    /// The rest of a task that fires two events.
    next: RefCell<Option<Event>>,
    failure: RefCell<Option<String>>,
    channel: Arc<Channel>,
}

impl WebSocket {
    /// The constructor: begins to connect. `protocols` is `()`, a name, or a list of names; the
    /// server has to choose one of them. [`Options`] have a base URL and more.
    ///
    /// ```
    /// use newswire::event::WebSocket;
    ///
    /// let error = WebSocket::new("ftp://example.com/", ()).unwrap_err();
    /// assert_eq!(error.name(), "SyntaxError");
    /// ```
    ///
    /// # Errors
    /// A `SyntaxError` for what is not a URL of scheme ws, wss, http or https, for a fragment in
    /// it, and for a subprotocol that is not a token or is there twice.
    pub fn new(url: &str, protocols: impl Protocols) -> Result<Self, DomException> {
        Options::new().open(url, protocols)
    }

    fn start(request: Request) -> Self {
        let channel = Channel::new(request.options.max_pending);
        Self::start_on(request, channel)
    }

    fn start_on(request: Request, channel: Arc<Channel>) -> Self {
        let socket = Self {
            url: request.url.to_string(),
            origin: request.url.origin().ascii_serialization(),
            ready_state: Cell::new(ReadyState::Connecting),
            extensions: RefCell::default(),
            protocol: RefCell::default(),
            binary_type: Cell::default(),
            queued: Cell::new(0),
            transmitted: Cell::new(0),
            max_buffered_amount: request.options.max_buffered_amount,
            full: Cell::new(false),
            target: EventTarget::default(),
            dispatching: Cell::new(false),
            next: RefCell::new(None),
            failure: RefCell::new(None),
            channel: Arc::clone(&channel),
        };
        if let Err(error) = io_thread::spawn(wire::drive(request, Arc::clone(&channel))) {
            let why = format!("no thread for the I/O: {error}");
            channel.push(Task::Closed(End::abnormal(true, why)));
        }
        socket
    }

    /// `url`: the URL, as the URL Standard writes it.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// `readyState`.
    #[must_use]
    pub fn ready_state(&self) -> ReadyState {
        self.ready_state.get()
    }

    /// `bufferedAmount`: how many bytes of messages `send` was given that the network had not
    /// taken when the task that is running began. It never becomes less within a task, and what
    /// was not sent when the connection is closed stays in it.
    #[must_use]
    pub fn buffered_amount(&self) -> u64 {
        self.queued.get().saturating_sub(self.transmitted.get())
    }

    /// `extensions`: those in use, as the server has named them; "" when there are none.
    #[must_use]
    pub fn extensions(&self) -> String {
        self.extensions.borrow().clone()
    }

    /// `protocol`: the subprotocol in use, "" when there is none.
    #[must_use]
    pub fn protocol(&self) -> String {
        self.protocol.borrow().clone()
    }

    /// `binaryType`.
    #[must_use]
    pub fn binary_type(&self) -> BinaryType {
        self.binary_type.get()
    }

    /// Sets `binaryType`. It is looked at when a `message` event is fired, not when the message is
    /// received.
    pub fn set_binary_type(&self, binary_type: BinaryType) {
        self.binary_type.set(binary_type);
    }

    /// Why the connection failed, once it is closed. For logs: the standard wants it kept from
    /// scripts, so that they cannot look around in the network, and has no such attribute.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        self.failure.borrow().clone()
    }

    /// `send`: queues a message. Text is UTF-8; a binding for a language whose text is not makes
    /// it so, as JavaScript's `USVString` does. On a socket that is closing or closed nothing is
    /// sent, and `bufferedAmount` grows all the same.
    ///
    /// # Errors
    /// An `InvalidStateError` before the connection is established.
    pub fn send(&self, data: impl Into<Message>) -> Result<(), DomException> {
        self.check_established()?;
        let message = data.into();
        if self.admit(message.len() as u64) {
            self.channel.send(message);
        }
        Ok(())
    }

    /// `send` with a `Blob`: a binary message of `size` bytes that are still to be read. It is
    /// counted at once and keeps its place, so that what is sent meanwhile goes behind it.
    ///
    /// ```no_run
    /// # fn example(socket: newswire::event::WebSocket) -> Result<(), Box<dyn std::error::Error>> {
    /// let blob = socket.send_blob(4)?;
    /// socket.send("comes second")?;
    /// std::thread::spawn(move || blob.fill(&b"slow"[..]));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_blob(&self, size: u64) -> Result<PendingBlob, DomException> {
        self.check_established()?;
        let place = self.admit(size).then(|| {
            let place = self.channel.send_later();
            (Arc::clone(&self.channel), place)
        });
        Ok(PendingBlob::new(size, place))
    }

    /// "If this's ready state is CONNECTING, then throw an "InvalidStateError" DOMException."
    fn check_established(&self) -> Result<(), DomException> {
        if self.ready_state() == ReadyState::Connecting {
            return Err(DomException::new(
                ExceptionKind::InvalidStateError,
                "the connection is not established yet: send once it is open",
            ));
        }
        Ok(())
    }

    /// Counts a message of so many bytes. Whether it is to be sent.
    fn admit(&self, len: u64) -> bool {
        let mut sends = self.ready_state() == ReadyState::Open && !self.full.get();
        if sends && self.buffered_amount().saturating_add(len) > self.max_buffered_amount {
            // "if the data cannot be sent, e.g. because it would need to be buffered but the
            // buffer is full, the user agent must flag the WebSocket as full and then close the
            // WebSocket connection."
            self.full.set(true);
            self.channel.cut();
            sends = false;
        }
        // "Any invocation of this method […] that does not throw an exception must increase the
        // bufferedAmount attribute by the number of bytes needed to express the argument as UTF-8."
        self.queued.set(self.queued.get().saturating_add(len));
        sends
    }

    /// `close`: begins the closing handshake behind what was sent, or gives up a connection that
    /// is not established. A second call does nothing. No message is shown after it.
    ///
    /// # Errors
    /// An `InvalidAccessError` for a code that is neither 1000 nor 3000–4999; a `SyntaxError` for
    /// a reason of more than 123 bytes of UTF-8. The socket stays as it is.
    pub fn close(&self, code: Option<u16>, reason: Option<&str>) -> Result<(), DomException> {
        // "If code is present, but is neither an integer equal to 1000 nor an integer in the range
        // 3000 to 4999, inclusive, throw an "InvalidAccessError" DOMException."
        if let Some(code) = code
            && !matches!(code, 1000 | 3000..=4999)
        {
            return Err(DomException::new(
                ExceptionKind::InvalidAccessError,
                format!("the close code {code} is not for applications: use 1000 or 3000-4999"),
            ));
        }
        // "If reasonBytes is longer than 123 bytes, then throw a "SyntaxError" DOMException."
        let reason = reason.unwrap_or_default();
        if reason.len() > MAX_REASON {
            return Err(DomException::syntax(format!(
                "the close reason has {} bytes of UTF-8, at most {MAX_REASON} are allowed",
                reason.len()
            )));
        }
        match self.ready_state() {
            ReadyState::Closing | ReadyState::Closed => return Ok(()),
            // "If the WebSocket connection is not yet established: Fail the WebSocket connection".
            // That the server has answered meanwhile makes no difference: nobody has seen it.
            ReadyState::Connecting => self.channel.cut(),
            // When the closing handshake has started already, this one comes too late by itself.
            ReadyState::Open => self.channel.close(close_frame(code, reason)),
        }
        self.ready_state.set(ReadyState::Closing);
        Ok(())
    }
}

/// "If neither code nor reason is present, the WebSocket Close message must not have a body."
fn close_frame(code: Option<u16>, reason: &str) -> CloseFrame {
    let code = match code {
        Some(code) => CloseCode(code),
        None if reason.is_empty() => CloseCode::NO_STATUS,
        // "If reason is non-empty but code is null, then set code to 1000 ("Normal Closure")."
        None => CloseCode::NORMAL,
    };
    CloseFrame {
        code,
        reason: Utf8Bytes::from(reason),
    }
}

/// Handlers and listeners.
impl WebSocket {
    /// Sets or removes `onopen`. A handler keeps its place among the listeners when it is
    /// replaced, and loses it when it is removed. All of them may be changed at any time, also
    /// while they run.
    pub fn set_onopen(&self, handler: Option<Handler>) {
        self.set_plain(EventType::Open, handler);
    }

    /// Sets or removes `onerror`.
    pub fn set_onerror(&self, handler: Option<Handler>) {
        self.set_plain(EventType::Error, handler);
    }

    /// Sets or removes `onmessage`.
    pub fn set_onmessage(&self, handler: Option<MessageHandler>) {
        self.set_handler(
            EventType::Message,
            handler.map(|mut handler| {
                move |socket: &Self, event: &Event| {
                    if let Event::Message(event) = event {
                        handler(socket, event);
                    }
                }
            }),
        );
    }

    /// Sets or removes `onclose`.
    pub fn set_onclose(&self, handler: Option<CloseHandler>) {
        self.set_handler(
            EventType::Close,
            handler.map(|mut handler| {
                move |socket: &Self, event: &Event| {
                    if let Event::Close(event) = event {
                        handler(socket, event);
                    }
                }
            }),
        );
    }

    fn set_plain(&self, kind: EventType, handler: Option<Handler>) {
        self.set_handler(
            kind,
            handler.map(|mut handler| move |socket: &Self, _: &Event| handler(socket)),
        );
    }

    fn set_handler(&self, kind: EventType, handler: Option<impl FnMut(&Self, &Event) + 'static>) {
        let callback = handler.map(|handler| Rc::new(RefCell::new(handler)) as _);
        self.target.set_handler(kind, callback);
    }

    /// `addEventListener`: calls `listener` for each event of this type, after those that were
    /// there before.
    pub fn add_event_listener(
        &self,
        event_type: EventType,
        listener: impl FnMut(&Self, &Event) + 'static,
    ) -> ListenerId {
        self.target.add(event_type, false, listener)
    }

    /// `addEventListener` with `once`: the listener is removed before it is called.
    pub fn add_event_listener_once(
        &self,
        event_type: EventType,
        listener: impl FnMut(&Self, &Event) + 'static,
    ) -> ListenerId {
        self.target.add(event_type, true, listener)
    }

    /// `removeEventListener`. Whether it was there.
    pub fn remove_event_listener(&self, listener: ListenerId) -> bool {
        self.target.remove(listener)
    }
}

impl fmt::Debug for WebSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket")
            .field("url", &self.url)
            .field("ready_state", &self.ready_state())
            .field("buffered_amount", &self.buffered_amount())
            .finish_non_exhaustive()
    }
}

impl Drop for WebSocket {
    fn drop(&mut self) {
        self.channel
            .abandon(self.ready_state() != ReadyState::Connecting);
    }
}
