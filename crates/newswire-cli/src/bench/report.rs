//! What a run's results are called: one structure, which is the JSON and of which the table is
//! made, and how its numbers are written for people.

use super::conduct::Outcome;
use super::plan::{Plan, Talk};
use super::tally::Tally;
use hdrhistogram::Histogram;
use serde::Serialize;

/// The results.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) version: &'static str,
    pub(super) load: &'static str,
    pub(super) url: String,
    pub(super) connections: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) slow_connections: Option<usize>,
    pub(super) threads: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) content: Option<ContentReport>,
    /// Seconds that were measured.
    pub(super) seconds: f64,
    pub(super) interrupted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) messages: Option<Messages>,
    pub(super) handshakes: Handshakes,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) compression: Option<CompressionReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) storm: Option<StormReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) server: Option<Server>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) load_generator: Option<LoadGenerator>,
    pub(super) errors: Errors,
}

/// What was sent.
#[derive(Debug, Serialize)]
pub(super) struct ContentReport {
    pub(super) size: u64,
    pub(super) kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) in_flight: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rate: Option<u64>,
}

/// Replies.
#[derive(Debug, Serialize)]
pub(super) struct Messages {
    pub(super) count: u64,
    pub(super) per_second: f64,
    /// Payload, in each direction.
    pub(super) bytes_per_second: f64,
    /// Messages without a reply.
    pub(super) lost: u64,
    pub(super) latency: Option<Latency>,
}

/// Connections.
#[derive(Debug, Serialize)]
pub(super) struct Handshakes {
    /// In the whole run.
    pub(super) opened: u64,
    /// In the time that was measured.
    pub(super) per_second: f64,
    /// From the start until all were ready.
    pub(super) ready_seconds: Option<f64>,
    /// Open when the measurement ended.
    pub(super) open: u64,
    pub(super) latency: Option<Latency>,
}

/// Seconds at percentiles.
#[derive(Debug, Serialize)]
pub(super) struct Latency {
    pub(super) count: u64,
    pub(super) min: f64,
    pub(super) mean: f64,
    pub(super) p50: f64,
    pub(super) p90: f64,
    pub(super) p99: f64,
    pub(super) p99_9: f64,
    pub(super) max: f64,
}

/// What compression made of all messages that came back, those of slow connections and those
/// before and after the time that counts among them.
#[derive(Debug, Serialize)]
pub(super) struct CompressionReport {
    /// The server's answer to the offer.
    pub(super) agreed: String,
    pub(super) sent: WireReport,
    pub(super) received: WireReport,
    /// The part of the replies that the server sent compressed.
    pub(super) replies_compressed: f64,
}

/// One direction's bytes, frame headers included.
#[derive(Debug, Serialize)]
pub(super) struct WireReport {
    pub(super) bytes_per_message: f64,
    /// Of the size of the messages; there is none for empty ones.
    pub(super) ratio: Option<f64>,
}

/// Drops and returns.
#[derive(Debug, Serialize)]
pub(super) struct StormReport {
    /// Seconds until all were back, by round.
    pub(super) recovery_seconds: Vec<f64>,
}

/// The server's process.
#[derive(Debug, Serialize)]
pub(super) struct Server {
    pub(super) cpu_seconds: f64,
    /// 1.0 is one core.
    pub(super) cpu_share: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) messages_per_cpu_second: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) handshakes_per_cpu_second: Option<f64>,
    pub(super) resident_bytes_before: u64,
    pub(super) resident_bytes: u64,
    /// Anonymous memory more than before the first connection, for each that is open.
    pub(super) bytes_per_connection: Option<f64>,
}

/// This process.
#[derive(Debug, Serialize)]
pub(super) struct LoadGenerator {
    pub(super) cpu_seconds: f64,
    pub(super) cpu_share: f64,
}

/// What went wrong.
#[derive(Debug, Serialize)]
pub(super) struct Errors {
    pub(super) count: u64,
    pub(super) first: Option<String>,
}

impl Latency {
    fn of(histogram: &Histogram<u64>) -> Option<Self> {
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1e9;
        (!histogram.is_empty()).then(|| Self {
            count: histogram.len(),
            min: histogram.min() as f64 / 1e9,
            mean: histogram.mean() / 1e9,
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p99_9: at(0.999),
            max: histogram.max() as f64 / 1e9,
        })
    }
}

impl CompressionReport {
    fn of(tally: &Tally, size: u64) -> Option<Self> {
        let (params, wire) = (tally.deflate?, tally.wire);
        if wire.messages == 0 {
            return None;
        }
        let each = |count: u64| count as f64 / wire.messages as f64;
        let direction = |bytes| WireReport {
            bytes_per_message: each(bytes),
            ratio: (size > 0).then(|| each(bytes) / size as f64),
        };
        Some(Self {
            agreed: params.to_string(),
            sent: direction(wire.sent),
            received: direction(wire.received),
            replies_compressed: each(wire.compressed),
        })
    }
}

