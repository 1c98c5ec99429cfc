//! What the peers' echo servers share: one thread, one listener on a free loopback port, one task a connection.
//! Nothing of a WebSocket library belongs here; each server's file shows what its library's own documentation shows.

pub mod sockudo;
pub mod yawc;

use std::convert::Infallible;
use std::error::Error;
use std::future::{Future, ready};
use std::io;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

/// Listens on a free port of 127.0.0.1, prints that port as the first line, and gives every accepted connection
/// (`TCP_NODELAY` set) to `serve`, each in a task of its own on this one thread.
///
/// A connection that ends in an error ends quietly: the load generator is what notices a missing reply.
///
/// # Errors
/// When the port cannot be bound or a connection cannot be accepted.
pub fn serve_each<F, S>(serve: F) -> io::Result<()>
where
    F: Fn(TcpStream) -> S,
    S: Future + Send + 'static,
    S::Output: Send,
{
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            println!("{}", listener.local_addr()?.port());
            loop {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                tokio::spawn(serve(stream));
            }
        })
}

/// What upgrading a request gives: the response to send, and the task that owns the socket after it.
pub type Upgrade<T, E> = Result<(Response<Empty<Bytes>>, T), E>;

/// [`serve_each`] for libraries that come as a hyper service: `upgrade` answers the request.
///
/// # Errors
/// As [`serve_each`].
pub fn serve_upgrades<U, T, E>(upgrade: U) -> io::Result<()>
where
    U: Fn(&mut Request<Incoming>) -> Upgrade<T, E> + Copy + Send + 'static,
    T: Future + Send + 'static,
    T::Output: Send,
    E: Error,
{
    serve_each(move |stream| {
        let service = service_fn(move |mut request: Request<Incoming>| {
            let response = match upgrade(&mut request) {
                Ok((response, task)) => {
                    // As the examples of fastwebsockets and yawc do.
                    tokio::spawn(tokio::task::unconstrained(task));
                    response
                }
                Err(error) => {
                    eprintln!("upgrade refused: {error}");
                    let mut response = Response::new(Empty::new());
                    *response.status_mut() = StatusCode::BAD_REQUEST;
                    response
                }
            };
            ready(Ok::<_, Infallible>(response))
        });
        http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades()
    })
}
