//! Sockets of the event interface, whose tasks run on a thread that stays.

use super::{SOON, TIMES, alive, alone, until_only};
use crate::support::{bad_server, serve_echo, within};
use newswire::event::{Options, ReadyState};
use std::time::Duration;
use tokio::time::sleep;

#[test]
fn a_socket_of_the_event_interface_may_be_dropped_in_any_state() {
    let name = "a_socket_of_the_event_interface_may_be_dropped_in_any_state";
    alone(module_path!(), name, async {
        let server = serve_echo().await;
        let url = server.url("/echo");
        let open = |url: &str| Options::new().open(url, ()).unwrap();
        // The first one starts the thread for the I/O of all, which stays.
        let stays = open(&url);
        while stays.ready_state() == ReadyState::Connecting {
            stays.dispatch_pending();
            sleep(Duration::from_millis(1)).await;
        }
        let before = alive();
        for state in ["new", "connecting", "open", "closing", "closed", "given up"] {
            let mut sockets = Vec::new();
            let mut serving = Vec::new();
            for _ in 0..TIMES {
                if state == "connecting" {
                    let (silent, server) = bad_server("silence").await;
                    sockets.push(open(&silent));
                    serving.push(server);
                } else {
                    sockets.push(open(&url));
                }
            }
            let reaches = async |wanted: ReadyState| {
                within(async {
                    while sockets.iter().any(|socket| socket.ready_state() != wanted) {
                        sleep(Duration::from_millis(1)).await;
                        sockets
                            .iter()
                            .for_each(|socket| _ = socket.dispatch_pending());
                    }
                })
                .await;
            };
            let close = || sockets.iter().for_each(|it| it.close(None, None).unwrap());
            match state {
                "connecting" => sleep(SOON).await,
                "open" => reaches(ReadyState::Open).await,
                "closing" => {
                    reaches(ReadyState::Open).await;
                    close();
                }
                "closed" => {
                    reaches(ReadyState::Open).await;
                    close();
                    reaches(ReadyState::Closed).await;
                }
                "given up" => close(),
                _ => {}
            }
            drop(sockets);
            for server in serving {
                within(server)
                    .await
                    .unwrap()
                    .expect("it has had the request");
            }
            until_only(&before, state).await;
        }
    });
}
