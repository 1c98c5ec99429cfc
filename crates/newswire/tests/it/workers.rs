//! A server's own threads: connections are spread over them, none of them holds up another, and
//! they end with the server. And the same server on a runtime of many threads.

use crate::support::{Peer, Served, assert_echoes, echo, message, serve, start, within};
use newswire::proto::OpCode;
use newswire::{Config, Server, WebSocket};
use std::collections::HashMap;
use std::future::pending;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread::{self, ThreadId};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

/// Serves what `build` makes of a server with `count` workers.
async fn serve_on(count: usize, build: impl FnOnce(Server) -> Server) -> Served {
    let server = Server::bind("127.0.0.1:0").await.unwrap();
    let server = server.workers(NonZeroUsize::new(count).unwrap());
    start(build(server.await.unwrap()))
}

/// Tells its thread, and then echoes.
async fn tell_thread(mut ws: WebSocket) -> newswire::Result {
    ws.send(format!("{:?}", thread::current().id())).await?;
    while let Some(message) = ws.recv().await? {
        ws.send(message).await?;
    }
    Ok(())
}

/// A connection to `/`, and the thread that it says it is handled by.
async fn connect(server: &Served) -> (WebSocket, String) {
    let mut ws = within(newswire::connect(&server.url("/"))).await.unwrap();
    let thread = message(&mut ws).await.as_text().unwrap().to_owned();
    (ws, thread)
}

async fn close(mut ws: WebSocket) {
    let closed = within(ws.close(newswire::CloseCode::NORMAL, "")).await;
    closed.unwrap();
}

#[tokio::test]
async fn a_few_connections_are_spread_evenly_and_a_new_one_goes_where_there_are_fewest() {
    let server = serve_on(3, |server| server.route("/", tell_thread)).await;
    let mut threads: HashMap<String, Vec<WebSocket>> = HashMap::new();
    for _ in 0..9 {
        let (ws, thread) = connect(&server).await;
        threads.entry(thread).or_default().push(ws);
    }
    let counts: Vec<_> = threads.values().map(Vec::len).collect();
    assert_eq!(counts, [3, 3, 3]);
    let own = format!("{:?}", thread::current().id());
    assert!(!threads.contains_key(&own), "one is on the test's thread");

    let emptied = threads.keys().next().unwrap().clone();
    for ws in threads.remove(&emptied).unwrap() {
        close(ws).await;
    }
    // The last of them may not be counted out yet.
    for _ in 0..2 {
        let (ws, thread) = connect(&server).await;
        assert_eq!(thread, emptied);
        threads.entry(thread).or_default().push(ws);
    }
}

#[tokio::test]
async fn a_handlers_local_tasks_run_on_its_thread() {
    async fn handler(ws: WebSocket) -> newswire::Result {
        let spawned = tokio::task::spawn_local(async { thread::current().id() });
        let local: ThreadId = spawned.await?;
        let same = local == thread::current().id();
        ws.send(if same { "same" } else { "another" }).await?;
        Ok(())
    }
    let server = serve_on(2, |server| server.route("/", handler)).await;
    for _ in 0..2 {
        let mut ws = within(newswire::connect(&server.url("/"))).await.unwrap();
        assert_eq!(message(&mut ws).await, "same".into());
    }
}

/// Tells when it is dropped.
struct Tell(mpsc::Sender<()>);

impl Drop for Tell {
    fn drop(&mut self) {
        // The test may have gone.
        let _ = self.0.try_send(());
    }
}

/// Echoes, and leaves a task behind that only the end of its thread ends.
fn leave_task(tell: mpsc::Sender<()>) -> impl newswire::Handler<(), (WebSocket,)> {
    move |ws: WebSocket| {
        let tell = Tell(tell.clone());
        tokio::spawn(async move {
            pending::<()>().await;
            drop(tell);
        });
        echo(ws)
    }
}

#[tokio::test]
async fn a_shutdown_closes_connections_on_all_workers_with_1001_and_ends_the_threads() {
    let (tell, mut told) = mpsc::channel(10);
    let server = serve_on(2, |server| server.route("/", leave_task(tell))).await;
    let mut peers = Vec::new();
    for _ in 0..6 {
        peers.push(Peer::connect(server.addr, "/").await);
    }
    peers[0].send(OpCode::Text, "before").await;
    assert_eq!(peers[0].text().await, "before");
    let serving = server.shut_down();
    for peer in &mut peers {
        assert_eq!(peer.close_code().await, Some(1001));
    }
    assert!(!serving.is_finished(), "nobody has answered yet");
    for peer in &mut peers {
        peer.close(1001).await;
        peer.assert_ends().await;
    }
    let shutdown = within(serving).await.unwrap();
    assert_eq!((shutdown.open, shutdown.cut), (6, 0));
    for left in 0..6 {
        assert_eq!(told.try_recv(), Ok(()), "{left} of 6 tasks have ended");
    }
}

