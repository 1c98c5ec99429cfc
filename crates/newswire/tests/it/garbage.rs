//! Bytes without sense, on many connections at once: nothing panics, nothing is left behind.

use crate::support::{Peer, assert_echoes, echo, frame, serve, serve_echo, within};
use newswire::Config;
use newswire::proto::{OpCode, Role};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

const CONNECTIONS: u64 = 200;

/// Bytes that look random, the same for the same seed.
struct Noise(u64);

impl Noise {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| (self.next() >> 32) as u8).collect()
    }
}

/// All that the server still says, then its end. A reset is an end too.
async fn read_to_end(mut stream: TcpStream) -> Vec<u8> {
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    answer
}

#[tokio::test]
async fn garbage_instead_of_a_request_is_answered_with_400() {
    let server = serve_echo().await;
    let mut peers = JoinSet::new();
    for seed in 0..CONNECTIONS {
        peers.spawn(async move {
            let mut noise = Noise::new(seed);
            let mut bytes = noise.bytes(1 + (seed as usize * 37) % 3000);
            // Whatever came before, no line ends like this.
            bytes.push(b'\n');
            let mut stream = TcpStream::connect(server.addr).await.unwrap();
            // It may be refused before all of it is written.
            let _ = stream.write_all(&bytes).await;
            let answer = read_to_end(stream).await;
            assert!(
                answer.starts_with(b"HTTP/1.1 400 "),
                "{seed}: {}",
                answer.escape_ascii()
            );
        });
    }
    while let Some(done) = within(peers.join_next()).await {
        done.unwrap();
    }
    assert_echoes(server.addr).await;
    let shutdown = within(server.shut_down()).await.unwrap();
    assert_eq!(shutdown.cut, 0, "{shutdown:?}");
}

/// Noise, plain or inside of right frames, or right frames with one bit turned.
fn bad_frames(seed: u64) -> Vec<u8> {
    let mut noise = Noise::new(seed);
    if seed.is_multiple_of(3) {
        let len = 1 + noise.next() as usize % 2000;
        return noise.bytes(len);
    }
    let mut bytes = Vec::new();
    for _ in 0..20 {
        let opcode = [OpCode::Text, OpCode::Binary, OpCode::Ping, OpCode::Pong];
        let opcode = opcode[noise.next() as usize % 4];
        let len = noise.next() as usize % 120;
        let payload = noise.bytes(len);
        bytes.extend(frame(Role::Client, opcode, &payload));
    }
    if seed % 3 == 1 {
        let at = noise.next() as usize % bytes.len();
        bytes[at] ^= 1 << (noise.next() % 8);
    }
    bytes
}

#[tokio::test]
async fn garbage_instead_of_frames_ends_the_connection_and_nothing_panics() {
    let (ended, mut ends) = mpsc::channel(CONNECTIONS as usize);
    let config = Config::new().close_timeout(Duration::from_millis(500));
    let server = serve(|server| {
        server
            .config(config)
            .route("/echo", echo)
            .route("/", move |ws| {
                let ended = ended.clone();
                async move {
                    // Not sent when something panics below the handler.
                    ended.send(echo(ws).await.is_err()).await.unwrap();
                }
            })
    });
    let server = server.await;
    let mut peers = JoinSet::new();
    for seed in 0..CONNECTIONS {
        let addr = server.addr;
        peers.spawn(async move {
            let mut peer = Peer::connect(addr, "/").await;
            let _ = peer.io.write_all(&bad_frames(seed)).await;
            let _ = peer.io.shutdown().await;
            read_to_end(peer.io).await;
        });
    }
    while let Some(done) = within(peers.join_next()).await {
        done.unwrap();
    }
    let mut failed = 0;
    for _ in 0..CONNECTIONS {
        failed += u64::from(within(ends.recv()).await.expect("the handler ended"));
    }
    // Only noise that happens to be a Close frame is no error.
    assert!(failed > CONNECTIONS * 9 / 10, "{failed}");
    assert_echoes(server.addr).await;
    #[cfg(target_os = "linux")]
    within(async {
        // The listener is left. A socket has the server's port also when others run.
        while open_sockets(server.addr.port()) > 1 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let shutdown = within(server.shut_down()).await.unwrap();
    assert_eq!((shutdown.open, shutdown.cut), (0, 0));
}

/// How many descriptors this process holds of sockets on the server's port: what the kernel
/// still keeps of a socket that nobody holds has no inode.
#[cfg(target_os = "linux")]
fn open_sockets(port: u16) -> usize {
    use std::collections::HashSet;
    let held: HashSet<String> = std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|fd| std::fs::read_link(fd.unwrap().path()).ok())
        .filter_map(|link| {
            let inode = link.to_str()?.strip_prefix("socket:[")?;
            Some(inode.strip_suffix(']')?.to_owned())
        })
        .collect();
    let port = format!(":{port:04X}");
    std::fs::read_to_string("/proc/self/net/tcp")
        .unwrap()
        .lines()
        .skip(1)
        .filter(|line| {
            let mut columns = line.split_whitespace().skip(1);
            let local = columns.next().expect("the local address");
            local.ends_with(&port) && columns.nth(7).is_some_and(|inode| held.contains(inode))
        })
        .count()
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_count_of_sockets_counts() {
    let server = serve_echo().await;
    assert_eq!(open_sockets(server.addr.port()), 1);
    let peers = [
        Peer::connect(server.addr, "/echo").await,
        Peer::connect(server.addr, "/echo").await,
    ];
    assert_eq!(open_sockets(server.addr.port()), 3);
    drop(peers);
}
