//! The one background thread that does the I/O of all such sockets of the process, with a runtime
//! of its own. What runs there is not known here.

use parking_lot::Mutex;
use std::future::{Future, pending};
use std::io;
use std::thread;
use tokio::runtime::{Builder, Handle};

static RUNTIME: Mutex<Option<Handle>> = Mutex::new(None);

/// Runs `task` there. The thread is started by the first, and stays.
pub(super) fn spawn(task: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
    let mut runtime = RUNTIME.lock();
    let handle = match &*runtime {
        Some(handle) => handle,
        None => runtime.insert(start()?),
    };
    handle.spawn(task);
    Ok(())
}

fn start() -> io::Result<Handle> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    thread::Builder::new()
        .name("newswire-io".to_owned())
        .spawn(move || runtime.block_on(pending::<()>()))?;
    Ok(handle)
}
