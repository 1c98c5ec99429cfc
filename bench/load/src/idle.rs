//! Connections that are opened, talk a little and then only stay: what they cost a server in memory. Nothing is timed to
//! the microsecond here, so that the load may be as simple as it can be.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::connection::Connection;
use crate::drive::{Opened, about};
use crate::handshakes::{close_frame, closed};
use crate::process::{cpu_time, memory};
use crate::sources::Sources;
use crate::traffic::Traffic;
use crate::{Cell, Kind, Plan, Result};

/// Connections that wait for a reply at once: what a server keeps is to be seen, not what a storm makes it take.
const AT_ONCE: usize = 64;
/// Longest time for the replies of so many.
const STALL: Duration = Duration::from_secs(10);
/// How often a server is looked at, whether it is still at work.
const LOOK: Duration = Duration::from_millis(100);
/// CPU time in one such time that counts as rest: runtimes have timers.
const REST: Duration = Duration::from_millis(2);
/// How many looks a server is given to come to rest.
const LOOKS: usize = 50;

/// Connections that are open and idle.
pub struct Idle {
    opened: Opened,
    kind: Kind,
}

/// What a server's connections cost it at one time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Memory {
    /// How many are open.
    pub connections: usize,
    /// The server's memory before the first, in bytes.
    pub before: u64,
    /// The same now.
    pub now: u64,
}

impl Memory {
    /// Bytes a connection. A server that needs less than before has given back what was not the connections'.
    pub fn per_connection(&self) -> f64 {
        self.now.saturating_sub(self.before) as f64 / self.connections as f64
    }
}

impl Idle {
    /// Opens `count` connections for messages of this kind as `plan` says, from `sources` or from where the kernel chooses.
    ///
    /// # Errors
    /// When one of them cannot be opened.
    pub fn open(plan: &Plan, kind: Kind, count: usize, sources: Option<Sources>) -> Result<Self> {
        Ok(Self {
            opened: Opened::new(plan, kind, count, 0, sources)?,
            kind,
        })
    }

    /// Sends a message of `size` bytes on each connection and takes it back, some connections at a time.
    ///
    /// # Errors
    /// When a reply is not the echo it should be, or does not come.
    pub fn echo(&mut self, size: usize) -> Result<()> {
        let cell = Cell {
            size,
            connections: self.opened.connections.len(),
            depth: 1,
            kind: self.kind,
        };
        let traffic = Traffic::new(cell, self.opened.agreed.as_ref());
        let count = self.opened.connections.len();
        for first in (0..count).step_by(AT_ONCE) {
            let some = first..count.min(first + AT_ONCE);
            for id in some.clone() {
                let connection = &mut self.opened.connections[id];
                connection.owe(1);
                connection
                    .send(&traffic)
                    .map_err(|error| about(id, &error))?;
            }
            let deadline = Instant::now() + STALL;
            while !self.opened.connections[some.clone()]
                .iter()
                .all(Connection::is_idle)
            {
                if Instant::now() > deadline {
                    return Err(format!("not all replies of {some:?} came in {STALL:?}").into());
                }
                self.move_on(&traffic)?;
            }
        }
        Ok(())
    }

    /// Closes each connection with a Close handshake.
    ///
    /// # Errors
    /// When something else than the server's Close frame comes, or that does not.
    pub fn close(self) -> Result<()> {
        for (id, connection) in self.opened.connections.into_iter().enumerate() {
            close(connection.stream.into_stream().into()).map_err(|error| about(id, &error))?;
        }
        Ok(())
    }

    fn move_on(&mut self, traffic: &Traffic) -> Result<()> {
        self.opened.poll(STALL)?;
        for event in &self.opened.events {
            let id = event.token().0;
            let connection = &mut self.opened.connections[id];
            connection
                .receive(traffic, &mut self.opened.buffer)
                .and_then(|_| connection.send(traffic))
                .map_err(|error| about(id, &error))?;
        }
        Ok(())
    }
}

fn close(mut stream: TcpStream) -> Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(STALL))?;
    stream.write_all(&close_frame())?;
    let mut came = Vec::new();
    while !closed(&came, true)? {
        let mut buffer = [0; 128];
        match stream.read(&mut buffer)? {
            0 => return Err("the server closed without a Close frame".into()),
            len => came.extend(&buffer[..len]),
        }
    }
    Ok(())
}

/// The memory that a server has once it is at rest.
///
/// # Errors
/// When it is gone, or goes on working for five seconds.
pub fn memory_at_rest(pid: u32) -> Result<u64> {
    let mut before = cpu_time(pid)?;
    for _ in 0..LOOKS {
        std::thread::sleep(LOOK);
        let now = cpu_time(pid)?;
        if now.saturating_sub(before) < REST {
            return memory(pid);
        }
        before = now;
    }
    Err(format!(
        "the server was still at work after {:?}",
        LOOK * LOOKS as u32
    )
    .into())
}
