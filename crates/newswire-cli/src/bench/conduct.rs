//! A run from its first connection to its last: starts the threads, says when the time that
//! counts begins and ends, and reads the server's CPU time and memory at both. Results are raw
//! here; what they mean and how they look is elsewhere.

use super::plan::{Life, Plan, Storm};
use super::progress::Progress;
use super::shared::{Shared, nanos};
use super::tally::Tally;
use super::worker::Worker;
use crate::process::Usage;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::Duration;

/// How often the conductor looks at what the threads have done.
const TICK: Duration = Duration::from_millis(5);
/// After so many failures without a single success nothing works.
const HOPELESS: u64 = 8;

/// What a run gave.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) tally: Tally,
    /// The time that counted, and that between the two readings of CPU time: a machine that is
    /// busy lets the conductor look a little late.
    pub(super) seconds: f64,
    pub(super) usage_seconds: f64,
    /// Connections opened, ever.
    pub(super) opened: u64,
    /// From the start until all connections were ready.
    pub(super) ready_seconds: Option<f64>,
    pub(super) errors: u64,
    pub(super) first_error: Option<String>,
    /// The server before the first connection, and at both ends of the time that counts.
    pub(super) server: Option<[Usage; 3]>,
    /// This process at both ends.
    pub(super) own: Option<[Usage; 2]>,
    /// Seconds until all connections were back, one for each round of a storm.
    pub(super) rounds: Vec<f64>,
    pub(super) interrupted: bool,
}

