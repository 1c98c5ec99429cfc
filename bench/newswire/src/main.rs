//! newswire as its README has it, on one thread. Nothing here is tuned: what is measured is what a reader would get.

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
        .route("/echo", echo);
    println!("{}", server.local_addr());
    server.serve().await
}
