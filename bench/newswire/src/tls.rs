//! newswire as its README has it, on one thread and over TLS. Nothing here is tuned.

use newswire::tls::ServerTls;

async fn echo(mut ws: newswire::WebSocket) -> newswire::Result {
    while let Some(message) = ws.recv().await? {
        ws.send(message).await?;
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> newswire::Result {
    let server = newswire::Server::bind("127.0.0.1:0")
        .await?
        .tls(ServerTls::self_signed(["localhost"])?)
        .route("/echo", echo);
    println!("{}", server.local_addr());
    server.serve().await
}