impl Report {
    pub(super) fn new(plan: &Plan, outcome: &Outcome) -> Self {
        let tally = &outcome.tally;
        let seconds = outcome.seconds;
        let per = |count: u64, time: f64| if time > 0.0 { count as f64 / time } else { 0.0 };
        let share = |cpu: f64| match seconds {
            0.0 => 0.0,
            _ => cpu / outcome.usage_seconds,
        };
        let talks = !matches!(plan.talk, Talk::Nothing | Talk::Once { .. });
        let size = plan.content.size.as_u64();
        let server = outcome.server.map(|[before, began, ended]| {
            let cpu = ended.cpu.saturating_sub(began.cpu).as_secs_f64();
            let cpu_share = share(cpu);
            let more = ended.anonymous.saturating_sub(before.anonymous);
            Server {
                cpu_seconds: cpu,
                cpu_share,
                messages_per_cpu_second: talks.then(|| per(tally.messages, seconds * cpu_share)),
                handshakes_per_cpu_second: plan
                    .counts_handshakes()
                    .then(|| per(tally.handshakes, seconds * cpu_share)),
                resident_bytes_before: before.resident,
                resident_bytes: ended.resident,
                bytes_per_connection: (tally.open > 0 && matches!(plan.talk, Talk::Once { .. }))
                    .then(|| more as f64 / tally.open as f64),
            }
        });
        Self {
            version: env!("CARGO_PKG_VERSION"),
            load: plan.load,
            url: plan.uri.to_string(),
            connections: plan.connections,
            slow_connections: (plan.slow > 0).then_some(plan.slow),
            threads: plan.threads,
            content: (!matches!(plan.talk, Talk::Nothing)).then_some(ContentReport {
                size,
                kind: if plan.content.is_text() {
                    "text"
                } else {
                    "binary"
                },
                in_flight: match plan.talk {
                    Talk::Closed { in_flight } => Some(in_flight),
                    _ => None,
                },
                rate: match plan.talk {
                    Talk::Open { rate } => Some(rate),
                    _ => None,
                },
            }),
            seconds,
            interrupted: outcome.interrupted,
            messages: talks.then(|| Messages {
                count: tally.messages,
                per_second: per(tally.messages, seconds),
                bytes_per_second: per(tally.messages, seconds) * size as f64,
                lost: tally.lost,
                latency: Latency::of(&tally.latency),
            }),
            handshakes: Handshakes {
                opened: outcome.opened,
                per_second: per(tally.handshakes, seconds),
                ready_seconds: outcome.ready_seconds,
                open: tally.open,
                latency: Latency::of(&tally.handshake),
            },
            compression: CompressionReport::of(tally, size),
            storm: plan.storm.map(|_| StormReport {
                recovery_seconds: outcome.rounds.clone(),
            }),
            server,
            load_generator: outcome.own.map(|[began, ended]| {
                let cpu = ended.cpu.saturating_sub(began.cpu).as_secs_f64();
                LoadGenerator {
                    cpu_seconds: cpu,
                    cpu_share: share(cpu),
                }
            }),
            errors: Errors {
                count: outcome.errors,
                first: outcome.first_error.clone(),
            },
        }
    }

    /// The latency that the load is about.
    pub(super) fn latency(&self) -> Option<&Latency> {
        match &self.messages {
            Some(messages) => messages.latency.as_ref(),
            None => self.handshakes.latency.as_ref(),
        }
    }

    /// What the load is about, a second.
    pub(super) fn rate(&self) -> (f64, &'static str) {
        match &self.messages {
            Some(messages) => (messages.per_second, "messages"),
            None => (self.handshakes.per_second, "connections"),
        }
    }
}

/// A number with groups of three digits; below 100 with one after the point.
pub(super) fn rounded(number: f64) -> String {
    if number < 100.0 && number.fract() != 0.0 {
        return format!("{number:.1}");
    }
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (index, digit) in digits.char_indices() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Seconds with the unit that suits them and three digits.
pub(super) fn time_of(seconds: f64) -> String {
    let (value, unit) = match seconds {
        // Not "1000 µs", which is what the next value below would be rounded to.
        s if s < 0.9995e-3 => (s * 1e6, "µs"),
        s if s < 0.9995 => (s * 1e3, "ms"),
        s => (s, "s"),
    };
    let digits = match value {
        v if v < 10.0 => 2,
        v if v < 100.0 => 1,
        _ => 0,
    };
    format!("{value:.digits$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        for (number, text) in [
            (0.0, "0"),
            (12.34, "12.3"),
            (999.6, "1,000"),
            (1_234_567.0, "1,234,567"),
        ] {
            assert_eq!(rounded(number), text);
        }
        for (seconds, text) in [
            (0.000_042, "42.0 µs"),
            (0.001_234, "1.23 ms"),
            (0.2, "200 ms"),
            (1.5, "1.50 s"),
            (0.999_9, "1.00 s"),
        ] {
            assert_eq!(time_of(seconds), text);
        }
    }
}
