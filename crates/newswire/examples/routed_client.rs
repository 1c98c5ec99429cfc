//! Says each argument after the first to an echo server and prints what comes back: through the proxy
//! that the environment names, or the one in `NEWSWIRE_PROXY`, for all hosts. When there is no way it
//! prints the step that failed and why, and exits with 1.
//!
//! ```console
//! $ HTTP_PROXY=http://127.0.0.1:3128 cargo run -p newswire --features proxy \
//!       --example routed_client ws://example.com/echo hello
//! ```
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program")]

use newswire::{ConnectError, Connector, Proxy};
use std::env;
use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> newswire::Result<ExitCode> {
    let mut arguments = env::args().skip(1);
    let url = arguments
        .next()
        .ok_or("usage: routed_client URL MESSAGE…")?;
    let mut connector = Connector::new();
    if let Ok(proxy) = env::var("NEWSWIRE_PROXY") {
        connector = connector.proxy(Proxy::all(&proxy)?);
    }
    match connector.connect(&url).await {
        Ok(mut ws) => {
            for message in arguments {
                ws.send(message).await?;
                let answer = ws.recv().await?.ok_or("closed without an answer")?;
                println!("{}", answer.as_text().unwrap_or("not text"));
            }
            ws.close(newswire::CloseCode::NORMAL, "").await?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            tell(&error);
            Ok(ExitCode::FAILURE)
        }
    }
}

fn tell(error: &ConnectError) {
    eprintln!("{:?}: {error}", error.step());
}
