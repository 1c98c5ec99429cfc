//! An open connection, from the first message to the close: sends and receives at the same time,
//! and knows when it is over.

use super::expect::Goal;
use super::failure::Failure;
use super::format::Command;
use super::input::Input;
use super::options::Talk;
use super::printer::Printer;
use crate::exit_code::ExitCode;
use newswire::{CloseCode, CloseFrame, CommandError, Message, SendError, Sender, Side, WebSocket};
use std::future::pending;
use std::pin::pin;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until};

/// How long to go on receiving when nothing else says when it is over.
const WAIT: Duration = Duration::from_secs(1);

/// Sends the input, writes what comes, and closes; also when it is interrupted.
pub(super) async fn talk(
    mut ws: WebSocket,
    input: Input,
    talk: &Talk,
    deadline: Option<Instant>,
    interrupt: impl Future<Output = ()>,
    printer: &mut Printer,
) -> Result<(), Failure> {
    let sender = ws.sender();
    let mut goal = Goal::new(&talk.expect, talk.count);
    // Who sits at a terminal ends it.
    let at_once = input.is_terminal.then(Instant::now);
    let mut sending = pin!(send_all(&sender, input));
    let mut interrupt = pin!(interrupt);
    let mut pings = pin!(ping(&sender, talk.ping_interval));
    // What came of sending, once all is sent; and until when to go on receiving then.
    let mut sent: Option<Result<(), Failure>> = None;
    let mut end: Option<Instant> = None;
    let mut is_enough = false;
    loop {
        tokio::select! {
            result = &mut sending, if sent.is_none() => {
                match &result {
                    Ok(()) => end = at_once.or_else(|| last_moment(talk, &goal)),
                    Err(_) => close(&sender).await,
                }
                sent = Some(result);
            }
            received = ws.recv() => match received? {
                None => break,
                Some(_) if goal.is_full() => continue,
                Some(message) => {
                    goal.see(&message);
                    if printer.message(&message).is_err() {
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
            close(&sender).await;
        }
    }
    let frame = ws.close_frame();
    if let Some(frame) = &frame {
        // That nobody reads it is no error.
        let _ = printer.closed(frame, ws.closed_by());
    }
    sent.unwrap_or(Ok(()))?;
    judge(
        frame.filter(|_| ws.closed_by() == Some(Side::Remote)),
        &goal,
    )
}

/// What the end means, and the Close frame of a server that began to close.
fn judge(frame: Option<CloseFrame>, goal: &Goal<'_>) -> Result<(), Failure> {
    // A Close frame without a code is a close like any other.
    const FINE: [CloseCode; 3] = [
        CloseCode::NORMAL,
        CloseCode::GOING_AWAY,
        CloseCode::NO_STATUS,
    ];
    if let Some(frame) = frame.filter(|frame| !FINE.contains(&frame.code)) {
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

async fn close(sender: &Sender) {
    // When it is closing already, that is as good.
    let _ = sender.close(CloseCode::NORMAL, "").await;
}

/// Sends everything, and a close if that is asked for.
async fn send_all(sender: &Sender, input: Input) -> Result<(), Failure> {
    for command in input.first {
        send(sender, command).await?;
    }
    if let Some(mut lines) = input.lines {
        while let Some(command) = lines.recv().await {
            let command = command.map_err(|wrong| Failure::new(ExitCode::Failure, wrong))?;
            let is_close = matches!(command, Command::Close(..));
            send(sender, command).await?;
            if is_close {
                break;
            }
        }
    }
    Ok(())
}

async fn send(sender: &Sender, command: Command) -> Result<(), Failure> {
    let done = match &command {
        Command::Send(message) => return send_message(sender, message.clone()).await,
        Command::Ping(payload) => sender.ping(payload).await,
        Command::Close(code, reason) => match sender.close(*code, reason.as_str()).await {
            Err(CommandError::Closing) => Ok(()),
            done => done,
        },
    };
    done.map_err(|error| Failure::command(&command, error))
}

async fn send_message(sender: &Sender, message: Message) -> Result<(), Failure> {
    match sender.send(message).await {
        Err(SendError::Closed(_)) => Err(Failure::new(
            ExitCode::Failure,
            "not everything was sent: the connection was closed before",
        )),
        done => Ok(done?),
    }
}

/// Sends pings for ever.
async fn ping(sender: &Sender, interval: Option<Duration>) -> std::convert::Infallible {
    let Some(interval) = interval else {
        return pending().await;
    };
    let mut ticks = interval_at(Instant::now() + interval, interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        // A connection that is closing needs none.
        let _ = sender.ping(b"").await;
    }
}
