//! The WHATWG interface. Each file is a part of `docs/reference/websocket-interface.md`; here is
//! what they share: a server in the background, one that says what it is told, and a bound on
//! every wait. The tests are threads without a runtime, as the interface's users are.
#![allow(
    clippy::disallowed_methods,
    reason = "what stops a thread stops no connection here"
)]

mod buffered;
mod closing;
mod constructor;
mod failing;
mod listeners;
mod messages;
mod opening;
#[cfg(feature = "rustls")]
mod secure;
mod threads;

use crate::support::{self, PATIENCE, Served};
use newswire::event::{Event, Options, ReadyState, WebSocket};
use newswire::proto::{FrameHeader, Mask, OpCode, Role};
use newswire::{Connector, Server};
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// A server of the library's own, on a runtime of its own.
struct Background {
    served: Served,
    runtime: Option<Runtime>,
}

impl Background {
    fn echo() -> Self {
        Self::serve(|server| server.route("/echo", support::echo))
    }

    fn serve(build: impl FnOnce(Server) -> Server) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let served = runtime.block_on(support::serve(build));
        Self {
            served,
            runtime: Some(runtime),
        }
    }

    fn url(&self, path: &str) -> String {
        self.served.url(path)
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// The server's end of one connection, byte by byte.
struct Script {
    stream: TcpStream,
    input: Vec<u8>,
}

/// A server for one connection, which goes on as `script` says; the URL to reach it.
fn scripted<R: Send + 'static>(
    script: impl FnOnce(&mut Script) -> R + Send + 'static,
) -> (String, JoinHandle<R>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let running = thread::spawn(move || {
        let stream = accept(&listener);
        drop(listener);
        script(&mut Script::of(stream))
    });
    (url, running)
}

/// The client that there must be.
fn accept(listener: &TcpListener) -> TcpStream {
    listener.set_nonblocking(true).unwrap();
    let patience = Instant::now() + PATIENCE;
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false).unwrap();
                return stream;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                assert!(Instant::now() < patience, "nobody connects");
                thread::sleep(Duration::from_millis(1));
            }
            Err(error) => panic!("accepting failed: {error}"),
        }
    }
}

impl Script {
    fn of(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        let input = Vec::new();
        Self { stream, input }
    }

    fn raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    fn send(&mut self, opcode: OpCode, payload: impl AsRef<[u8]>) {
        self.raw(&support::frame(Role::Server, opcode, payload.as_ref()));
    }

    fn close(&mut self, code: u16, reason: &str) {
        self.send(OpCode::Close, support::close_payload(code, reason));
    }

    /// Does the opening handshake; the client's request.
    fn accept(&mut self) -> String {
        self.accept_with("")
    }

    /// The same, with more header lines in the answer.
    fn accept_with(&mut self, lines: &str) -> String {
        let request = self.head();
        let mut answer = support::answer(&request);
        answer.truncate(answer.len() - 2);
        answer.extend_from_slice(lines.as_bytes());
        answer.extend_from_slice(b"\r\n");
        self.raw(&answer);
        request
    }

    fn head(&mut self) -> String {
        loop {
            if let Some(end) = self.input.windows(4).position(|w| w == b"\r\n\r\n") {
                let rest = self.input.split_off(end + 4);
                let head = std::mem::replace(&mut self.input, rest);
                return String::from_utf8(head).unwrap();
            }
            assert!(self.read(), "hung up in the middle of a head");
        }
    }

    /// The next frame: opcode and payload. `None` at the end.
    fn next(&mut self) -> Option<(OpCode, Vec<u8>)> {
        loop {
            if let Some((header, len)) = FrameHeader::parse(&self.input).unwrap() {
                let end = len + header.payload_len as usize;
                if self.input.len() >= end {
                    let rest = self.input.split_off(end);
                    let mut payload = std::mem::replace(&mut self.input, rest).split_off(len);
                    Mask::new(header.masking_key.unwrap()).apply(&mut payload);
                    return Some((header.opcode, payload));
                }
            }
            if !self.read() {
                assert!(self.input.is_empty(), "hung up in the middle of a frame");
                return None;
            }
        }
    }

    /// Reads some bytes; whether there were any.
    fn read(&mut self) -> bool {
        let mut bytes = [0; 64 * 1024];
        match self.stream.read(&mut bytes) {
            Ok(len) => {
                self.input.extend_from_slice(&bytes[..len]);
                len > 0
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => false,
            Err(error) => panic!("reading failed: {error}"),
        }
    }

    /// Ends the connection and reads what the client still says: its frames.
    fn hang_up(&mut self) -> Vec<(OpCode, Vec<u8>)> {
        match self.stream.shutdown(std::net::Shutdown::Write) {
            // The client was faster.
            Err(error) if error.kind() == ErrorKind::NotConnected => {}
            ended => ended.unwrap(),
        }
        std::iter::from_fn(|| self.next()).collect()
    }
}

/// What the script's thread gives; its panic is the test's.
fn join<R>(running: JoinHandle<R>) -> R {
    match running.join() {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

fn open(url: &str) -> WebSocket {
    WebSocket::new(url, ()).unwrap()
}

/// Options under which frames are not compressed.
fn plain() -> Options {
    let config = newswire::Config::new();
    #[cfg(feature = "deflate")]
    let config =
        config.deflate(newswire::DeflateConfig::new().compression(newswire::Compression::Off));
    Options::new().connector(Connector::new().config(config))
}

/// A socket whose `open` event was fired.
fn opened(url: &str) -> WebSocket {
    let socket = open(url);
    until_open(&socket);
    socket
}

#[track_caller]
fn until_open(socket: &WebSocket) {
    assert_eq!(next(socket), Event::Open);
    assert_eq!(socket.ready_state(), ReadyState::Open);
}

/// The next event, which there must be.
#[track_caller]
fn next(socket: &WebSocket) -> Event {
    socket.next_event(PATIENCE).expect("an event")
}

/// The text of the next event, which must be a message.
#[track_caller]
fn next_text(socket: &WebSocket) -> String {
    match next(socket) {
        Event::Message(event) => event.data.as_text().expect("text").to_owned(),
        other => panic!("expected a message, not {other:?}"),
    }
}

/// The next event, which must be the last: clean or not, its code and its reason.
#[track_caller]
fn next_close(socket: &WebSocket) -> (bool, u16, String) {
    let Event::Close(event) = next(socket) else {
        panic!("expected a close event");
    };
    assert_eq!(socket.ready_state(), ReadyState::Closed);
    assert_eq!(socket.next_event(Duration::ZERO), None);
    (event.was_clean, event.code.0, event.reason.to_string())
}

/// That the connection fails: an error and then a close event, which say nothing.
#[track_caller]
fn assert_fails(socket: &WebSocket) {
    assert_eq!(next(socket), Event::Error);
    assert_eq!(socket.ready_state(), ReadyState::Closed);
    assert_eq!(next_close(socket), (false, 1006, String::new()));
}

/// Dispatches until `condition` is true.
#[track_caller]
fn dispatch_until(socket: &WebSocket, condition: impl Fn() -> bool) {
    let patience = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < patience, "it does not come true");
        if socket.wait(Some(Duration::from_millis(20))) {
            socket.dispatch_pending();
        }
    }
}

/// Waits for a condition that needs no dispatch.
#[track_caller]
fn wait_until(condition: impl Fn() -> bool) {
    let patience = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < patience, "it does not come true");
        thread::sleep(Duration::from_millis(2));
    }
}
