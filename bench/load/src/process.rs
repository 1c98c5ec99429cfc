//! What the kernel says of a process, and which core a thread may use. Linux only, as the whole measurement is.

use std::fs;
use std::io;
use std::time::Duration;

use rustix::io::Errno;
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::Result;

/// User and system time of all living threads of a process, from the first field of each one's `schedstat`
/// (nanoseconds). A thread that is running is exact to the scheduler's tick, 1 to 10 ms.
///
/// # Errors
/// When the process is gone or the kernel keeps no `schedstat`.
pub fn cpu_time(pid: u32) -> Result<Duration> {
    let mut total = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let path = task?.path().join("schedstat");
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            // A thread that has ended since the directory was read.
            Err(error) if is_gone(&error) => continue,
            Err(error) => return Err(error.into()),
        };
        let field = text
            .split_whitespace()
            .next()
            .and_then(|field| field.parse::<u64>().ok());
        total +=
            field.ok_or_else(|| format!("{} is {text:?}, not three numbers", path.display()))?;
    }
    Ok(Duration::from_nanos(total))
}

fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
        || error.raw_os_error() == Some(Errno::SRCH.raw_os_error())
}

/// Keeps the calling thread on `core`, and what it starts from now on.
///
/// # Errors
/// When there is no such core, or this process may not use it.
pub fn pin(core: usize) -> Result<()> {
    let mut set = CpuSet::new();
    if core >= CpuSet::MAX_CPU {
        return Err(format!("there is no core {core}").into());
    }
    set.set(core);
    sched_setaffinity(None, &set).map_err(|error| format!("cannot run on core {core}: {error}"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_grows_with_work_and_is_an_error_for_no_process() {
        let before = cpu_time(std::process::id()).unwrap();
        let start = std::time::Instant::now();
        while start.elapsed() < Duration::from_millis(60) {
            std::hint::black_box(fastrand::u64(..));
        }
        assert!(cpu_time(std::process::id()).unwrap() > before);
        assert!(cpu_time(u32::MAX).is_err());
    }

    #[test]
    fn a_core_that_does_not_exist_is_refused() {
        assert!(pin(CpuSet::MAX_CPU - 1).is_err());
        assert!(pin(usize::MAX).is_err());
    }
}
