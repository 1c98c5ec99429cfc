//! Run it: `cargo run --release --example compressed_client -- ws://127.0.0.1:9998/echo dedicated`,
//! where an echo server listens.
//!
//! Chooses how to compress (`shared`, `dedicated`, `off`; `shared` if none is named), sends
//! messages, expects each one back, and says what was agreed on and what it keeps in memory. With
//! the name of a file behind the mode, the messages are the file's: a line for each, `t` for text
//! or `b` for binary and then the message, in which tabs are left out. `./test peers` runs it so
//! against the servers of others.

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
    let config = Config::new().deflate(deflate);
    let mut ws = Connector::new().config(config).connect(url).await?;
    match ws.deflate() {
        Some(agreed) => println!("{agreed}"),
        None => println!("no compression"),
    }

    // Both at once: a server need not read on while nobody reads what it answers.
    let sender = ws.sender();
    let sending = async {
        for message in &messages {
            sender.send(message.clone()).await?;
        }
        Ok::<(), newswire::Error>(())
    };
    let receiving = async {
        for (number, message) in messages.iter().enumerate() {
            let answer = ws.recv().await?.ok_or("the server closed too early")?;
            if answer != *message {
                return Err(format!("message {number} came back as another one").into());
            }
        }
        Ok::<(), newswire::Error>(())
    };
    tokio::try_join!(sending, receiving)?;

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
