//! yawc as the server of its own benchmark has it.

use hyper::Request;
use hyper::body::Incoming;
use peers::Upgrade;
use peers::yawc::{echo, options};
use yawc::{WebSocket, WebSocketError};

fn accept(
    request: &mut Request<Incoming>,
) -> Upgrade<impl Future<Output = yawc::Result<()>> + use<>, WebSocketError> {
    let (response, upgraded) = WebSocket::upgrade_with_options(request, options())?;
    Ok((response, echo(upgraded)))
}

fn main() -> std::io::Result<()> {
    peers::serve_upgrades(accept)
}
