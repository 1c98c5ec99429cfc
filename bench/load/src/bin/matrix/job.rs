//! What can be asked of servers, and how one answers: a job is run once a round with a fresh server, and gives a figure
//! for each of its cells. The words that reports need for it are here too; what they say is `report`'s.

use clap::ValueEnum;
use load::{
    Cell, Idle, Kind, Measurement, Memory, Plan, Result, Server, drive, handshakes, memory_at_rest,
};
use serde::Serialize;

use crate::report::{bytes, thousands, three_figures};

/// Which matrix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Question {
    /// Messages that come back, per second of server CPU
    #[default]
    Echo,
    /// Connections opened and closed, per second of server CPU
    Handshakes,
    /// Memory of connections that idle
    Idle,
    /// Compressed messages that come back, per second of server CPU; their size, and what a connection keeps
    Deflate,
    /// Messages that come back over TLS, per second of server CPU
    Tls,
}

/// Opened first by `deflate`. A server that keeps more than `LARGE` for each of so many gets no more.
const FEW: usize = 500;
const LARGE: f64 = 64.0 * 1024.0;
/// What each connection of `deflate` exchanges before it idles.
pub(crate) const TALK: (usize, usize) = (10, 1 << 10);

/// The words of a question.
pub(crate) struct Words {
    /// Of the report and of the chart.
    pub(crate) title: &'static str,
    /// Of the chart, with its unit.
    pub(crate) chart: &'static str,
    /// What the cells are.
    pub(crate) cells: &'static str,
    /// Over the table of figures.
    pub(crate) figures: &'static str,
    /// How the base is set against a server, and what above 1 means.
    pub(crate) ratio: &'static str,
    /// Over the table of wall time, where there is one.
    pub(crate) wall: Option<&'static str>,
}

impl Question {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Handshakes => "handshakes",
            Self::Idle => "idle",
            Self::Deflate => "deflate",
            Self::Tls => "tls",
        }
    }

    /// The server that the others are compared with, if nobody says otherwise.
    pub(crate) fn base(self) -> &'static str {
        match self {
            Self::Deflate => "newswire_shared",
            Self::Tls => "newswire_tls",
            _ => "newswire",
        }
    }

    pub(crate) fn words(self) -> Words {
        match self {
            Self::Echo => Words {
                title: "Echo: messages per second of server CPU",
                chart: "Echo: thousand messages per second of server CPU (size x connections x in flight)",
                cells: "Cells are SIZExCONNECTIONSxDEPTH (messages in flight on each connection).",
                figures: "Thousand messages per second of server CPU",
                ratio: "{base} divided by the server, round by round: median, least to greatest. Above 1, {base} does \
                        more with the same CPU",
                wall: Some(
                    "## Thousand messages per second of wall time, and how busy the server's core was\n\n\
                     At depth 1 also the time from a write to its reply, in µs: median / 99th percentile.",
                ),
            },
            Self::Tls => Words {
                title: "Echo over TLS: messages per second of server CPU",
                chart: "Echo over TLS: thousand messages per second of server CPU (size x connections x in flight)",
                cells: "Cells are SIZExCONNECTIONSxDEPTH (messages in flight on each connection). All servers use rustls \
                        with ring, and one cipher: the first of both ends, AES-256-GCM in TLS 1.3. `rustls` is the \
                        floor: `raw` with TLS.",
                ..Self::Echo.words()
            },
            Self::Handshakes => Words {
                title: "Handshakes per second of server CPU",
                chart: "Thousand handshakes per second of server CPU",
                cells: "A handshake is a connection made, upgraded and closed with one Close handshake; so many are \
                        under way at a time.",
                figures: "Thousand handshakes per second of server CPU",
                ratio: "{base} divided by the server, round by round: median, least to greatest. Above 1, {base} does \
                        more with the same CPU",
                wall: Some(
                    "## Thousand handshakes per second of wall time, and how busy the server's core was\n\n\
                     Also the time from the beginning of a connection to its end, in µs: median / 99th percentile.",
                ),
            },
            Self::Idle => Words {
                title: "Memory of an idle connection",
                chart: "KiB of the server's memory for an idle connection (less is better)",
                cells: "Memory is `Pss_Anon` of the server's process (heap and stacks; neither files nor the kernel's \
                        sockets): its growth since before the first connection, divided by their number, once all \
                        are open, after each has echoed 128 B, and after each has then echoed 16 KiB.",
                figures: "Bytes a connection",
                ratio: "the server divided by {base}, round by round: median, least to greatest. Above 1, {base} \
                        needs less",
                wall: None,
            },
            Self::Deflate => Words {
                title: "permessage-deflate: messages per second of server CPU, their size, and memory",
                chart: "Compressed echo: thousand messages per second of server CPU (size x connections x in flight)",
                cells: "Cells are SIZExCONNECTIONSxDEPTH (messages in flight on each connection) of varied JSON: 257 \
                        messages, compressed each for itself and offered as browsers do. Replies are inflated and \
                        checked.",
                figures: "Thousand messages per second of server CPU",
                ratio: "{base} divided by the server, round by round: median, least to greatest. Above 1, {base} does \
                        more with the same CPU",
                wall: Some(
                    "## Thousand messages per second of wall time, and how busy the server's core was\n\n\
                     At depth 1 also the time from a write to its reply, in µs: median / 99th percentile.",
                ),
            },
        }
    }

    /// Whether the floor is one for it: it only moves bytes, does nothing to open connections well, and keeps nothing.
    pub(crate) fn has_floor(self) -> bool {
        matches!(self, Self::Echo | Self::Tls)
    }

    /// The server that shows what is possible, if nobody says otherwise.
    pub(crate) fn floor(self) -> &'static str {
        match self {
            Self::Tls => "rustls",
            _ => "raw",
        }
    }

    pub(crate) fn less_is_better(self) -> bool {
        self == Self::Idle
    }

    /// A figure as a table has it.
    pub(crate) fn figure(self, value: f64) -> String {
        match self {
            Self::Echo | Self::Handshakes | Self::Deflate | Self::Tls => thousands(value),
            Self::Idle => bytes(value),
        }
    }

    /// The same as a chart has it, where there is little room.
    pub(crate) fn chart_figure(self, value: f64) -> String {
        match self {
            Self::Echo | Self::Handshakes | Self::Deflate | Self::Tls => thousands(value),
            Self::Idle => three_figures(value / 1024.0),
        }
    }
}

