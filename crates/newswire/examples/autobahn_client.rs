//! Run it: `cargo run --release --example autobahn_client -- ws://127.0.0.1:9001`, where
//! `wstest -m fuzzingserver` listens.
//!
//! The client that Autobahn|Testsuite's fuzzing server puts to the test: it sends back whatever
//! each case sends, and the suite judges. `./test autobahn` runs it so.

use newswire::WebSocket;

#[tokio::main(flavor = "current_thread")]
async fn main() -> newswire::Result {
    let argument = std::env::args().nth(1);
    let server = argument.as_deref().unwrap_or("ws://127.0.0.1:9001");

    let mut ws = newswire::connect(&format!("{server}/getCaseCount")).await?;
    let answer = ws.recv().await?;
    let count = answer.and_then(|message| message.as_text()?.parse::<u32>().ok());
    let count = count.ok_or("the server did not say how many cases it has")?;
    finish(ws).await?;

    for case in 1..=count {
        let url = format!("{server}/runCase?case={case}&agent=newswire");
        // Many a case breaks the protocol, and so ends in an error here: that is what it tests.
        let _ = echo(newswire::connect(&url).await?).await;
    }
    finish(newswire::connect(&format!("{server}/updateReports?agent=newswire")).await?).await
}

async fn echo(mut ws: WebSocket) -> newswire::Result {
    while let Some(message) = ws.recv().await? {
        ws.send(message).await?;
    }
    Ok(())
}

/// Waits until the server has closed, which it does when it has done what was asked.
async fn finish(mut ws: WebSocket) -> newswire::Result {
    while ws.recv().await?.is_some() {}
    Ok(())
}
