//! What lies between a client and a server, and can be cut in the middle of anything. What is sent
//! through it is not known here.

use std::future::pending;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// How many bytes a narrow line passes on.
const NARROW: u64 = 200_000;

/// A line to a server that can be cut, and answers at the same address again.
pub(super) struct Line {
    pub(super) addr: SocketAddr,
    up: Option<JoinHandle<()>>,
}

impl Line {
    pub(super) async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut line = Self {
            addr: listener.local_addr().unwrap(),
            up: None,
        };
        line.up = Some(tokio::spawn(pass(listener, server, u64::MAX)));
        line
    }

    /// Everything that is under way is lost, as when a process is killed.
    pub(super) async fn cut(&mut self) {
        if let Some(up) = self.up.take() {
            up.abort();
            let _ = up.await;
        }
    }

    /// It is back. A narrow one gets stuck.
    pub(super) fn restore(&mut self, server: SocketAddr, narrow: bool) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        let mut most = u64::MAX;
        if narrow {
            socket.set_recv_buffer_size(4096).unwrap();
            most = NARROW;
        }
        socket.bind(self.addr).unwrap();
        let listener = socket.listen(64).unwrap();
        self.up = Some(tokio::spawn(pass(listener, server, most)));
    }

    pub(super) fn url(&self) -> String {
        format!("ws://{}/echo", self.addr)
    }
}

/// Passes everything on, but of what comes from here at most so many bytes.
async fn pass(listener: TcpListener, server: SocketAddr, most: u64) {
    let mut connections = JoinSet::new();
    loop {
        let (near, _) = listener.accept().await.unwrap();
        connections.spawn(async move {
            let far = TcpStream::connect(server).await?;
            let (near, mut to_near) = near.into_split();
            let (mut from_far, mut far) = far.into_split();
            let mut near = near.take(most);
            let there = async {
                copy(&mut near, &mut far).await?;
                if near.limit() == 0 {
                    pending::<()>().await;
                }
                far.shutdown().await
            };
            let back = copy(&mut from_far, &mut to_near);
            tokio::try_join!(there, back).map(drop)
        });
    }
}
