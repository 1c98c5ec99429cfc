//! The signals of the process: the end, and reading certificates again.

use std::io;

/// Ready at the first SIGINT or SIGTERM.
#[cfg(unix)]
pub(crate) fn termination() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(std::future::poll_fn(move |cx| {
        if interrupt.poll_recv(cx).is_ready() {
            return std::task::Poll::Ready(());
        }
        terminate.poll_recv(cx).map(|_| ())
    }))
}

/// Ready at the first Ctrl-C.
#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "the same shape as on Unix")]
pub(crate) fn termination() -> io::Result<impl Future<Output = ()>> {
    Ok(async {
        // Without Ctrl-C the process is ended from outside.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    })
}

/// Calls `hung_up` at every SIGHUP, for ever.
#[cfg(unix)]
pub(super) fn hang_ups(mut hung_up: impl FnMut()) -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut signals = signal(SignalKind::hangup())?;
    Ok(async move {
        while signals.recv().await.is_some() {
            hung_up();
        }
    })
}

/// Elsewhere there is no such signal.
#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "the same shape as on Unix")]
pub(super) fn hang_ups(_: impl FnMut()) -> io::Result<impl Future<Output = ()>> {
    Ok(std::future::pending())
}
