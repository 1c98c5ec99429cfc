//! A client that speaks plain HTTP/1.1, one answer after the other on a connection.

use super::{Peer, Served, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) struct Http {
    pub(crate) stream: TcpStream,
    /// Read, but not yet looked at.
    input: Vec<u8>,
}

impl Http {
    pub(crate) async fn connect(server: &Served) -> Self {
        Self::over(within(TcpStream::connect(server.addr)).await.unwrap())
    }

    pub(crate) fn over(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            input: Vec::new(),
        }
    }

    pub(crate) async fn send(&mut self, text: &str) {
        self.bytes(text.into()).await;
    }

    pub(crate) async fn bytes(&mut self, bytes: Vec<u8>) {
        within(self.stream.write_all(&bytes)).await.unwrap();
    }

    /// The next answer: its head, in small letters, and its body, whose length the head tells.
    #[track_caller]
    pub(crate) fn answer(&mut self) -> impl Future<Output = (String, String)> {
        let answer = self.answer_or_end();
        async { answer.await.expect("an answer, and not the end") }
    }

    /// The next answer, or `None` when the connection ends instead.
    #[track_caller]
    pub(crate) fn answer_or_end(&mut self) -> impl Future<Output = Option<(String, String)>> {
        within(async {
            let head = loop {
                let end = self.input.windows(4).position(|four| four == b"\r\n\r\n");
                if let Some(end) = end {
                    break self.take(end + 4);
                }
                if !self.read().await {
                    assert!(self.input.is_empty(), "{:?}", self.input.escape_ascii());
                    return None;
                }
            };
            let head = head.to_lowercase();
            let len = head
                .split("\r\n")
                .find_map(|line| line.strip_prefix("content-length: "));
            let len = len.map_or(0, |len| len.parse().unwrap());
            while self.input.len() < len {
                assert!(self.read().await, "the end inside a body");
            }
            let body = self.take(len);
            Some((head, body))
        })
    }

    /// The next so many bytes.
    #[track_caller]
    pub(crate) fn exactly(&mut self, len: usize) -> impl Future<Output = String> {
        within(async move {
            while self.input.len() < len {
                assert!(self.read().await, "the end too early");
            }
            self.take(len)
        })
    }

    fn take(&mut self, len: usize) -> String {
        String::from_utf8(self.input.drain(..len).collect()).unwrap()
    }

    /// Whether there was more before the end.
    async fn read(&mut self) -> bool {
        matches!(self.stream.read_buf(&mut self.input).await, Ok(1..))
    }

    /// That nothing more comes but the end.
    #[track_caller]
    pub(crate) fn assert_ends(&mut self) -> impl Future<Output = ()> {
        let end = self.answer_or_end();
        async {
            let more = end.await;
            assert!(more.is_none(), "{more:?}");
        }
    }

    /// The connection, now that it is a WebSocket.
    pub(crate) fn into_peer(self) -> Peer<TcpStream> {
        Peer::opened(self.stream, self.input)
    }
}
