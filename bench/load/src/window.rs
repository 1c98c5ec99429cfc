//! The time that counts of a run: from the end of the warm-up until the server has had enough of a core, with the counters
//! read at both ends. What is counted, messages or handshakes, is the run's business.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::process::cpu_time;

/// Longest time without anything done.
const STALL: Duration = Duration::from_secs(5);
/// The part of a window that the server must have had a core for. Below it, what others ran on that core, and the
/// scheduler's tick, would be much of the figure.
const MIN_CPU: f64 = 0.25;
/// How many times all that is under way at once is to be done in a window. Many large messages come and go together:
/// with less, it would depend on where among them the window begins and ends.
const TURNS: u64 = 3;
/// How many windows a slow server is given to do that. After it the figure is taken as it is.
const PATIENCE: u32 = 8;
/// How many windows a server on a busy machine is given to reach that.
const MAX_WINDOWS: u32 = 30;

/// Which server to load, and for how long.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where the server listens.
    pub address: SocketAddr,
    /// The path to ask for.
    pub path: String,
    /// Load before the window, not counted.
    pub warm_up: Duration,
    /// The time that counts, at least. If the server did less than three times what is under way at once, the window
    /// goes on until it did, up to eight times as long; if it had a core for less than a quarter of the time, up to
    /// thirty times.
    pub window: Duration,
    /// Whether replies are compared with what they should be. Only their number and length count for a floor, which is
    /// no WebSocket server.
    pub compares: bool,
    /// The server's process, whose CPU time is read at both ends of the window.
    pub server_pid: Option<u32>,
}

/// What one run gave. All but `total` and `compared` is of the window alone.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Measurement {
    /// Replies received, or handshakes made.
    pub messages: u64,
    /// The same from the first to the last, window or not: every message sent has been answered.
    pub total: u64,
    /// Replies of which every payload byte was compared, first to last. Headers are compared always, unless nothing is.
    pub compared: u64,
    /// Length of the window as it was.
    pub wall_s: f64,
    /// CPU time of the server.
    pub server_cpu_s: Option<f64>,
    /// CPU time of this process.
    pub load_cpu_s: f64,
    /// Median time from a write to its reply, at depth 1; or of a connection from its beginning to its end.
    pub p50_us: Option<f64>,
    /// 99th percentile of the same.
    pub p99_us: Option<f64>,
    /// Payload bytes of the replies, divided by the messages' size, where compression was offered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ratio: Option<f64>,
    /// What the server answered to that offer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agreed: Option<String>,
}

impl Measurement {
    /// Messages per second of server CPU: the figure that servers are compared by.
    pub fn per_cpu_second(&self) -> Option<f64> {
        self.server_cpu_s
            .filter(|seconds| *seconds > 0.0 && self.messages > 0)
            .map(|seconds| self.messages as f64 / seconds)
    }
}

/// The counters at one end of the window.
struct Mark {
    at: Instant,
    done: u64,
    server_cpu: Option<Duration>,
    load_cpu: Duration,
}

impl Mark {
    fn new(plan: &Plan, done: u64) -> Result<Self> {
        let server_cpu = plan.server_pid.map(cpu_time).transpose()?;
        Ok(Self {
            server_cpu,
            load_cpu: cpu_time(std::process::id())?,
            done,
            at: Instant::now(),
        })
    }

    fn server_cpu_since(&self, start: &Self) -> Option<Duration> {
        self.server_cpu
            .zip(start.server_cpu)
            .map(|(end, start)| end.saturating_sub(start))
    }
}

/// Where a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    WarmUp,
    /// What is done now counts.
    Open,
    /// Nothing more is begun.
    Closed,
}

/// One window, from before its warm-up.
pub(crate) struct Window<'a> {
    plan: &'a Plan,
    begun: Instant,
    length: Duration,
    /// What is to be done before it at least.
    first: u64,
    /// What is to be done in it at least.
    least: u64,
    opened: Option<Mark>,
    closed: Option<Mark>,
    done: u64,
    last_done: Instant,
    latencies: Vec<u32>,
}

impl<'a> Window<'a> {
    /// `under_way` is how much is under way at once.
    pub(crate) fn new(plan: &'a Plan, under_way: usize) -> Self {
        let now = Instant::now();
        Self {
            plan,
            begun: now,
            length: plan.window,
            first: 0,
            least: under_way as u64 * TURNS,
            opened: None,
            closed: None,
            done: 0,
            last_done: now,
            latencies: Vec::new(),
        }
    }

    /// Warms up until so much is done, however long that takes.
    pub(crate) fn after(mut self, first: u64) -> Self {
        self.first = first;
        self
    }

    pub(crate) fn phase(&self) -> Phase {
        match (&self.opened, &self.closed) {
            (None, _) => Phase::WarmUp,
            (Some(_), None) => Phase::Open,
            (Some(_), Some(_)) => Phase::Closed,
        }
    }

