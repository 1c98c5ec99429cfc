//! `--metrics`: what the server counts, in Prometheus's text format. Counting is the library's.

use crate::process::Usage;
use axum::Router;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::routing::get;
use newswire::server::Metrics;
use std::fmt::{Display, Write};

/// <https://prometheus.io/docs/instrumenting/exposition_formats/>
const FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// `/metrics`, and nothing else.
pub(super) fn router(metrics: Metrics) -> Router {
    let answer = move || async move {
        let headers = [(CONTENT_TYPE, FORMAT), (CACHE_CONTROL, "no-store")];
        (headers, text(&metrics))
    };
    Router::new()
        .route("/metrics", get(answer))
        .fallback((StatusCode::NOT_FOUND, "metrics are at /metrics\n"))
}

fn text(metrics: &Metrics) -> String {
    let mut text = Text::default();
    text.gauge(
        "newswire_info",
        "The version of the server.",
        [(format!("{{version=\"{}\"}}", env!("CARGO_PKG_VERSION")), 1)],
    );
    text.counter(
        "newswire_connections_accepted_total",
        "Sockets that were accepted, whatever became of them.",
        one(metrics.accepted()),
    );
    text.counter(
        "newswire_websockets_opened_total",
        "WebSockets that were opened.",
        one(metrics.opened()),
    );
    text.gauge(
        "newswire_websockets_open",
        "WebSockets that are open.",
        one(metrics.open()),
    );
    text.counter(
        "newswire_websockets_closed_total",
        "WebSockets that have ended, by close code; 3000 and 4000 stand for their thousand.",
        labelled(
            "code",
            metrics
                .closed()
                .into_iter()
                .map(|(code, count)| (code.0, count)),
        ),
    );
    text.counter(
        "newswire_handshakes_refused_total",
        "Handshakes that were refused, by the kind of the reason.",
        labelled("reason", metrics.refused()),
    );
    text.counter(
        "newswire_messages_received_total",
        "Messages that have come.",
        one(metrics.messages_received()),
    );
    text.counter(
        "newswire_messages_sent_total",
        "Messages that were queued for sending.",
        one(metrics.messages_sent()),
    );
    text.counter(
        "newswire_received_bytes_total",
        "Bytes of frames that have come.",
        one(metrics.bytes_received()),
    );
    text.counter(
        "newswire_sent_bytes_total",
        "Bytes of frames that were written.",
        one(metrics.bytes_sent()),
    );
    text.gauge(
        "newswire_queued_bytes",
        "Bytes that wait to be written, on all connections together.",
        one(metrics.queued_bytes()),
    );
    text.counter(
        "newswire_handlers_failed_total",
        "Handlers that returned an error.",
        one(metrics.handlers_failed()),
    );
    text.counter(
        "newswire_handlers_panicked_total",
        "Handlers that panicked.",
        one(metrics.handlers_panicked()),
    );
    // The usual names for these.
    if let Some(usage) = Usage::own() {
        text.counter(
            "process_cpu_seconds_total",
            "User and system time of the process.",
            one(usage.cpu.as_secs_f64()),
        );
        text.gauge(
            "process_resident_memory_bytes",
            "Resident memory of the process.",
            one(usage.resident),
        );
    }
    text.0
}

/// A value without labels.
fn one<V>(value: V) -> [(String, V); 1] {
    [(String::new(), value)]
}

/// Values by one label. What is a label here is a number or a word of the program, so nothing in it
/// has to be escaped.
fn labelled<L: Display>(
    name: &str,
    values: impl IntoIterator<Item = (L, u64)>,
) -> impl Iterator<Item = (String, u64)> {
    let values = values.into_iter();
    values.map(move |(label, value)| (format!("{{{name}=\"{label}\"}}"), value))
}

/// The text format: for each metric its help, its type and its values.
#[derive(Default)]
struct Text(String);

impl Text {
    fn counter(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (String, impl Display)>,
    ) {
        self.add("counter", name, help, values);
    }

    fn gauge(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (String, impl Display)>,
    ) {
        self.add("gauge", name, help, values);
    }

    fn add(
        &mut self,
        kind: &str,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (String, impl Display)>,
    ) {
        let values = values.into_iter();
        let values = values.map(|(labels, value)| format!("{name}{labels} {value}\n"));
        write!(
            self.0,
            "# HELP {name} {help}\n# TYPE {name} {kind}\n{}",
            values.collect::<String>()
        )
        .expect("a string takes all");
    }
}
