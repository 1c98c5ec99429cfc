//! A server on hyper alone that has a page and a WebSocket: `cargo run --example on_hyper
//! --features http`, and then ws://127.0.0.1:9998/echo with any client.

use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use newswire::{WebSocket, WebSocketUpgrade};
use std::convert::Infallible;
use tokio::net::TcpListener;

async fn echo(mut ws: WebSocket) -> newswire::Result {
    while let Some(message) = ws.recv().await? {
        ws.send(message).await?;
    }
    Ok(())
}

async fn answer(mut request: Request<Incoming>) -> Result<Response<String>, Infallible> {
    Ok(match request.uri().path() {
        "/" => Response::new("The WebSocket is at /echo.\n".to_owned()),
        "/echo" => match WebSocketUpgrade::from_request(&mut request) {
            Ok(upgrade) => upgrade.on_upgrade(echo),
            Err(rejection) => rejection.to_response(),
        },
        _ => {
            let mut response = Response::new("Nothing is here.\n".to_owned());
            *response.status_mut() = StatusCode::NOT_FOUND;
            response
        }
    })
}

pub(crate) async fn serve(listener: TcpListener) -> newswire::Result {
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            let connection =
                http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer));
            // Without `with_upgrades` hyper would not hand the connection over.
            connection.with_upgrades().await
        });
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> newswire::Result {
    let listener = TcpListener::bind("127.0.0.1:9998").await?;
    serve(listener).await
}
