//! Servers that do not behave, and one that does not answer. What a client makes of them is for the
//! tests to judge.

use super::{answer, frame};
use newswire::proto::{OpCode, Role};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// An address at which nobody answers, as long as what comes with it is kept.
pub(crate) async fn silent() -> (SocketAddr, Vec<TcpStream>, TcpListener) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    // Once its queue is full, the system drops what else comes.
    loop {
        let connecting = TcpStream::connect(address);
        match tokio::time::timeout(Duration::from_millis(100), connecting).await {
            Ok(stream) => waiting.push(stream.unwrap()),
            Err(_) => return (address, waiting, listener),
        }
    }
}

/// Does what a bad server does with the request that it has got.
async fn misbehave(mut stream: TcpStream, how: &str) -> io::Result<()> {
    let mut request = Vec::new();
    match how {
        "babble" => stream.write_all(b"\0\0babble\r\n\r\n").await?,
        "mute" => {}
        _ => {
            while !request.ends_with(b"\r\n\r\n") {
                if stream.read_buf(&mut request).await? == 0 {
                    return Err(ErrorKind::UnexpectedEof.into());
                }
            }
        }
    }
    let head = str::from_utf8(&request).unwrap();
    match how {
        "babble" | "mute" => {}
        "garbage" => {
            stream
                .write_all(&[0, 159, 146, 150, 13, 10, 13, 10])
                .await?
        }
        "another protocol" => stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n\r\n").await?,
        "half and the end" => return stream.write_all(half_of(&answer(head))).await,
        "nothing and the end" => return Ok(()),
        "half and silence" => stream.write_all(half_of(&answer(head))).await?,
        "silence" => {}
        "endless header" => {
            stream
                .write_all(b"HTTP/1.1 101 Switching Protocols\r\nX: ")
                .await?;
            while stream.write_all(&[b'x'; 1000]).await.is_ok() {}
        }
        "endless headers" => {
            stream
                .write_all(b"HTTP/1.1 101 Switching Protocols\r\n")
                .await?;
            while stream.write_all(b"X: y\r\n").await.is_ok() {}
        }
        "endless patience" => {
            while stream
                .write_all(b"HTTP/1.1 103 Early Hints\r\n\r\n")
                .await
                .is_ok()
            {}
        }
        "64 KiB of redirect" => {
            let to = "x".repeat(64 * 1024);
            let head = format!("HTTP/1.1 302 Found\r\nLocation: /{to}\r\n\r\n");
            stream.write_all(head.as_bytes()).await?;
        }
        "a redirect" => {
            let to = "x".repeat(64 * 1024 / REDIRECTS);
            let head = format!("HTTP/1.1 302 Found\r\nLocation: /{to}\r\n\r\n");
            stream.write_all(head.as_bytes()).await?;
        }
        "wrong accept" => {
            let head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
                        Connection: Upgrade\r\nSec-WebSocket-Accept: AAAA\r\n\r\n";
            stream.write_all(head.as_bytes()).await?;
        }
        "masked frames" => {
            stream.write_all(&answer(head)).await?;
            stream
                .write_all(&frame(Role::Client, OpCode::Text, b"masked"))
                .await?;
        }
        "accepts and does not read" => {
            stream.write_all(&answer(head)).await?;
            // That the client hangs up is seen all the same.
            return until_error(stream).await;
        }
        "a page" => {
            let head = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello and more";
            stream.write_all(head.as_bytes()).await?;
        }
        "a refusal in chunks" => {
            let head = "HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\nX-Why: w\r\n\r\n\
                        4;a=b\r\nonly\r\n";
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(b"8\r\n members\r\n0\r\n\r\n").await?;
        }
        "an endless refusal" => {
            stream.write_all(b"HTTP/1.1 403 Forbidden\r\n\r\n").await?;
            while stream.write_all(&[b'x'; 1000]).await.is_ok() {}
        }
        "a refusal without its body" => {
            let head = "HTTP/1.1 403 Forbidden\r\nContent-Length: 99\r\n\r\nsorry";
            stream.write_all(head.as_bytes()).await?;
        }
        other => panic!("{other}"),
    }
    // The client hangs up: with a reset when it had not read everything.
    let _ = stream.read_to_end(&mut request).await;
    Ok(())
}

/// Waits until the connection has ended, without reading.
async fn until_error(mut stream: TcpStream) -> io::Result<()> {
    let ping = frame(Role::Server, OpCode::Ping, b"");
    while stream.write_all(&ping).await.is_ok() {
        sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

fn half_of(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.len() / 2]
}

/// The first connection, and those that a client follows redirects to by default.
const REDIRECTS: usize = 11;

/// A bad server for one client; its task ends when the client has hung up, and well if it had sent
/// its request.
pub(crate) async fn bad_server(how: &'static str) -> (String, JoinHandle<io::Result<()>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let connections = match how {
        "64 KiB of redirects" => vec!["a redirect"; REDIRECTS],
        "silence behind a redirect" => vec!["a redirect", "silence"],
        how => vec![how],
    };
    let serving = tokio::spawn(async move {
        for how in connections {
            let (stream, _) = listener.accept().await?;
            misbehave(stream, how).await?;
        }
        Ok(())
    });
    (url, serving)
}