/// Runs the plan.
///
/// # Errors
/// One line, when there are no results: nothing can be connected to, a reply was wrong, or the
/// server's process cannot be read.
pub(super) fn conduct(plan: &Plan, pid: Option<u32>, verbose: bool) -> Result<Outcome, String> {
    let shared = Arc::new(Shared::new());
    watch_for_interrupt(&shared)?;
    let before = usage(pid)?;
    let workers: Vec<Worker<'_>> = (0..plan.threads)
        .map(|index| Worker::new(plan, &shared, index))
        .collect::<Result<_, _>>()
        .map_err(|error| format!("cannot start a thread's event loop: {error}"))?;
    thread::scope(|scope| {
        let threads: Vec<_> = workers
            .into_iter()
            .map(|worker| {
                scope.spawn(|| {
                    worker.run().map_err(|error| {
                        let text = format!("a thread's event loop failed: {error}");
                        shared.fail(text.clone());
                        text
                    })
                })
            })
            .collect();
        let conductor = Conductor {
            plan,
            shared: &shared,
            progress: Progress::new(plan, verbose),
            pid,
        };
        let outcome = conductor.lead(before);
        // Whatever went wrong, the threads end.
        if outcome.is_err() {
            shared.stop.store(true, Relaxed);
        }
        let mut tally = Tally::default();
        for thread in threads {
            match thread.join() {
                Ok(counted) => tally.add(&counted?),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        if let Some(fatal) = shared.fatal() {
            return Err(fatal);
        }
        let mut outcome = outcome?;
        outcome.tally = tally;
        // What never came is counted when the threads end.
        outcome.errors = shared.errors.load(Relaxed);
        outcome.first_error = shared.first_error();
        Ok(outcome)
    })
}

struct Conductor<'a> {
    plan: &'a Plan,
    shared: &'a Shared,
    progress: Progress,
    pid: Option<u32>,
}

impl Conductor<'_> {
    fn lead(mut self, before: Option<Usage>) -> Result<Outcome, String> {
        let shared = self.shared;
        self.await_settled(1)?;
        let ready = self.settled(1);
        let ready_at = shared.now();
        let rounds = match self.plan.storm {
            Some(storm) if ready => self.storm(storm)?,
            _ => Vec::new(),
        };
        let begin = shared.now() + nanos(self.plan.window.warm_up);
        let end = if ready {
            begin + nanos(self.plan.window.duration)
        } else {
            begin
        };
        shared.begin.store(begin, Relaxed);
        shared.end.store(end, Relaxed);
        shared.ready_at.store(shared.now(), Relaxed);
        self.wait_until(begin);
        let began = shared.now();
        let server_began = usage(self.pid)?;
        let own_began = Usage::own();
        self.wait_until(end);
        // After an interrupt this is the end; the threads learn it before what is due then.
        let ended = shared.now().min(end);
        shared.end.store(ended, Relaxed);
        let read_at = shared.now();
        let server_ended = usage(self.pid)?;
        let own_ended = Usage::own();
        self.progress.finish();
        Ok(Outcome {
            tally: Tally::default(),
            seconds: ended.saturating_sub(begin) as f64 / 1e9,
            usage_seconds: (read_at - began) as f64 / 1e9,
            opened: shared.opened.load(Relaxed),
            ready_seconds: ready.then_some(ready_at as f64 / 1e9),
            errors: 0,
            first_error: None,
            server: before
                .zip(server_began)
                .zip(server_ended)
                .map(|((before, began), ended)| [before, began, ended]),
            own: own_began
                .zip(own_ended)
                .map(|(began, ended)| [began, ended]),
            rounds,
            interrupted: shared.interrupted.load(Relaxed),
        })
    }

    /// Drops all connections, as often as was asked for; the seconds until all were back.
    fn storm(&mut self, storm: Storm) -> Result<Vec<f64>, String> {
        let mut rounds = Vec::new();
        for round in 1..=storm.rounds {
            self.wait_until(self.shared.now() + nanos(storm.pause));
            if self.is_over() {
                break;
            }
            let dropped = self.shared.now();
            self.shared.round.store(round, Relaxed);
            self.await_settled(u64::from(round) + 1)?;
            if !self.settled(u64::from(round) + 1) {
                break;
            }
            let back = self.shared.last_opened_at.load(Relaxed);
            rounds.push(back.saturating_sub(dropped) as f64 / 1e9);
        }
        Ok(rounds)
    }

    /// Whether every connection has been opened, or has failed, so many times.
    fn settled(&self, times: u64) -> bool {
        self.shared.settled.load(Relaxed) >= self.plan.all() as u64 * times
    }

    /// Waits for that, or for the end of the run.
    fn await_settled(&mut self, times: u64) -> Result<(), String> {
        while !self.settled(times) && !self.is_over() {
            self.check_hope()?;
            self.tick(TICK);
        }
        self.check_hope()
    }

    fn check_hope(&self) -> Result<(), String> {
        let shared = self.shared;
        let (opened, failed) = (shared.opened.load(Relaxed), shared.errors.load(Relaxed));
        if opened > 0 || failed < HOPELESS.min(self.plan.all() as u64) {
            return Ok(());
        }
        let reason = shared.first_error().unwrap_or_default();
        Err(match failed {
            1 => reason,
            _ => format!("none of {failed} connections could be opened: {reason}"),
        })
    }

    fn wait_until(&mut self, time: u64) {
        while !self.is_over() {
            let left = Duration::from_nanos(time.saturating_sub(self.shared.now()));
            if left.is_zero() || self.is_deserted() {
                return;
            }
            self.tick(left.min(Duration::from_millis(50)));
        }
    }

    /// Whether every connection that was to last is gone.
    fn is_deserted(&self) -> bool {
        self.plan.life == Life::Lasting
            && self.plan.storm.is_none()
            && self.shared.open.load(Relaxed) == 0
    }

    /// Whether somebody ended the run.
    fn is_over(&self) -> bool {
        self.shared.stop.load(Relaxed) || self.shared.interrupted.load(Relaxed)
    }

    fn tick(&mut self, time: Duration) {
        thread::park_timeout(time);
        self.progress.tick(self.shared);
    }
}

fn usage(pid: Option<u32>) -> Result<Option<Usage>, String> {
    pid.map(Usage::of).transpose()
}

/// The first Ctrl-C ends the run, which then prints what there is; the second one does not wait for
/// replies either.
fn watch_for_interrupt(shared: &Arc<Shared>) -> Result<(), String> {
    let cannot = |error| format!("cannot listen for Ctrl-C: {error}");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .map_err(cannot)?;
    let mut interrupts = {
        let _in_runtime = runtime.enter();
        interrupts().map_err(cannot)?
    };
    let shared = Arc::clone(shared);
    thread::spawn(move || {
        runtime.block_on(async {
            interrupts.recv().await;
            shared.interrupted.store(true, Relaxed);
            interrupts.recv().await;
            shared.stop.store(true, Relaxed);
        });
    });
    Ok(())
}

#[cfg(unix)]
fn interrupts() -> std::io::Result<tokio::signal::unix::Signal> {
    use tokio::signal::unix::{SignalKind, signal};
    signal(SignalKind::interrupt())
}

#[cfg(windows)]
fn interrupts() -> std::io::Result<tokio::signal::windows::CtrlC> {
    tokio::signal::windows::ctrl_c()
}
