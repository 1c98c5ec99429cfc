//! The service that answers what is not for a WebSocket, run by hyper. Which requests get here, and
//! where one ends and the next begins, is for `keep_alive.rs` to say.

use super::keep_alive::{Io, body_len};
use crate::error::Error;
use crate::server::Service;
use crate::server::request::Arrival;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use newswire_proto::handshake::HeadLimits;
use pin_project_lite::pin_project;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};
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
    let answered = io.answered();
    let answer = service_fn(move |mut request: Request<Incoming>| {
        let mut arrival = arrival.clone();
        service.look_through_proxies(&mut arrival, request.headers());
        request.extensions_mut().insert(arrival.client);
        // Where it ends is not known here, so nothing behind it is taken for a request.
        let is_last = body_len(&request).is_none();
        let answer = answering.call(request);
        let answered = Arc::clone(&answered);
        async move {
            let response = answer.await?;
            let mut response = response.map(|body| Tracked { body, answered });
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
        // All heads have been read before, under the same limits.
        .max_headers(limits.max_headers)
        .max_header_size(limits.max_bytes)
        .max_buf_size(limits.max_bytes.max(LEAST_BUFFER) + LEAST_BUFFER);
    builder
}

pin_project! {
    /// The body of an answer, which tells when hyper has taken all of it.
    struct Tracked<B> {
        #[pin]
        body: B,
        answered: Arc<AtomicBool>,
    }

    impl<B> PinnedDrop for Tracked<B> {
        fn drop(this: Pin<&mut Self>) {
            this.answered.store(true, Relaxed);
        }
    }
}

impl<B: Body> Body for Tracked<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.project().body.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl fmt::Debug for Fallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fallback")
    }
}