#[tokio::test]
async fn handlers_that_do_not_end_are_cut_on_all_workers() {
    let (tell, mut told) = mpsc::channel(10);
    let config = Config::new().close_timeout(Duration::from_millis(100));
    let stay = move |ws: WebSocket| {
        let tell = Tell(tell.clone());
        async move {
            pending::<()>().await;
            drop((tell, ws));
        }
    };
    let server = serve_on(2, |server| server.config(config).route("/", stay)).await;
    let mut peers = Vec::new();
    for _ in 0..4 {
        peers.push(Peer::connect(server.addr, "/").await);
    }
    let shutdown = within(server.shut_down()).await.unwrap();
    assert_eq!((shutdown.open, shutdown.cut), (4, 4));
    for left in 0..4 {
        assert_eq!(told.try_recv(), Ok(()), "{left} of 4 handlers are dropped");
    }
}

#[tokio::test]
async fn connections_go_on_when_the_future_is_dropped_and_the_last_ends_its_thread() {
    let (tell, mut told) = mpsc::channel(10);
    let server = serve_on(2, |server| server.route("/", leave_task(tell))).await;
    let addr = server.addr;
    let url = server.url("/");
    let mut connections = Vec::new();
    for _ in 0..2 {
        connections.push(within(newswire::connect(&url)).await.unwrap());
    }
    server.abort().await;
    within(TcpStream::connect(addr)).await.unwrap_err();
    for ws in &mut connections {
        within(ws.send("still here")).await.unwrap();
        assert_eq!(message(ws).await, "still here".into());
    }
    assert!(told.try_recv().is_err(), "the threads go on too");
    for ws in connections {
        close(ws).await;
        within(told.recv()).await.expect("its thread ends with it");
    }
}

#[tokio::test]
async fn a_panicking_handler_leaves_all_other_connections_alone() {
    async fn panics(mut ws: WebSocket) -> newswire::Result {
        ws.recv().await?;
        panic!("a test's handler panics, as it should");
    }
    let build = |server: Server| server.route("/echo", echo).route("/panic", panics);
    let server = serve_on(2, build).await;
    let mut others = Vec::new();
    let mut panicking = Vec::new();
    // Two of a kind one after the other: one for each worker.
    for _ in 0..2 {
        others.push(Peer::connect(server.addr, "/echo").await);
    }
    for _ in 0..2 {
        panicking.push(Peer::connect(server.addr, "/panic").await);
    }
    for peer in &mut panicking {
        peer.send(OpCode::Text, "now").await;
        assert_eq!(peer.close_code().await, Some(1011));
    }
    for peer in &mut others {
        peer.send(OpCode::Text, "well?").await;
        assert_eq!(peer.text().await, "well?");
    }
    for _ in 0..4 {
        assert_echoes(server.addr).await;
    }
}

/// A handler that blocks its thread, against all advice, and what ends that.
struct Blocking {
    /// Told when it begins to block.
    blocked: mpsc::Receiver<()>,
    /// Ends it when it is dropped.
    release: std::sync::mpsc::SyncSender<()>,
}

/// Serves an echo, and at `/block` a handler that blocks, on two workers. The first of them is
/// blocked: the first connection goes there.
async fn serve_blocked(config: Config) -> (Served, Blocking, Peer<TcpStream>) {
    let (begin, blocked) = mpsc::channel(1);
    let (release, released) = std::sync::mpsc::sync_channel(0);
    let released = Arc::new(std::sync::Mutex::new(released));
    let block = move |ws: WebSocket| {
        let (begin, released) = (begin.clone(), Arc::clone(&released));
        async move {
            begin.send(()).await.unwrap();
            let _ = released.lock().unwrap().recv();
            drop(ws);
        }
    };
    let build = |server: Server| {
        let server = server.config(config).route("/echo", echo);
        server.route("/block", block)
    };
    let server = serve_on(2, build).await;
    let peer = Peer::connect(server.addr, "/block").await;
    let mut blocking = Blocking { blocked, release };
    within(blocking.blocked.recv()).await.unwrap();
    (server, blocking, peer)
}

