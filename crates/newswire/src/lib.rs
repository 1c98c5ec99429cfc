//! WebSocket client and server on tokio: fast, complete, safe by default.
//!
//! # A client
//! ```no_run
//! #[tokio::main]
//! async fn main() -> newswire::Result {
//!     let mut ws = newswire::connect("ws://127.0.0.1:9998/echo").await?;
//!     ws.send("WebSocket rocks").await?;
//!     while let Some(message) = ws.recv().await? {
//!         println!("{message:?}");
//!         ws.close(newswire::CloseCode::NORMAL, "seen it").await?;
//!     }
//!     Ok(())
//! }
//! ```
//!
//! # A server
//! ```no_run
//! async fn echo(mut ws: newswire::WebSocket) -> newswire::Result {
//!     while let Some(message) = ws.recv().await? {
//!         ws.send(message).await?;
//!     }
//!     Ok(())
//! }
//!
//! #[tokio::main]
//! async fn main() -> newswire::Result {
//!     let server = newswire::Server::bind("127.0.0.1:9998").await?.route("/echo", echo);
//!     server.serve().await
//! }
//! ```
//!
//! [`WebSocket`] is the open connection at both ends. Pings are answered and connections kept
//! alive for the user; limits and timeouts are on ([`Config`]); a normal close is not an
//! error; `recv` and `send` may be dropped at any await point; the [`Sender`] can be cloned
//! and used from many tasks.
//!
//! # Features
//! | feature | default | gives |
//! |---|---|---|
//! | `client` | yes | `connect`, `Connector`, `reconnect` |
//! | `proxy` | no | `Proxy`: HTTP CONNECT and SOCKS 5 for `Connector`, also from the environment |
//! | `deflate` | yes | `Config::deflate`: compression (permessage-deflate, RFC 7692) |
//! | `event` | no | `event`: the WebSocket interface of web pages, for threads without a runtime |
//! | `server` | yes | `Server`, `Router`, `Route`, `Handshake`, `accept` |
//! | `http` | no | `Server::fallback`: a `tower` service for other requests on the same port; `upgrade`, `Router::into_service`: WebSockets for servers on hyper and tower |
//! | `axum` | no | `axum::WebSocketUpgrade`: an extractor |
//! | `rustls` | no | `tls`: `ServerTls`, `ClientTls`; `wss:` for `Connector` |
//! | `aws-lc-rs` | no | `rustls` with the cryptography of aws-lc-rs in place of ring's |
//! | `rcgen` | no | `ServerTls::self_signed`, for development |
//! | `webpki-roots` | no | `ClientTls::webpki_roots`, for machines without trusted authorities |
//! | `tracing` | no | what a server refuses, handshakes and handlers that fail, connections that end: an event each; a span for each connection |
//!
//! The protocol itself, without any I/O, is [`proto`].

#[cfg(feature = "client")]
mod client;
#[cfg(feature = "deflate")]
mod compression;
mod config;
mod error;
#[cfg(any(feature = "client", feature = "server"))]
mod grammar;
mod rate;
#[cfg(feature = "server")]
pub mod server;
#[cfg(feature = "rustls")]
pub mod tls;
mod transport;
mod websocket;

#[cfg(feature = "proxy")]
pub use client::Proxy;
#[cfg(feature = "event")]
pub use client::event;
#[cfg(feature = "client")]
pub use client::reconnect;
#[cfg(feature = "client")]
pub use client::{ConnectError, Connector, RedirectError, Resolve, Resolving, Step, connect};
pub use config::Config;
pub use error::{AcceptError, CloseError, Error, RecvError, Result, SendError};
pub use newswire_proto as proto;
#[cfg(feature = "deflate")]
pub use newswire_proto::deflate::{Compression, DeflateConfig, DeflateParams};
pub use newswire_proto::handshake::Rejection;
pub use newswire_proto::{
    CloseCode, CloseFrame, CommandError, EncodedMessage, Message, Side, State, Utf8Bytes,
};
#[cfg(feature = "axum")]
pub use server::axum;
#[cfg(feature = "server")]
pub use server::{
    Handler, HandlerResult, Handling, Handshake, IntoRoute, Listener, NetworkError, OriginError,
    Origins, PeerAddr, Request, Route, Router, Server, Shutdown, Subprotocols, TrustedProxies,
    accept,
};
#[cfg(feature = "http")]
pub use server::{RouterService, Upgrading, WebSocketUpgrade, upgrade};
pub use transport::{Stream, Transport};
pub use websocket::{
    ControlFrame, ControlFrames, FeedFuture, Receiver, RecvFuture, SendFuture, Sender, WebSocket,
};

/// The README's examples, compiled.
#[cfg(all(doctest, feature = "client", feature = "server"))]
#[doc = include_str!("../../../README.md")]
struct Readme;

/// The guide's examples, compiled.
#[cfg(all(doctest, feature = "server"))]
#[doc = include_str!("../../../docs/guide/who-may-connect.md")]
struct WhoMayConnect;

/// The guide's examples for those who come from JavaScript, compiled.
#[cfg(all(doctest, feature = "event"))]
#[doc = include_str!("../../../docs/guide/from-javascript.md")]
struct FromJavaScript;
