//! The echo run: open the connections, warm up, measure a window, drain. One thread, polling without ever sleeping, so that
//! a server's send never pays for waking its client. When a window begins and ends is `window`'s business.

use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};

use crate::connection::Connection;
use crate::deflate::Agreed;
use crate::sources::Sources;
use crate::traffic::Traffic;
use crate::window::{Measurement, Phase, Plan, Window};
use crate::{Cell, Kind, Result, handshake};

/// Read at once at most; more than any server here sends in one turn of ours.
const READ_BUFFER: usize = 512 * 1024;

/// How far back a compressed message may refer.
const WINDOW: u64 = 32 << 10;

/// Connections that are open, and where their events come.
pub(crate) struct Opened {
    pub(crate) poll: Poll,
    pub(crate) events: Events,
    pub(crate) connections: Vec<Connection>,
    pub(crate) buffer: Vec<u8>,
    /// How messages are compressed, on all of them.
    pub(crate) agreed: Option<Agreed>,
}

impl Opened {
    /// Opens `count` connections for this kind of messages, one after the other, each of which owes its first `depth`
    /// messages. They come from `sources`, or from where the kernel chooses.
    pub(crate) fn new(
        plan: &Plan,
        kind: Kind,
        count: usize,
        depth: usize,
        mut sources: Option<Sources>,
    ) -> Result<Self> {
        let poll = Poll::new()?;
        let mut connections = Vec::with_capacity(count);
        let mut agreed = None;
        for id in 0..count {
            let (mut stream, now) =
                handshake::connect(plan.address, &plan.path, sources.as_mut(), kind)
                    .map_err(|error| about(id, &error))?;
            if id > 0 && now != agreed {
                return Err(about(
                    id,
                    &format!("it was answered {now:?}, those before it {agreed:?}").into(),
                ));
            }
            agreed = now;
            poll.registry().register(
                stream.source(),
                Token(id),
                Interest::READABLE | Interest::WRITABLE,
            )?;
            let connection = Connection::new(stream, plan.compares, id as u64, depth);
            connections.push(match agreed {
                Some(_) => connection.inflating(),
                None => connection,
            });
        }
        Ok(Self {
            agreed,
            poll,
            events: Events::with_capacity(count.clamp(64, 4096)),
            connections,
            buffer: vec![0; READ_BUFFER],
        })
    }

    /// Asks what is ready, and waits at most so long for something to be.
    pub(crate) fn poll(&mut self, wait: Duration) -> Result<()> {
        match self.poll.poll(&mut self.events, Some(wait)) {
            Err(error) if error.kind() != std::io::ErrorKind::Interrupted => Err(error.into()),
            _ => Ok(()),
        }
    }
}

/// Loads the server with `cell` as `plan` says and checks every reply.
///
/// # Errors
/// When a connection cannot be opened or closes, nothing comes for five seconds, or any reply is not the echo it should
/// be. A run with an error has no figures.
pub fn drive(plan: &Plan, cell: Cell) -> Result<Measurement> {
    let mut opened = Opened::new(plan, cell.kind, cell.connections, cell.depth, None)?;
    let traffic = Traffic::new(cell, opened.agreed.as_ref());
    let (mut compared, mut payload) = (0, 0);
    let deflates = cell.kind == Kind::Deflate;
    let full = deflates.then(|| cell.connections as u64 * (WINDOW / cell.size.max(1) as u64));
    let mut window = Window::new(plan, cell.connections * cell.depth).after(full.unwrap_or(0));
    loop {
        let now = Instant::now();
        let was = window.phase();
        if window.tick(now)? == Phase::Closed {
            let connections = &mut opened.connections;
            if was != Phase::Closed {
                connections.iter_mut().for_each(Connection::owe_no_more);
            } else if connections.iter().all(Connection::is_idle) {
                let measurement = window.measurement(compared)?;
                let plain = measurement.messages as f64 * cell.size as f64;
                return Ok(Measurement {
                    ratio: deflates.then(|| payload as f64 / plain),
                    agreed: opened.agreed.map(|agreed| agreed.to_string()),
                    ..measurement
                });
            }
        }
        opened.poll(Duration::ZERO)?;
        for event in &opened.events {
            let id = event.token().0;
            let connection = &mut opened.connections[id];
            let replies = connection
                .receive(&traffic, &mut opened.buffer)
                .map_err(|error| about(id, &error))?;
            if window.phase() == Phase::Open {
                payload += replies.payload;
            }
            if replies.completed > 0 {
                window.count(now, replies.completed);
                compared += replies.compared;
                if cell.depth == 1 {
                    window.took(connection.written_at().elapsed());
                }
                if window.phase() != Phase::Closed {
                    connection.owe(replies.completed as usize);
                }
            }
            connection
                .send(&traffic)
                .map_err(|error| about(id, &error))?;
        }
    }
}

/// The error of one connection, with its number.
pub(crate) fn about(id: usize, error: &crate::Error) -> crate::Error {
    format!("connection {id}: {error}").into()
}
