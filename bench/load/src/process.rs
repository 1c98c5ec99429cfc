//! What the kernel says of a process, what it allows this one, and which core a thread may use. Linux only, as the whole
//! measurement is.

use std::fs;
use std::io;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Resource, getrlimit, setrlimit};
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

/// Bytes of memory that belong to a process alone and to no file: heap and stacks, `Pss_Anon` of its `smaps_rollup`. What
/// the kernel keeps for its sockets is not in it.
///
/// # Errors
/// When the process is gone, or may not be looked at.
pub fn memory(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let kilobytes = text
        .lines()
        .find_map(|line| line.strip_prefix("Pss_Anon:")?.strip_suffix("kB"));
    let kilobytes = kilobytes.and_then(|number| number.trim().parse::<u64>().ok());
    Ok(kilobytes.ok_or_else(|| format!("{path} has no Pss_Anon: it needs Linux 5.3"))? * 1024)
}

/// Files that a process needs besides its connections: standard streams, epoll, libraries of a runtime.
const OTHER_FILES: u64 = 64;

/// How many connections a process may have, at its hard limit of open files.
pub fn most_connections() -> usize {
    let most = getrlimit(Resource::Nofile).maximum;
    most.map_or(usize::MAX, |most| most.saturating_sub(OTHER_FILES) as usize)
}

/// Lets this process, and the servers that it starts, have so many connections each.
///
/// # Errors
/// When the hard limit of open files is below that.
pub fn allow_connections(count: usize) -> Result<()> {
    let needed = count as u64 + OTHER_FILES;
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    limit.current = Some(needed);
    setrlimit(Resource::Nofile, limit).map_err(|_| {
        format!("{count} connections need {needed} open files: `ulimit -Hn {needed}` as root allows them").into()
    })
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
    fn memory_grows_by_what_is_written_to_and_is_an_error_for_no_process() {
        let before = memory(std::process::id()).unwrap();
        let kept = std::hint::black_box(vec![1_u8; 64 << 20]);
        let grown = memory(std::process::id()).unwrap() - before;
        assert!(grown >= kept.len() as u64 / 2, "{grown}");
        assert!(memory(u32::MAX).is_err());
    }

    #[test]
    fn more_connections_than_the_hard_limit_allows_are_refused_with_what_helps() {
        let error = allow_connections(usize::MAX / 2).err();
        let unlimited = most_connections() == usize::MAX;
        assert!(unlimited || error.is_some_and(|error| error.to_string().contains("ulimit")));
    }

    #[test]
    fn a_core_that_does_not_exist_is_refused() {
        assert!(pin(CpuSet::MAX_CPU - 1).is_err());
        assert!(pin(usize::MAX).is_err());
    }
}
