//! yawc as its own echo example has it: hyper upgrade, `send` a frame, no compression, text not checked (its default).

use futures_util::{SinkExt, StreamExt};
use hyper::Request;
use hyper::body::Incoming;
use peers::Upgrade;
use yawc::{OpCode, Options, UpgradeFut, WebSocket, WebSocketError};

async fn echo(upgraded: UpgradeFut) -> yawc::Result<()> {
    let mut ws = upgraded.await?;
    while let Some(frame) = ws.next().await {
        if matches!(frame.opcode(), OpCode::Text | OpCode::Binary) {
            ws.send(frame).await?;
        }
    }
    Ok(())
}

fn accept(
    request: &mut Request<Incoming>,
) -> Upgrade<impl Future<Output = yawc::Result<()>> + use<>, WebSocketError> {
    let options = Options::default()
        .with_max_payload_read(100 << 20)
        .with_max_read_buffer(200 << 20)
        .without_compression();
    let (response, upgraded) = WebSocket::upgrade_with_options(request, options)?;
    Ok((response, echo(upgraded)))
}

fn main() -> std::io::Result<()> {
    peers::serve_upgrades(accept)
}
