//! Run it: `cargo run --release --example compressed_client -- ws://127.0.0.1:9998/echo dedicated`,
//! where an echo server listens.
//!
//! Chooses how to compress (`shared`, `dedicated`, `off`; `shared` if none is named), sends
//! messages on two connections at once, expects each one back, and says what was agreed on and what
//! is kept in memory. With the name of a file behind the mode, the messages are the file's: a line
//! for each, `t` for text or `b` for binary and then the message, in which tabs are left out.
//! `./test peers` runs it so against the servers of others.

#![allow(
    clippy::print_stdout,
    reason = "what was agreed on is what it is run for"
)]

use newswire::{CloseCode, Compression, Config, Connector, DeflateConfig, Message};
use std::fs;

#[tokio::main(flavor = "current_thread")]
async fn main() -> newswire::Result {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next();
    let url = url.as_deref().unwrap_or("ws://127.0.0.1:9998/echo");
    let compression = match arguments.next().as_deref() {
        None | Some("shared") => Compression::shared(),
        Some("dedicated") => Compression::dedicated(),
        Some("off") => Compression::Off,
        Some(other) => {
            return Err(format!("{other} is no mode: write shared, dedicated or off").into());
        }
    };
    let messages = match arguments.next() {
        Some(path) => read(&fs::read_to_string(path)?)?,
        None => (1..=100)
            .map(|n| {
                format!(r#"{{"sensor":{n},"temperature":21.5,"unit":"celsius","ok":true}}"#).into()
            })
            .collect(),
    };

    let deflate = DeflateConfig::new().compression(compression);
    let connector = Connector::new().config(Config::new().deflate(deflate));
    // The connections of a thread share a compressor, unless each has one of its own.
    let talk = || talk(&connector, url, &messages);
    tokio::try_join!(talk(), talk())?;
    Ok(())
}

async fn talk(connector: &Connector, url: &str, messages: &[Message]) -> newswire::Result {
    let mut ws = connector.connect(url).await?;
    match ws.deflate() {
        Some(agreed) => println!("{agreed}"),
        None => println!("no compression"),
    }

    // Some at a time, since a server need not read on while nobody reads what it answers.
    for some in messages.chunks(4) {
        for message in some {
            ws.feed(message.clone()).await?;
        }
        ws.flush().await?;
        for message in some {
            let answer = ws.recv().await?.ok_or("the server closed too early")?;
            if answer != *message {
                return Err("a message came back as another one".into());
            }
        }
    }

    let count = messages.len();
    println!(
        "{count} messages came back, {} bytes kept",
        ws.deflate_memory()
    );
    Ok(ws.close(CloseCode::NORMAL, "").await?)
}

fn read(file: &str) -> newswire::Result<Vec<Message>> {
    file.lines()
        .map(|line| {
            let message = |rest: &str| rest.replace('\t', "");
            match (line.strip_prefix('t'), line.strip_prefix('b')) {
                (Some(text), _) => Ok(message(text).into()),
                (_, Some(binary)) => Ok(message(binary).into_bytes().into()),
                _ => Err(format!("a line begins with t or b, and not as {line:?}").into()),
            }
        })
        .collect()
}
