//! yawc as the server of its own benchmark has it, with one of its two profiles of compression: `balanced` (level 6) or
//! `low_latency` (level 1). Both take the context over.

use hyper::Request;
use hyper::body::Incoming;
use peers::Upgrade;
use peers::yawc::{echo, options};
use yawc::{Options, WebSocket, WebSocketError};

fn accept(
    request: &mut Request<Incoming>,
    options: Options,
) -> Upgrade<impl Future<Output = yawc::Result<()>> + use<>, WebSocketError> {
    let (response, upgraded) = WebSocket::upgrade_with_options(request, options)?;
    Ok((response, echo(upgraded)))
}

fn main() -> std::io::Result<()> {
    match std::env::args().nth(1).as_deref() {
        Some("balanced") => {
            peers::serve_upgrades(|request| accept(request, options().with_balanced_compression()))
        }
        Some("low_latency") => peers::serve_upgrades(|request| {
            accept(request, options().with_low_latency_compression())
        }),
        _ => {
            eprintln!("usage: echo_yawc_deflate balanced|low_latency");
            std::process::exit(2);
        }
    }
}
