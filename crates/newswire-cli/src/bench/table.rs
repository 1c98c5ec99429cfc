//! The results as a table for people.

use super::report::{CompressionReport, Latency, Report, WireReport, rounded, time_of};
use bytesize::ByteSize;

/// Lines of names and values.
pub(super) fn table(report: &Report) -> String {
    let mut rows: Vec<(&str, String)> = Vec::new();
    let mut row = |name, value| rows.push((name, value));
    row(
        "load",
        format!(
            "{}, {}{}",
            report.load,
            what(report),
            if report.interrupted {
                ", interrupted"
            } else {
                ""
            }
        ),
    );
    row("server", report.url.clone());
    if report.seconds > 0.0 {
        row("measured", time_of(report.seconds));
    }
    if let Some(messages) = &report.messages {
        row(
            "messages",
            format!(
                "{}, {}/s, {}/s of payload each way",
                rounded(messages.count as f64),
                rounded(messages.per_second),
                bytes(messages.bytes_per_second)
            ),
        );
        let asked = report.content.as_ref().and_then(|content| content.rate);
        if let Some(asked) = asked.filter(|asked| messages.per_second < *asked as f64 * 0.98) {
            row(
                "",
                format!(
                    "fewer than the {}/s that were asked for",
                    rounded(asked as f64)
                ),
            );
        }
        if let Some(latency) = &messages.latency {
            row("latency", percentiles(latency));
        }
    }
    if let Some(compression) = &report.compression {
        row("compression", compression.agreed.clone());
        row("", on_the_wire(compression));
    }
    let handshakes = &report.handshakes;
    let rate = if report.messages.is_none() && handshakes.per_second > 0.0 {
        format!(", {}/s", rounded(handshakes.per_second))
    } else {
        String::new()
    };
    let ready = handshakes
        .ready_seconds
        .filter(|_| rate.is_empty())
        .map_or(String::new(), |seconds| {
            format!(", all ready after {}", time_of(seconds))
        });
    row(
        "connections",
        format!(
            "{} opened{rate}, {} open at the end{ready}",
            rounded(handshakes.opened as f64),
            rounded(handshakes.open as f64)
        ),
    );
    if let Some(latency) = &handshakes.latency {
        row("handshake", percentiles(latency));
    }
    if let Some(storm) = &report.storm {
        let times: Vec<String> = storm
            .recovery_seconds
            .iter()
            .copied()
            .map(time_of)
            .collect();
        row("all back after", times.join(", "));
    }
    if let Some(server) = &report.server {
        if report.seconds > 0.0 {
            row("server CPU", share(server.cpu_seconds, server.cpu_share));
        }
        for (name, rate) in [
            ("messages", server.messages_per_cpu_second),
            ("handshakes", server.handshakes_per_cpu_second),
        ] {
            if let Some(rate) = rate {
                row("", format!("{} {name} per second of it", rounded(rate)));
            }
        }
        let each = server.bytes_per_connection.map_or(String::new(), |each| {
            format!(", {} for each connection", bytes(each))
        });
        row(
            "server memory",
            format!(
                "{} before, {} now{each}",
                bytes(server.resident_bytes_before as f64),
                bytes(server.resident_bytes as f64)
            ),
        );
    }
    if let Some(own) = report
        .load_generator
        .as_ref()
        .filter(|_| report.seconds > 0.0)
    {
        row("own CPU", share(own.cpu_seconds, own.cpu_share));
    }
    row(
        "errors",
        match &report.errors.first {
            None => "none".to_owned(),
            Some(first) => format!("{}, the first: {first}", report.errors.count),
        },
    );
    let lines: Vec<String> = rows
        .iter()
        .map(|(name, value)| format!("{name:<15} {value}").trim_end().to_owned())
        .collect();
    lines.join("\n")
}

/// What was done, in a few words.
pub(super) fn what(report: &Report) -> String {
    let mut words = format!("{} connections", rounded(report.connections as f64));
    if let Some(slow) = report.slow_connections {
        words += &format!(" and {} slow ones", rounded(slow as f64));
    }
    if let Some(content) = &report.content {
        if let Some(in_flight) = content.in_flight {
            words += &format!(", {in_flight} in flight");
        }
        if let Some(rate) = content.rate {
            words += &format!(", {}/s", rounded(rate as f64));
        }
        words += &format!(
            ", {} bytes of {}",
            rounded(content.size as f64),
            content.kind
        );
        if report.compression.is_some() {
            words += ", compressed";
        }
    }
    words
}

fn on_the_wire(compression: &CompressionReport) -> String {
    let direction = |name: &str, wire: &WireReport| {
        let percent = wire
            .ratio
            .map_or(String::new(), |ratio| format!(" ({:.0} %)", ratio * 100.0));
        format!("{} B {name}{percent}", rounded(wire.bytes_per_message))
    };
    let plain = match compression.replies_compressed {
        part if part < 1.0 => format!(", {:.0} % of the replies compressed", part * 100.0),
        _ => String::new(),
    };
    format!(
        "{}, {} for each message{plain}",
        direction("sent", &compression.sent),
        direction("received", &compression.received)
    )
}

fn percentiles(latency: &Latency) -> String {
    [
        ("p50", latency.p50),
        ("p90", latency.p90),
        ("p99", latency.p99),
        ("p99.9", latency.p99_9),
        ("max", latency.max),
    ]
    .map(|(name, seconds)| format!("{name} {}", time_of(seconds)))
    .join("  ")
}

fn share(seconds: f64, share: f64) -> String {
    format!("{}, {:.0} % of a core", time_of(seconds), share * 100.0)
}

fn bytes(count: f64) -> String {
    ByteSize(count as u64).to_string()
}
