//! The opening handshake of sockudo-ws, which its examples put together from its helpers. Only that lives here.

use bytes::BytesMut;
use sockudo_ws::error::{Error, Result};
use sockudo_ws::handshake::{build_response, generate_accept_key, parse_request};
use sockudo_ws::{Config, WebSocketStream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Reads the request, answers it, and gives the open connection with the default configuration.
///
/// # Errors
/// When the request is not one for a WebSocket, or the connection ends.
pub async fn accept(mut stream: TcpStream) -> Result<WebSocketStream<TcpStream>> {
    let mut head = BytesMut::with_capacity(4096);
    let response = loop {
        if stream.read_buf(&mut head).await? == 0 {
            return Err(Error::ConnectionClosed);
        }
        if let Some((request, _)) = parse_request(&head)? {
            break build_response(&generate_accept_key(request.key), None, None);
        }
    };
    stream.write_all(&response).await?;
    Ok(WebSocketStream::server(stream, Config::default()))
}
