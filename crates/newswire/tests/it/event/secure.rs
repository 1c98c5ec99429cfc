//! `wss:` with the certificates that the connector trusts.

use super::{Background, assert_fails, next_close, next_text, open, until_open};
use crate::support;
use crate::support::certificates::Localhost;
use newswire::Connector;
use newswire::event::{Event, Options};

#[test]
fn a_wss_url_is_connected_to_with_the_connectors_tls() {
    let localhost = Localhost::new();
    let server = Background::serve(|server| {
        let tls = localhost.server();
        server.route("/echo", support::echo).tls(tls)
    });
    let options = Options::new().connector(Connector::new().tls(localhost.client()));
    for scheme in ["wss://", "https://"] {
        let url = server.url("/echo").replace("ws://", scheme);
        let socket = options.open(&url, ()).unwrap();
        assert!(socket.url().starts_with("wss://"));
        until_open(&socket);
        socket.send("WebSocket rocks").unwrap();
        let Some(Event::Message(event)) = socket.next_event(super::PATIENCE) else {
            panic!("expected a message");
        };
        assert_eq!(event.origin, server.url("").replace("ws://", "wss://"));
        assert_eq!(socket.buffered_amount(), 0);
        socket.send("again").unwrap();
        assert_eq!(next_text(&socket), "again");
        socket.close(Some(1000), None).unwrap();
        assert_eq!(next_close(&socket), (true, 1000, String::new()));
    }
}

#[test]
fn a_certificate_that_nobody_trusts_fails_the_connection() {
    let localhost = Localhost::new();
    let server = Background::serve(|server| {
        let tls = localhost.server();
        server.route("/echo", support::echo).tls(tls)
    });
    let url = server.url("/echo").replace("ws://", "wss://");
    assert_fails(&open(&url));
    // And without TLS, the server is no server.
    assert_fails(&open(&server.url("/echo")));
}