    /// Opens and closes the window when it is time, and returns where the run is now.
    ///
    /// # Errors
    /// When nothing has been done for five seconds, or the server was not given its core.
    pub(crate) fn tick(&mut self, now: Instant) -> Result<Phase> {
        match (&self.opened, &self.closed) {
            (None, _) if now - self.begun >= self.plan.warm_up && self.done >= self.first => {
                self.opened = Some(Mark::new(self.plan, self.done)?);
            }
            (Some(mark), None) if now - mark.at >= self.length => {
                let end = Mark::new(self.plan, self.done)?;
                let least = self.plan.window.mul_f64(MIN_CPU);
                let had_core = end.server_cpu_since(mark).is_none_or(|cpu| cpu >= least);
                let enough = end.done - mark.done >= self.least
                    || self.length >= self.plan.window * PATIENCE;
                if had_core && enough {
                    self.closed = Some(end);
                } else if self.length < self.plan.window * MAX_WINDOWS {
                    self.length += self.plan.window / 4;
                } else {
                    return Err(format!(
                        "in {:?} the server had less than {least:?} of its core: the machine is too busy",
                        self.length
                    )
                    .into());
                }
            }
            _ if now.saturating_duration_since(self.last_done) > STALL => {
                return Err(format!("no reply for {STALL:?}, after {} replies", self.done).into());
            }
            _ => {}
        }
        Ok(self.phase())
    }

    /// Counts what was done at `now`.
    pub(crate) fn count(&mut self, now: Instant, done: u64) {
        self.done += done;
        self.last_done = now;
    }

    /// How much has been done.
    pub(crate) fn done(&self) -> u64 {
        self.done
    }

    /// Notes how long something took, if it counts.
    pub(crate) fn took(&mut self, time: Duration) {
        if self.phase() == Phase::Open {
            self.latencies
                .push(time.as_nanos().try_into().unwrap_or(u32::MAX));
        }
    }

    /// What the window gave; `compared` is for the whole run.
    ///
    /// # Errors
    /// When the window has not been closed.
    pub(crate) fn measurement(mut self, compared: u64) -> Result<Measurement> {
        let (Some(opened), Some(closed)) = (self.opened, self.closed) else {
            return Err("the run ended before its window".into());
        };
        self.latencies.sort_unstable();
        let percentile = |p: usize| {
            self.latencies
                .get(self.latencies.len() * p / 100)
                .map(|&ns| f64::from(ns) / 1e3)
        };
        Ok(Measurement {
            messages: closed.done - opened.done,
            total: self.done,
            compared,
            wall_s: (closed.at - opened.at).as_secs_f64(),
            server_cpu_s: closed
                .server_cpu_since(&opened)
                .map(|cpu| cpu.as_secs_f64()),
            load_cpu_s: (closed.load_cpu - opened.load_cpu).as_secs_f64(),
            p50_us: percentile(50),
            p99_us: percentile(99),
            ratio: None,
            agreed: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_lasts_until_three_times_what_is_under_way_is_done() {
        let plan = Plan {
            address: SocketAddr::from(([127, 0, 0, 1], 1)),
            path: String::new(),
            warm_up: Duration::ZERO,
            window: Duration::from_millis(1),
            compares: true,
            server_pid: None,
        };
        let mut window = Window::new(&plan, 10).after(5);
        let at = |ms| Instant::now() + Duration::from_millis(ms);
        assert_eq!(window.tick(at(0)).unwrap(), Phase::WarmUp);
        window.count(Instant::now(), 5);
        assert_eq!(window.tick(at(0)).unwrap(), Phase::Open);
        window.count(at(0), 29);
        assert_eq!(window.tick(at(2)).unwrap(), Phase::Open);
        window.count(at(2), 1);
        assert_eq!(window.tick(at(4)).unwrap(), Phase::Closed);
        let measurement = window.measurement(0).unwrap();
        assert_eq!((measurement.messages, measurement.total), (30, 35));

        let mut slow = Window::new(&plan, 10);
        assert_eq!(slow.tick(at(0)).unwrap(), Phase::Open);
        let phases: Vec<_> = (1..40).map(|ms| slow.tick(at(ms)).unwrap()).collect();
        assert_eq!(phases[3], Phase::Open);
        assert_eq!(phases[38], Phase::Closed);
    }

    #[test]
    fn a_run_that_does_nothing_has_no_figure() {
        let measurement = Measurement {
            messages: 0,
            total: 0,
            compared: 0,
            wall_s: 1.0,
            server_cpu_s: Some(1.0),
            load_cpu_s: 1.0,
            p50_us: None,
            p99_us: None,
            ratio: None,
            agreed: None,
        };
        assert_eq!(measurement.per_cpu_second(), None);
    }
}
