//! A real server on a free port, and ways to see that it is well.

use super::within;
use newswire::{Server, Shutdown, WebSocket};
use std::io::ErrorKind;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A server that serves until it is shut down, or the test ends.
pub(crate) struct Served {
    pub(crate) addr: SocketAddr,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<Shutdown>,
}

impl Served {
    pub(crate) fn url(&self, path: &str) -> String {
        format!("ws://{}{path}", self.addr)
    }

    /// Begins the shutdown; what comes of it.
    pub(crate) fn shut_down(self) -> JoinHandle<Shutdown> {
        self.stop.send(()).expect("the server is running");
        self.serving
    }

    /// Drops the server's future.
    pub(crate) async fn abort(self) {
        self.serving.abort();
        let ended = within(self.serving).await;
        assert!(ended.unwrap_err().is_cancelled());
    }
}

/// Serves what `build` makes of a server.
pub(crate) async fn serve(build: impl FnOnce(Server) -> Server) -> Served {
    start(build(Server::bind("127.0.0.1:0").await.unwrap()))
}

/// Serves with a server that is built.
pub(crate) fn start(server: Server) -> Served {
    let addr = server.local_addr();
    let (stop, stopped) = oneshot::channel();
    let serving = tokio::spawn(server.serve_until(async {
        // A test that ends without a shutdown drops `stop`, which is none.
        if stopped.await.is_err() {
            std::future::pending::<()>().await;
        }
    }));
    Served {
        addr,
        stop,
        serving,
    }
}

pub(crate) async fn echo(mut ws: WebSocket) -> newswire::Result {
    while let Some(message) = ws.recv().await? {
        ws.send(message).await?;
    }
    Ok(())
}

pub(crate) async fn serve_echo() -> Served {
    serve(|server| server.route("/echo", echo)).await
}

/// That a new connection to `/echo` works from its beginning to its end.
pub(crate) async fn assert_echoes(addr: SocketAddr) {
    within(async {
        let url = format!("ws://{addr}/echo");
        let mut ws = newswire::connect(&url).await.unwrap();
        ws.send("are you well?").await.unwrap();
        let answer = ws.recv().await.unwrap();
        assert_eq!(answer, Some("are you well?".into()));
        ws.close(newswire::CloseCode::NORMAL, "").await.unwrap();
    })
    .await;
}

/// Sends bytes on a connection of their own; all that comes back until the server ends it.
pub(crate) async fn exchange(addr: SocketAddr, bytes: &[u8]) -> String {
    within(async {
        let mut stream = TcpStream::connect(addr).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        match stream.read_to_end(&mut answer).await {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                panic!("reset after {:?}", answer.escape_ascii().to_string())
            }
            Err(error) => panic!("reading failed: {error}"),
        }
        String::from_utf8(answer).unwrap()
    })
    .await
}
