//! What the operating system says of a process: CPU time, memory, open files. Linux's `/proc`;
//! elsewhere there is nothing to read and the results go without it.

use std::fs;
use std::time::Duration;

/// What a process has used so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// User and system time.
    pub(crate) cpu: Duration,
    /// Resident memory in bytes.
    pub(crate) resident: u64,
    /// The part of it that belongs to no file: heap and stacks.
    pub(crate) anonymous: u64,
}

impl Usage {
    /// Reads it.
    ///
    /// # Errors
    /// One line: there is no such process, or this is not Linux.
    pub(crate) fn of(pid: u32) -> Result<Self, String> {
        let cannot = |what: &str, error: std::io::Error| {
            format!(
                "cannot read the {what} of process {pid}: {error}; --pid needs Linux and a process that is running"
            )
        };
        let mut alive = 0;
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).map_err(|e| cannot("threads", e))?;
        for task in tasks.flatten() {
            // A thread may end between the two calls.
            if let Ok(text) = fs::read_to_string(task.path().join("schedstat")) {
                let nanos = text.split_whitespace().next().and_then(|n| n.parse().ok());
                alive += nanos.unwrap_or(0);
            }
        }
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))
            .map_err(|error| cannot("CPU time", error))?;
        // Each is too low in its own way: the sum lacks threads that have ended, the total is in
        // whole ticks. The higher one is nearer.
        let cpu = Duration::from_nanos(alive).max(ticks(&stat));
        let status = fs::read_to_string(format!("/proc/{pid}/status"))
            .map_err(|error| cannot("memory", error))?;
        Ok(Self {
            cpu,
            resident: kilobytes(&status, "VmRSS:"),
            anonymous: kilobytes(&status, "RssAnon:"),
        })
    }

    /// Reads it for this process; nothing where it cannot be read.
    pub(crate) fn own() -> Option<Self> {
        Self::of(std::process::id()).ok()
    }
}

/// User and system time of all threads there have been.
fn ticks(stat: &str) -> Duration {
    // The second field is a name in brackets, in which anything may stand.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let both = fields.split_whitespace().skip(11).take(2);
    let ticks: u64 = both.filter_map(|field| field.parse::<u64>().ok()).sum();
    #[cfg(unix)]
    let per_second = rustix::param::clock_ticks_per_second();
    #[cfg(not(unix))]
    let per_second = 100;
    Duration::from_secs_f64(ticks as f64 / per_second as f64)
}

fn kilobytes(status: &str, name: &str) -> u64 {
    status
        .lines()
        .find_map(|line| {
            line.strip_prefix(name)?
                .split_whitespace()
                .next()?
                .parse()
                .ok()
        })
        .map_or(0, |kilobytes: u64| kilobytes * 1024)
}

/// How many files this process may open: as many as the system lets it, from now on. None when
/// there is no limit.
#[cfg(unix)]
pub(crate) fn open_files() -> Option<u64> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    let before = limit.current;
    limit.current = limit.maximum;
    match setrlimit(Resource::Nofile, limit) {
        Ok(()) => limit.current,
        Err(_) => before,
    }
}

/// Elsewhere there is no such limit.
#[cfg(not(unix))]
pub(crate) fn open_files() -> Option<u64> {
    None
}

/// Sees to it that this process may open so many connections.
///
/// # Errors
/// One line with the limit and how to raise it.
#[cfg(unix)]
pub(crate) fn allow_files(connections: usize) -> Result<(), String> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    /// Standard streams, epoll, files of results.
    const OTHERS: u64 = 64;
    let needed = connections as u64 + OTHERS;
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    if let Some(maximum) = limit.maximum.filter(|maximum| *maximum < needed) {
        return Err(format!(
            "{connections} connections need {needed} open files and {maximum} are allowed: raise the hard limit, as root with `ulimit -Hn {needed}` in the shell that starts this, or LimitNOFILE={needed} in a systemd unit"
        ));
    }
    limit.current = Some(needed);
    setrlimit(Resource::Nofile, limit)
        .map_err(|error| format!("cannot raise the limit of open files to {needed}: {error}"))
}

/// Elsewhere there is no such limit.
#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "the same shape as on Unix")]
pub(crate) fn allow_files(_: usize) -> Result<(), String> {
    Ok(())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_usage_of_a_process_that_is_there_is_not_nothing() {
        let usage = Usage::own().unwrap();
        assert!(usage.cpu > Duration::ZERO);
        assert!(
            usage.resident >= usage.anonymous && usage.anonymous > 0,
            "{usage:?}"
        );
        assert!(Usage::of(u32::MAX).unwrap_err().contains("--pid"));
    }

    #[test]
    fn the_time_of_threads_that_have_ended_is_not_lost() {
        let before = Usage::own().unwrap().cpu;
        let busy = || {
            let start = std::time::Instant::now();
            while start.elapsed() < Duration::from_millis(200) {
                std::hint::black_box(fastrand::u64(..));
            }
        };
        std::thread::spawn(busy).join().unwrap();
        let used = Usage::own().unwrap().cpu.saturating_sub(before);
        assert!(used >= Duration::from_millis(10), "{used:?}");
        assert_eq!(
            ticks("1 (a ) b) S 0 0 0 0 0 0 0 0 0 0 150 50 9"),
            Duration::from_secs(2)
        );
    }

    #[test]
    fn a_limit_that_cannot_be_raised_is_named() {
        let error = allow_files(usize::MAX / 2).err();
        // Without a hard limit there is nothing to say.
        let unlimited = rustix::process::getrlimit(rustix::process::Resource::Nofile)
            .maximum
            .is_none();
        assert!(unlimited || error.is_some_and(|text| text.contains("ulimit")));
    }
}
