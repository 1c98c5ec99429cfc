//! Connections that come back: dropped in any state, and lost again and again.

use super::{TIMES, alive, alone, first, is_given_up, leaves_nothing, until_only};
use crate::support::{bad_server, echo, poll_at_most, serve, serve_echo, within};
use newswire::reconnect::{Event, Policy, Reconnecting};
use newswire::{CloseCode, Connector, WebSocket};
use std::future::pending;
use std::time::Duration;

fn slow() -> Policy {
    let hour = Duration::from_secs(3600);
    Policy::new().first_delay(hour).max_delay(hour)
}

async fn next(ws: &mut Reconnecting) -> Event {
    ws.recv().await.unwrap().expect("an event")
}

#[test]
fn a_connection_that_comes_back_may_be_dropped_in_any_state() {
    let name = "a_connection_that_comes_back_may_be_dropped_in_any_state";
    alone(module_path!(), name, async {
        let server = serve_echo().await;
        let url: &'static str = server.url("/echo").leak();
        let _stays = first(&Connector::new(), url).await;
        leaves_nothing("never asked", || async move {
            let ws = Connector::new().reconnecting(url, slow());
            ws.send("unsent").unwrap();
        })
        .await;
        leaves_nothing("waiting", || async {
            let mut ws = Connector::new().reconnecting("ws://127.0.0.1:1/", slow());
            assert!(matches!(next(&mut ws).await, Event::Waiting { .. }));
            is_given_up(ws.recv()).await;
        })
        .await;
        leaves_nothing("connecting", || async {
            let (url, serving) = bad_server("silence").await;
            let mut ws = Connector::new().reconnecting(&url, slow());
            is_given_up(ws.recv()).await;
            drop(ws);
            serving.await.unwrap().expect("it has had the request");
        })
        .await;
        leaves_nothing("in the hook", || async move {
            let stuck = slow().on_open(|_: WebSocket, _| pending());
            is_given_up(Connector::new().reconnecting(url, stuck).recv()).await;
        })
        .await;
        leaves_nothing("open", || async move {
            let mut ws = Connector::new().reconnecting(url, slow());
            assert!(matches!(next(&mut ws).await, Event::Open { .. }));
            is_given_up(ws.recv()).await;
        })
        .await;
        leaves_nothing("in the middle of a message", || async {
            let (url, serving) = bad_server("accepts and does not read").await;
            let mut ws = Connector::new().reconnecting(&url, slow());
            assert!(matches!(next(&mut ws).await, Event::Open { .. }));
            ws.send(vec![7; 8 << 20]).unwrap();
            is_given_up(ws.recv()).await;
            assert_eq!(ws.outbox().len(), 1);
            drop(ws);
            serving.await.unwrap().expect("it has had the request");
        })
        .await;
        leaves_nothing("closing", || async {
            let (url, serving) = bad_server("accepts and does not read").await;
            let mut ws = Connector::new().reconnecting(&url, slow());
            assert!(matches!(next(&mut ws).await, Event::Open { .. }));
            is_given_up(ws.close(CloseCode::NORMAL, "")).await;
            drop(ws);
            serving.await.unwrap().expect("it has had the request");
        })
        .await;
    });
}

#[test]
fn a_connection_that_comes_back_may_be_dropped_at_any_poll() {
    let name = "a_connection_that_comes_back_may_be_dropped_at_any_poll";
    alone(module_path!(), name, async {
        let server = serve_echo().await;
        let url = server.url("/echo");
        let _stays = first(&Connector::new(), &url).await;
        let before = alive();
        for polls in 0.. {
            let mut ws = Connector::new().reconnecting(&url, slow());
            ws.send("hello").unwrap();
            let echoed = async { while !matches!(next(&mut ws).await, Event::Message(_)) {} };
            if poll_at_most(polls, echoed).await.is_some() {
                assert!(polls > 3, "it comes at once");
                break;
            }
            assert!(polls < 100_000, "it never comes");
        }
        until_only(&before, "connections that come back").await;
    });
}

#[test]
fn connections_lost_again_and_again_leave_nothing_behind() {
    let name = "connections_lost_again_and_again_leave_nothing_behind";
    alone(module_path!(), name, async {
        async fn hang_up(_: WebSocket) -> newswire::Result {
            Err("it hangs up".into())
        }
        let server = serve(|server| server.route("/", hang_up).route("/echo", echo));
        let server = server.await;
        let _stays = first(&Connector::new(), &server.url("/echo")).await;
        let before = alive();
        let policy = Policy::new().first_delay(Duration::ZERO);
        let mut ws = Connector::new().reconnecting(&server.url("/"), policy);
        let mut opened = 0;
        while opened < 10 * TIMES {
            if let Event::Open { .. } = within(ws.recv()).await.unwrap().expect("an event") {
                opened += 1;
            }
            // Its own socket, the server's, and those of which the server awaits the end.
            let sockets = alive().sockets;
            assert!(sockets <= before.sockets + 6, "{sockets} sockets");
        }
        drop(ws);
        until_only(&before, "a connection that came back").await;
    });
}