/// What one run gave for one cell.
#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum Measured {
    Work(Measurement),
    Memory(Memory),
}

impl Measured {
    /// The figure that servers are compared by.
    pub(crate) fn figure(&self) -> Option<f64> {
        match self {
            Self::Work(work) => work.per_cpu_second(),
            // Nothing at all cannot be divided by.
            Self::Memory(memory) => Some(memory.per_connection().max(1.0)),
        }
    }

    pub(crate) fn work(&self) -> Option<&Measurement> {
        match self {
            Self::Work(work) => Some(work),
            Self::Memory(_) => None,
        }
    }

    pub(crate) fn memory(&self) -> Option<&Memory> {
        match self {
            Self::Work(_) => None,
            Self::Memory(memory) => Some(memory),
        }
    }
}

/// One thing to do with each server in each round.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Job {
    Echo(Cell),
    /// So many at a time.
    Handshakes(usize),
    /// So many connections.
    Idle(usize),
    /// So many connections, or a few at a server that keeps much for each.
    Talk(usize),
}

impl Job {
    /// The cells that it gives a figure for, in its order.
    pub(crate) fn cells(self) -> Vec<String> {
        match self {
            Self::Echo(cell) => vec![cell.to_string()],
            Self::Handshakes(at_a_time) => vec![format!("{at_a_time} at a time")],
            Self::Idle(connections) => ["open", "128 B echoed", "16 KiB echoed"]
                .map(|when| format!("{connections}, {when}"))
                .into(),
            Self::Talk(_) => vec!["memory".into()],
        }
    }

    /// Whether its figures are for the question's table and chart. Memory beside rates is not.
    pub(crate) fn has_column(self) -> bool {
        !matches!(self, Self::Talk(_))
    }

    /// In how many of the rounds it is done.
    pub(crate) fn rounds(self, rounds: u32) -> u32 {
        if self.has_column() {
            rounds
        } else {
            rounds.min(1)
        }
    }

    /// How many connections it has open at once.
    pub(crate) fn connections(self) -> usize {
        match self {
            Self::Echo(cell) => cell.connections,
            Self::Handshakes(connections) | Self::Idle(connections) | Self::Talk(connections) => {
                connections
            }
        }
    }

    /// Does it with a server that has just been started.
    pub(crate) fn run(self, plan: &Plan, server: &Server) -> Result<Vec<Measured>> {
        Ok(match self {
            Self::Echo(cell) => vec![Measured::Work(drive(plan, cell)?)],
            Self::Handshakes(at_a_time) => vec![Measured::Work(handshakes(plan, at_a_time)?)],
            Self::Idle(connections) => {
                let before = memory_at_rest(server.pid())?;
                let look = || -> Result<Measured> {
                    let now = memory_at_rest(server.pid())?;
                    Ok(Measured::Memory(Memory {
                        connections,
                        before,
                        now,
                    }))
                };
                let mut idle = Idle::open(plan, Kind::Binary, connections, None)?;
                let open = look()?;
                idle.echo(128)?;
                let small = look()?;
                idle.echo(16 << 10)?;
                vec![open, small, look()?]
            }
            Self::Talk(connections) => {
                let before = memory_at_rest(server.pid())?;
                let mut open = Vec::new();
                let mut talk = |count: usize| -> Result<Memory> {
                    let mut idle = Idle::open(plan, Kind::Deflate, count, None)?;
                    for _ in 0..TALK.0 {
                        idle.echo(TALK.1)?;
                    }
                    let connections = count + open.len() * FEW;
                    open.push(idle);
                    let now = memory_at_rest(server.pid())?;
                    Ok(Memory {
                        connections,
                        before,
                        now,
                    })
                };
                let mut memory = talk(connections.min(FEW))?;
                if connections > FEW && memory.per_connection() < LARGE {
                    memory = talk(connections - FEW)?;
                }
                vec![Measured::Memory(memory)]
            }
        })
    }
}
