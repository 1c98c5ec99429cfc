//! What a server with the feature `tracing` says of its connections: each has a span, which is around
//! whatever is said while its request is judged and its handler runs. Each test runs in a process of
//! its own: what is listened to is remembered for a whole process, and not without races.

use crate::support::{Served, alone, serve, within};
use newswire::{Connector, Handshake, WebSocket};
use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tracing::Level;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::FmtSpan;

/// What was said on this thread, where the whole test runs.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<Vec<u8>>>);

impl Said {
    fn listen(&self, level: Level, spans: FmtSpan) -> DefaultGuard {
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(level)
            .with_span_events(spans)
            .with_writer(self.clone())
            .with_ansi(false)
            .without_time()
            .finish();
        tracing::subscriber::set_default(subscriber)
    }

    /// The lines of this library and of its handlers.
    fn lines(&self) -> Vec<String> {
        let said = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let ours = |line: &&str| line.contains("newswire") || line.contains("it::spans");
        said.lines().filter(ours).map(str::to_owned).collect()
    }

    /// Waits for a line with this in it.
    async fn wait_for(&self, part: &str) -> String {
        within(async {
            loop {
                if let Some(line) = self.lines().iter().find(|line| line.contains(part)) {
                    return line.clone();
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await
    }
}

impl Write for Said {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Said {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

async fn telling(mut ws: WebSocket) -> newswire::Result {
    tracing::info!("the handler begins");
    while let Some(message) = ws.recv().await? {
        ws.send(message).await?;
    }
    tracing::info!("the handler ends");
    Ok(())
}

async fn deciding(handshake: Handshake) -> newswire::Result {
    tracing::info!("the handler decides");
    telling(handshake.accept().await?).await
}

async fn serve_both() -> Served {
    serve(|server| {
        server
            .route("/told/{name}", telling)
            .route("/decided", deciding)
    })
    .await
}

/// Echoes so many messages and closes.
async fn echo(url: &str, messages: usize) -> String {
    let mut ws = newswire::connect(url).await.unwrap();
    for _ in 0..messages {
        ws.send("hello").await.unwrap();
        ws.recv().await.unwrap().unwrap();
    }
    ws.close(newswire::CloseCode::NORMAL, "").await.unwrap();
    assert!(matches!(ws.recv().await, Ok(None)));
    url.to_owned()
}

#[test]
fn what_a_handler_says_is_in_the_span_of_its_connection() {
    alone(
        module_path!(),
        "what_a_handler_says_is_in_the_span_of_its_connection",
        async {
            let said = Said::default();
            let _listening = said.listen(Level::DEBUG, FmtSpan::NEW | FmtSpan::CLOSE);
            let server = serve_both().await;
            within(echo(&server.url("/told/me?secret=1"), 1)).await;
            for part in ["the handler begins", "the handler ends", "connection ended"] {
                let line = said.wait_for(part).await;
                assert!(line.contains("connection{peer=127.0.0.1:"), "{line}");
                assert!(line.contains("path=/told/me}"), "{line}");
            }
            said.wait_for("close").await;
            let lines = said.lines();
            assert!(
                lines.iter().all(|line| !line.contains("secret")),
                "{lines:?}"
            );
        },
    );
}

#[test]
fn a_handler_that_decides_is_in_the_span_before_and_after() {
    alone(
        module_path!(),
        "a_handler_that_decides_is_in_the_span_before_and_after",
        async {
            let said = Said::default();
            let _listening = said.listen(Level::DEBUG, FmtSpan::NONE);
            let server = serve_both().await;
            within(echo(&server.url("/decided"), 1)).await;
            for part in [
                "the handler decides",
                "the handler begins",
                "the handler ends",
            ] {
                let line = said.wait_for(part).await;
                assert!(line.contains("path=/decided}"), "{line}");
            }
        },
    );
}

#[test]
fn a_refusal_is_in_the_span_of_what_was_asked_for() {
    alone(
        module_path!(),
        "a_refusal_is_in_the_span_of_what_was_asked_for",
        async {
            let said = Said::default();
            let _listening = said.listen(Level::DEBUG, FmtSpan::NONE);
            let server = serve_both().await;
            let refused = Connector::new().connect(&server.url("/nowhere")).await;
            assert!(refused.is_err());
            let line = said.wait_for("handshake refused").await;
            assert!(line.contains("connection{peer="), "{line}");
            assert!(line.contains("path=/nowhere}"), "{line}");
        },
    );
}

#[test]
fn nothing_is_said_of_a_message() {
    alone(module_path!(), "nothing_is_said_of_a_message", async {
        let said = Said::default();
        let _listening = said.listen(Level::TRACE, FmtSpan::NEW | FmtSpan::CLOSE);
        let server = serve_both().await;
        within(echo(&server.url("/told/few"), 1)).await;
        within(echo(&server.url("/told/many"), 100)).await;
        within(async {
            while said.lines().iter().filter(|l| l.contains("close")).count() < 2 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
        let lines = said.lines();
        let of = |name: &str| lines.iter().filter(|l| l.contains(name)).count();
        assert_eq!(of("/told/few"), of("/told/many"), "{lines:?}");
        assert!(of("/told/few") >= 4, "{lines:?}");
    });
}

#[test]
fn a_log_that_begins_at_info_has_no_spans() {
    alone(
        module_path!(),
        "a_log_that_begins_at_info_has_no_spans",
        async {
            let said = Said::default();
            let _listening = said.listen(Level::INFO, FmtSpan::NEW | FmtSpan::CLOSE);
            let server = serve_both().await;
            within(echo(&server.url("/told/me"), 1)).await;
            let line = said.wait_for("the handler ends").await;
            assert!(!line.contains("connection{"), "{line}");
        },
    );
}
