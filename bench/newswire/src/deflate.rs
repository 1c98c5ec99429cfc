//! The same server with compression as its arguments say: `shared`, `dedicated` or `off`, then a level, then the bytes of the
//! history or the bits of the window, where the defaults are not meant. Nothing else is set.

use newswire::{Compression, Config, DeflateConfig};

async fn echo(mut ws: newswire::WebSocket) -> newswire::Result {
    while let Some(message) = ws.recv().await? {
        ws.send(message).await?;
    }
    Ok(())
}

/// What the arguments ask for; `None` if they cannot be read.
fn compression(mut arguments: impl Iterator<Item = String>) -> Option<Compression> {
    let mut compression = match arguments.next()?.as_str() {
        "shared" => Compression::shared(),
        "dedicated" => Compression::dedicated(),
        "off" => Compression::Off,
        _ => return None,
    };
    if let Some(asked) = arguments.next() {
        match &mut compression {
            Compression::Shared { level, .. } | Compression::Dedicated { level, .. } => {
                *level = asked.parse().ok()?;
            }
            Compression::Off => return None,
        }
    }
    if let Some(asked) = arguments.next() {
        match &mut compression {
            Compression::Shared { history, .. } => *history = asked.parse().ok()?,
            Compression::Dedicated { window_bits, .. } => *window_bits = asked.parse().ok()?,
            Compression::Off => return None,
        }
    }
    Some(compression)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> newswire::Result {
    let Some(compression) = compression(std::env::args().skip(1)) else {
        eprintln!(
            "usage: echo_newswire_deflate shared|dedicated|off [LEVEL [HISTORY|WINDOW_BITS]]"
        );
        std::process::exit(2);
    };
    let deflate = DeflateConfig::new().compression(compression);
    let server = newswire::Server::bind("127.0.0.1:0")
        .await?
        .config(Config::new().deflate(deflate))
        .route("/echo", echo);
    println!("{}", server.local_addr());
    server.serve().await
}
