//! What is served over plain HTTP: the page, which is embedded, or a directory in its place.

use super::files::Root;
use axum::Router;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderName, StatusCode};
use axum::routing::{MethodRouter, get};

/// Only this server's own files, and connections to any WebSocket: the console lets people
/// choose where to connect.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                      connect-src ws: wss:; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'; require-trusted-types-for 'script'; \
                      trusted-types 'none'";

/// Path, type and content of a file of the page.
macro_rules! page {
    ($path:literal, $kind:expr, $file:literal) => {
        ($path, $kind, include_str!(concat!("../../page/", $file)))
    };
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

const FILES: &[(&str, &str, &str)] = &[
    page!("/", HTML, "index.html"),
    page!("/page.css", CSS, "page.css"),
    page!("/page.js", JAVASCRIPT, "page.js"),
    page!("/console.js", JAVASCRIPT, "console.js"),
    page!("/demo.js", JAVASCRIPT, "demo.js"),
    page!("/log.js", JAVASCRIPT, "log.js"),
    page!("/wire.js", JAVASCRIPT, "wire.js"),
    page!("/favicon.svg", SVG, "favicon.svg"),
];

pub(super) fn router(root: Option<Root>) -> Router {
    let router = Router::new().route("/healthz", text("ok\n"));
    if let Some(root) = root {
        return router.fallback_service(root.router());
    }
    let router = router.fallback((StatusCode::NOT_FOUND, "nothing is served at this path\n"));
    FILES.iter().fold(router, |router, (path, kind, content)| {
        router.route(path, file(kind, content))
    })
}

fn text(content: &'static str) -> MethodRouter {
    file("text/plain; charset=utf-8", content)
}

fn file(kind: &'static str, content: &'static str) -> MethodRouter {
    let headers: [(HeaderName, &str); 5] = [
        (CONTENT_TYPE, kind),
        (CACHE_CONTROL, "no-cache"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    get((headers, content))
}
