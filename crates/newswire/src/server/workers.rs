//! Threads with a runtime each, and which of them a connection goes to. What runs on them is
//! `listener.rs`'s to know.

use super::listener::{Accepted, Admitted, Detached, PAUSE, Socket, spawn};
use super::metrics::Metrics;
use super::registry::Registry;
use super::{Service, log};
use std::io;
use std::num::NonZeroUsize;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tokio::runtime::{Builder, LocalOptions, LocalRuntime};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};

/// How many connections may wait for a worker to take them.
const QUEUE: usize = 1024;

/// How long the end of a server waits for its threads when all connections have ended.
const ENDING: Duration = Duration::from_millis(500);

/// A server's threads. When this is dropped each of them ends with its last connection.
#[derive(Debug)]
pub(super) struct Workers(Vec<Worker>);

#[derive(Debug)]
struct Worker {
    queue: mpsc::Sender<HandedOver>,
    /// Its connections, those in the queue among them.
    registry: Arc<Registry>,
    ending: Ending,
}

/// A connection on its way to its worker: in no runtime.
type HandedOver = (Detached, Accepted);

/// How a worker's end is noticed.
#[derive(Debug)]
struct Ending {
    /// Closed when all that is left for the thread to do is to return.
    ended: oneshot::Receiver<()>,
    thread: JoinHandle<()>,
}

impl Workers {
    /// Starts `count` threads, which wait for connections.
    pub(super) async fn start(count: NonZeroUsize, metrics: &Metrics) -> io::Result<Self> {
        let mut workers = Vec::with_capacity(count.get());
        for number in 0..count.get() {
            workers.push(Worker::start(number, metrics).await?);
        }
        Ok(Self(workers))
    }

    /// Gives a connection to the worker that has the fewest.
    pub(super) async fn take(&self, socket: Socket, admitted: Admitted, service: &Arc<Service>) {
        let socket = match socket.detach() {
            Ok(socket) => socket,
            Err(error) => return log::accept_failed(&error),
        };
        let worker = self.least_loaded().await;
        let accepted = Accepted::new(admitted, service, &worker.registry);
        worker
            .queue
            .try_send((socket, accepted))
            .expect("there was room, and a worker ends only after its queue has");
    }

    /// The worker with the fewest connections. One that takes nothing from its full queue, as a
    /// handler keeps it busy, is passed over.
    async fn least_loaded(&self) -> &Worker {
        loop {
            let with_room = self.0.iter().filter(|worker| worker.queue.capacity() > 0);
            match with_room.min_by_key(|worker| worker.registry.len()) {
                Some(worker) => return worker,
                None => sleep(PAUSE).await,
            }
        }
    }

    pub(super) fn registries(&self) -> Vec<Arc<Registry>> {
        let registries = self.0.iter().map(|worker| Arc::clone(&worker.registry));
        registries.collect()
    }

    /// Lets the threads end, each with its last connection, and waits for that. A thread that
    /// a handler blocks is left to end later.
    pub(super) async fn end(self) {
        // The queues are dropped with the rest of the workers, which is what ends them.
        let endings: Vec<_> = self.0.into_iter().map(|worker| worker.ending).collect();
        let all = async {
            for Ending { ended, thread } in endings {
                // It never sends.
                let _ = ended.await;
                if let Err(panic) = thread.join() {
                    resume_unwind(panic);
                }
            }
        };
        let _ = timeout(ENDING, all).await;
    }
}

impl Worker {
    async fn start(number: usize, metrics: &Metrics) -> io::Result<Self> {
        let (queue, connections) = mpsc::channel(QUEUE);
        let registry = Registry::new(metrics);
        let (ending, ended) = oneshot::channel();
        let (started, starting) = oneshot::channel();
        let own = Arc::clone(&registry);
        let run = move || {
            // Moved in, so that it is dropped at the very end.
            let _ending = ending;
            // The runtime cannot be made elsewhere: it never leaves its thread.
            let runtime = Builder::new_current_thread()
                .enable_io()
                .enable_time()
                .build_local(LocalOptions::default());
            // Whoever started it may have given up; then the queue is closed too.
            match runtime {
                Ok(runtime) => {
                    // Now, so that connections leave nothing behind that was not there before.
                    runtime.block_on(async { own.alarm() });
                    let _ = started.send(Ok(()));
                    work(&runtime, connections, &own);
                }
                Err(error) => {
                    let _ = started.send(Err(error));
                }
            }
        };
        let thread = thread::Builder::new()
            .name(format!("newswire-{number}"))
            .spawn(run)?;
        starting
            .await
            .expect("the thread tells how its start went")?;
        Ok(Self {
            queue,
            registry,
            ending: Ending { ended, thread },
        })
    }
}

/// Runs connections until no more can come and the last has ended.
fn work(runtime: &LocalRuntime, mut connections: mpsc::Receiver<HandedOver>, registry: &Registry) {
    runtime.block_on(async {
        while let Some((socket, accepted)) = connections.recv().await {
            match socket.attach() {
                Ok(socket) => spawn(socket, accepted),
                Err(error) => log::accept_failed(&error),
            }
        }
        registry.emptied().await;
    });
}
