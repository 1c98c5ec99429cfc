//! What clients leave behind that failed, were given up on their way, or came back: no task, no
//! socket and no thread. Each test runs in a process of its own, where nothing else is to be counted.
//! What the errors say is tested elsewhere.

mod coming_back;
mod connecting;
#[cfg(feature = "event")]
mod event;

use crate::support::{alone, message, within};
use newswire::{Connector, WebSocket};
use std::fs;
use std::future::Future;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// How often each thing is done, at the same time.
const TIMES: usize = 20;
const SOON: Duration = Duration::from_millis(100);

/// What is there in this process.
#[derive(Debug, PartialEq, Eq)]
struct Alive {
    tasks: usize,
    sockets: usize,
    threads: usize,
}

fn alive() -> Alive {
    let files = fs::read_dir("/proc/self/fd").unwrap();
    // What is closed meanwhile is not there any more.
    let links = files.filter_map(|file| fs::read_link(file.unwrap().path()).ok());
    Alive {
        tasks: Handle::current().metrics().num_alive_tasks(),
        sockets: links
            .filter(|link| link.to_string_lossy().starts_with("socket:"))
            .count(),
        threads: fs::read_dir("/proc/self/task").unwrap().count(),
    }
}

/// Waits until what there is, is what there was. The other ends need a moment to notice.
async fn until_only(before: &Alive, what: &str) {
    let mut found = alive();
    for _ in 0..500 {
        if found == *before {
            return;
        }
        sleep(Duration::from_millis(10)).await;
        found = alive();
    }
    panic!("{what} left {found:?}, and before it was {before:?}");
}

/// Does it many times at once, and then nothing is left of it.
async fn leaves_nothing<F>(what: &str, mut begin: impl FnMut() -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let before = alive();
    let mut all: JoinSet<()> = (0..TIMES).map(|_| begin()).collect();
    while let Some(done) = within(all.join_next()).await {
        done.unwrap();
    }
    until_only(&before, what).await;
}

/// A connection that stays, and with it the one task that tells a server's connections the time.
async fn first(connector: &Connector, url: &str) -> WebSocket {
    let mut ws = within(connector.connect(url)).await.unwrap();
    within(ws.send("hello")).await.unwrap();
    assert_eq!(message(&mut ws).await, "hello".into());
    ws
}

/// Gives up after a while.
async fn is_given_up(future: impl Future) {
    let given_up = tokio::time::timeout(SOON, future).await;
    assert!(given_up.is_err(), "it was over before");
}