#[tokio::test]
async fn a_worker_that_a_handler_blocks_does_not_stop_the_other() {
    let (server, blocking, mut peer) = serve_blocked(Config::new()).await;
    let mut other = Peer::connect(server.addr, "/echo").await;
    for n in 0..100 {
        other.send(OpCode::Text, n.to_string()).await;
        assert_eq!(other.text().await, n.to_string());
    }
    drop(blocking.release);
    assert_eq!(peer.close_code().await, Some(1000));
    for _ in 0..4 {
        assert_echoes(server.addr).await;
    }
}

/// A connection that says nothing, on the worker that is blocked: each has one, and the first
/// is asked first.
async fn wait_behind_the_blocked(addr: SocketAddr) -> (Peer<TcpStream>, Peer<TcpStream>) {
    let other = Peer::connect(addr, "/echo").await;
    let silent = Peer::client(within(TcpStream::connect(addr)).await.unwrap());
    // It was accepted when one that came after it is served.
    assert_echoes(addr).await;
    (other, silent)
}

#[tokio::test]
async fn a_worker_that_a_handler_blocks_does_not_keep_a_shutdown() {
    let config = Config::new().close_timeout(Duration::from_millis(100));
    let (server, blocking, mut peer) = serve_blocked(config).await;
    let (mut other, mut silent) = wait_behind_the_blocked(server.addr).await;
    let serving = server.shut_down();
    assert_eq!(other.close_code().await, Some(1001));
    other.close(1001).await;
    other.assert_ends().await;
    let shutdown = within(serving).await.unwrap();
    // That of `assert_echoes` may not have been counted out.
    assert!((3..=4).contains(&shutdown.open), "{shutdown:?}");
    assert_eq!(shutdown.cut, 2);
    // Once it can, the thread ends what it has, and begins nothing.
    drop(blocking.release);
    assert!(matches!(peer.close_code().await, Some(1000 | 1001)));
    silent.assert_ends().await;
}

/// What comes in goes back from a task of its own.
async fn echo_from_another_task(ws: WebSocket) -> newswire::Result {
    let (sender, mut receiver) = ws.split();
    let (forward, mut forwarded) = mpsc::channel(16);
    let sending = tokio::spawn(async move {
        while let Some(message) = forwarded.recv().await {
            sender.send(message).await?;
        }
        Ok::<_, newswire::SendError>(())
    });
    while let Some(message) = receiver.recv().await? {
        forward.send(message).await?;
    }
    drop(forward);
    // When the client has closed, the last may be too late.
    let _ = sending.await?;
    Ok(())
}

/// Many clients at once: each gets back its own messages, whole and in their order.
async fn assert_in_order(server: &Served) {
    const MESSAGES: u32 = 2000;
    let payload = |client: u32, n: u32| {
        let mut payload = client.to_be_bytes().to_vec();
        payload.extend(n.to_be_bytes());
        payload.resize(8 + (n % 50 * 40) as usize, n as u8);
        payload
    };
    let clients: Vec<_> = (0..8)
        .map(|client| {
            let url = server.url("/");
            tokio::spawn(async move {
                let ws = newswire::connect(&url).await.unwrap();
                let (sender, mut receiver) = ws.split();
                let sending = tokio::spawn(async move {
                    for n in 0..MESSAGES {
                        sender.send(payload(client, n)).await.unwrap();
                    }
                    sender
                });
                for n in 0..MESSAGES {
                    let message = receiver.recv().await.unwrap().unwrap();
                    assert!(message.as_bytes() == payload(client, n), "{client}: {n}");
                }
                let sender = sending.await.unwrap();
                sender.close(newswire::CloseCode::NORMAL, "").await.unwrap();
                assert_eq!(receiver.recv().await.unwrap(), None);
            })
        })
        .collect();
    for client in clients {
        within(client).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn on_a_runtime_of_many_threads_messages_come_back_in_their_order() {
    assert_in_order(&serve(|server| server.route("/", echo)).await).await;
    assert_in_order(&serve(|server| server.route("/", echo_from_another_task)).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_workers_messages_come_back_in_their_order() {
    assert_in_order(&serve_on(2, |server| server.route("/", echo)).await).await;
    let server = serve_on(2, |server| server.route("/", echo_from_another_task)).await;
    assert_in_order(&server).await;
}
