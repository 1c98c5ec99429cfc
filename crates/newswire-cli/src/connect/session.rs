//! An open connection, from the first message to the close: sends and receives at the same time,
//! and knows when it is over.

use super::expect::Goal;
use super::failure::{Failure, is_fine};
use super::format::Command;
use super::input::Input;
use super::link::{Event, Link};
use super::options::Talk;
use super::outlet::Outlet;
use super::printer::Printer;
use crate::exit_code::ExitCode;
use newswire::{CloseFrame, ControlFrame, Side};
use std::cell::RefCell;
use std::convert::Infallible;
use std::future::pending;
use std::pin::pin;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until};

/// How long to go on receiving when nothing else says when it is over.
const WAIT: Duration = Duration::from_secs(1);

/// Sends the input, writes what comes, and closes; also when it is interrupted.
pub(super) async fn talk(
    mut link: Link,
    input: Input,
    talk: &Talk,
    deadline: Option<Instant>,
    interrupt: impl Future<Output = ()>,
    printer: &mut Printer,
) -> Result<(), Failure> {
    let outlet = link.outlet();
    let mut goal = Goal::new(&talk.expect, talk.count);
    // Who sits at a terminal ends it.
    let at_once = input.is_terminal.then(Instant::now);
    let asked = Asked::default();
    let mut sending = pin!(send_all(&outlet, input, &asked));
    let mut interrupt = pin!(interrupt);
    let mut pings = pin!(ping(&outlet, talk.ping_interval));
    // What came of sending, once all is sent; and until when to go on receiving then.
    let mut sent: Option<Result<(), Failure>> = None;
    let mut end: Option<Instant> = None;
    let mut is_enough = false;
    loop {
        tokio::select! {
            result = &mut sending, if sent.is_none() => {
                match &result {
                    Ok(()) => end = at_once.or_else(|| last_moment(talk, &goal)),
                    Err(_) => link.close().await,
                }
                sent = Some(result);
            }
            event = link.next() => match event? {
                None => break,
                Some(Event::Message(_)) if goal.is_full() => continue,
                Some(event) => {
                    if let Event::Message(message) = &event {
                        goal.see(message);
                    }
                    let is_asked = asked.answers(&event);
                    if printer.event(&event, is_asked).is_err() {
                        // Nobody reads it: `| head -n 1`.
                        is_enough = true;
                    }
                }
            },
            () = at(end) => {
                end = None;
                is_enough = true;
            }
            () = at(deadline) => {
                let sentence = goal.missing();
                let sentence = sentence.unwrap_or_else(|| "it has not ended".to_owned());
                return Err(Failure::timeout(format!("{sentence} within --timeout")));
            }
            () = &mut interrupt, if !is_enough => is_enough = true,
            never = &mut pings => match never {},
        }
        let expects = !talk.expect.is_empty() || talk.count.is_some();
        if is_enough || expects && goal.is_met() && (sent.is_some() || goal.is_full()) {
            // What is not sent yet is not wanted any more.
            sent.get_or_insert(Ok(()));
            link.close().await;
        }
    }
    let closed = link.close_frame();
    if let Some((frame, by)) = &closed {
        // That nobody reads it is no error.
        let _ = printer.closed(frame, *by);
    }
    sent.unwrap_or(Ok(()))?;
    let by_server = closed.filter(|(_, by)| *by == Some(Side::Remote));
    judge(by_server.map(|(frame, _)| frame), &goal)
}

/// The pings that somebody has typed, until their pongs have come.
#[derive(Default)]
struct Asked(RefCell<Vec<Vec<u8>>>);

impl Asked {
    fn ping(&self, payload: &[u8]) {
        self.0.borrow_mut().push(payload.to_vec());
    }

    /// Whether this is the answer to one of them.
    fn answers(&self, event: &Event) -> bool {
        let mut pings = self.0.borrow_mut();
        match event {
            Event::Control(ControlFrame::Pong { payload, .. }) => {
                let found = pings.iter().position(|ping| ping == payload);
                found.map(|at| pings.swap_remove(at)).is_some()
            }
            Event::Lost { .. } => {
                pings.clear();
                false
            }
            _ => false,
        }
    }
}

/// What the end means, and the Close frame of a server that began to close.
fn judge(frame: Option<CloseFrame>, goal: &Goal<'_>) -> Result<(), Failure> {
    if let Some(frame) = frame.filter(|frame| !is_fine(frame.code)) {
        return Err(Failure::closed(&frame));
    }
    match goal.missing() {
        Some(sentence) => Err(Failure::new(ExitCode::Missed, sentence)),
        None => Ok(()),
    }
}

/// Until when to go on receiving, now that everything is sent.
fn last_moment(talk: &Talk, goal: &Goal<'_>) -> Option<Instant> {
    let wait = match &talk.wait {
        Some(wait) => wait.0,
        None if goal.is_met() => Some(WAIT),
        None => None,
    };
    wait.map(|wait| Instant::now() + wait)
}

async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => pending().await,
    }
}

/// Sends everything, and a close if that is asked for.
async fn send_all(outlet: &Outlet, input: Input, asked: &Asked) -> Result<(), Failure> {
    let is_terminal = input.is_terminal;
    for command in input.first {
        send(outlet, command).await?;
    }
    if let Some(mut lines) = input.lines {
        while let Some(command) = lines.recv().await {
            let command = command.map_err(|wrong| Failure::new(ExitCode::Failure, wrong))?;
            if let Command::Ping(payload) = &command
                && is_terminal
            {
                asked.ping(payload);
            }
            let is_close = matches!(command, Command::Close(..));
            if is_close {
                outlet.written(!is_terminal).await?;
            }
            send(outlet, command).await?;
            if is_close {
                return Ok(());
            }
        }
    }
    // Who has left the terminal does not wait for another connection.
    outlet.written(!is_terminal).await
}

async fn send(outlet: &Outlet, command: Command) -> Result<(), Failure> {
    let done = match &command {
        Command::Send(message) => return outlet.send(message.clone()).await,
        Command::Ping(payload) => outlet.ping(payload).await,
        Command::Pong(payload) => outlet.pong(payload).await,
        Command::Close(code, reason) => outlet.close(*code, reason).await,
    };
    done.map_err(|error| Failure::command(&command, error))
}

/// Sends pings for ever.
async fn ping(outlet: &Outlet, interval: Option<Duration>) -> Infallible {
    let Some(interval) = interval else {
        return pending().await;
    };
    let mut ticks = interval_at(Instant::now() + interval, interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut number = 0_u64;
    loop {
        ticks.tick().await;
        number += 1;
        // Each its own, so that their pongs can be told apart.
        outlet.ping_now(number.to_string().as_bytes()).await;
    }
}
