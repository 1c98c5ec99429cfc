//! What the examples share: their pages, and the time of day. No WebSocket is opened here.

#![allow(dead_code, reason = "not every example needs all of it")]

use axum::Router;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::routing::{MethodRouter, get};
use std::time::{SystemTime, UNIX_EPOCH};

/// Nothing but these files, and connections to the server that they come from.
const POLICY: &str = "default-src 'self'; img-src data:";

/// The page of an example, at `path`, with what all pages look like and do.
pub(crate) fn pages(path: &str, html: &'static str) -> Router {
    Router::new()
        .route(path, file("text/html", html))
        .route("/page.css", file("text/css", include_str!("page.css")))
        .route("/page.js", file("text/javascript", include_str!("page.js")))
}

fn file(kind: &'static str, content: &'static str) -> MethodRouter {
    let kind = format!("{kind}; charset=utf-8");
    get((
        [
            (CONTENT_TYPE, kind),
            (CONTENT_SECURITY_POLICY, POLICY.to_owned()),
        ],
        content,
    ))
}

/// The address to listen on: the first argument, or the usual one.
pub(crate) fn address(usual: &str) -> String {
    std::env::args().nth(1).unwrap_or_else(|| usual.to_owned())
}

/// The time of day, such as `09:05:00 UTC`.
pub(crate) fn time() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let seconds = since.unwrap_or_default().as_secs();
    let (hours, minutes) = (seconds / 3600 % 24, seconds / 60 % 60);
    format!("{hours:02}:{minutes:02}:{:02} UTC", seconds % 60)
}

/// Ready when Ctrl-C is pressed.
pub(crate) async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        // Then the process ends by itself.
        std::future::pending().await
    }
}
