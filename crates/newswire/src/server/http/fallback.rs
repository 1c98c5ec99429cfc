//! Requests that are not for a WebSocket route, served by hyper with a `tower` service, on
//! the connection and with the bytes that were already read.

use crate::error::Error;
use crate::transport::Stream;
use bytes::{Buf, BytesMut};
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::timeout;
use tower_service::Service;

type Serving = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The service that answers, whatever its type.
#[derive(Clone)]
pub(crate) struct Fallback(Arc<dyn Fn(Prefixed) -> Serving + Send + Sync>);

impl Fallback {
    pub(crate) fn new<S, B>(service: S) -> Self
    where
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Error: Into<Error>,
        S::Future: Send,
        B: Body<Data: Send, Error: Into<Error>> + Send + 'static,
    {
        Self(Arc::new(move |io| {
            let service = TowerToHyperService::new(service.clone());
            Box::pin(async move {
                // One request a connection: the next may be for a WebSocket, and those are
                // read by this library itself.
                let connection = http1::Builder::new()
                    .keep_alive(false)
                    .serve_connection(TokioIo::new(io), service);
                // A client that goes away in the middle is no news.
                let _ = connection.await;
            })
        }))
    }

    /// Serves one request, of which `bytes` have been read already, within `limit`.
    pub(super) async fn serve(&self, stream: Stream, bytes: BytesMut, limit: Duration) {
        let serving = (self.0)(Prefixed { bytes, stream });
        let _ = timeout(limit, serving).await;
    }
}

impl fmt::Debug for Fallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fallback")
    }
}

/// A stream of which some bytes were already read.
struct Prefixed {
    bytes: BytesMut,
    stream: Stream,
}

impl AsyncRead for Prefixed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.bytes.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buffer);
        }
        let len = self.bytes.len().min(buffer.remaining());
        buffer.put_slice(&self.bytes[..len]);
        self.bytes.advance(len);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Prefixed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
