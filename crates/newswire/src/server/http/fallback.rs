//! The service that answers what is not for a WebSocket, run by hyper. Which requests get here, and
//! where one ends and the next begins, is for `keep_alive.rs` to say.

use super::keep_alive::{Io, body_len};
use crate::error::Error;
use crate::server::Service;
use crate::server::request::Arrival;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use newswire_proto::handshake::HeadLimits;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use tower_service::Service as TowerService;

type BoxFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The smallest buffer that hyper agrees to.
const LEAST_BUFFER: usize = 8 * 1024;

/// The service that answers, whatever its type.
#[derive(Clone)]
pub(crate) struct Fallback(Arc<dyn Fn(Conversation) -> BoxFuture + Send + Sync>);

/// A connection whose requests are for the service.
pub(super) struct Conversation {
    pub(super) io: Io,
    pub(super) service: Arc<Service>,
    /// Who is connected; whom a proxy speaks for is another matter with each request.
    pub(super) arrival: Arrival,
    /// Ready when no more requests are to be answered.
    pub(super) closing: BoxFuture,
}

impl Fallback {
    pub(crate) fn new<S, B>(service: S) -> Self
    where
        S: TowerService<Request<Incoming>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Error: Into<Error>,
        S::Future: Send,
        B: Body<Data: Send, Error: Into<Error>> + Send + 'static,
    {
        Self(Arc::new(move |conversation| {
            let answering = TowerToHyperService::new(service.clone());
            Box::pin(converse(answering, conversation))
        }))
    }

    /// Answers requests until there are no more for this service.
    pub(super) async fn serve(&self, conversation: Conversation) {
        (self.0)(conversation).await;
    }
}

async fn converse<S, B>(answering: S, conversation: Conversation)
where
    S: hyper::service::Service<Request<Incoming>, Response = Response<B>>,
    S::Error: Into<Error>,
    B: Body<Error: Into<Error>> + 'static,
{
    let Conversation {
        io,
        service,
        arrival,
        mut closing,
    } = conversation;
    let limits = service.config.head;
    let answer = service_fn(move |mut request: Request<Incoming>| {
        let mut arrival = arrival.clone();
        service.look_through_proxies(&mut arrival, request.headers());
        request.extensions_mut().insert(arrival.client);
        // Where it ends is not known here, so nothing behind it is taken for a request.
        let is_last = body_len(&request).is_none();
        let answer = answering.call(request);
        async move {
            let mut response = answer.await?;
            if is_last {
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(CONNECTION, close);
            }
            Ok::<_, S::Error>(response)
        }
    });
    let mut connection = pin!(builder(limits).serve_connection(TokioIo::new(io), answer));
    let mut told = false;
    // That a client goes away in the middle is no news.
    let _ = poll_fn(|cx| {
        if !told && closing.as_mut().poll(cx).is_ready() {
            told = true;
            connection.as_mut().graceful_shutdown();
        }
        connection.as_mut().poll(cx)
    })
    .await;
}

fn builder(limits: HeadLimits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        // While a request is answered nothing is read but its body.
        .half_close(true)
        // All heads have been read before, under the same limits.
        .max_headers(limits.max_headers)
        .max_header_size(limits.max_bytes)
        .max_buf_size(limits.max_bytes.max(LEAST_BUFFER) + LEAST_BUFFER);
    builder
}

impl fmt::Debug for Fallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fallback")
    }
}
