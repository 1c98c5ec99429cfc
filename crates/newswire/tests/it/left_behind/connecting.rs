//! One connection: servers and proxies that misbehave, and a user that gives up.

use super::{SOON, alive, alone, first, is_given_up, leaves_nothing, until_only};
use crate::support::{bad_server, poll_at_most, serve_echo, silent};
use newswire::{CloseCode, Config, Connector};
use std::future::pending;

fn impatient() -> Connector {
    Connector::new().config(Config::new().handshake_timeout(SOON))
}

/// What a bad server does once it has the whole request.
const BAD: [&str; 17] = [
    "garbage",
    "another protocol",
    "half and the end",
    "nothing and the end",
    "half and silence",
    "silence",
    "endless header",
    "endless headers",
    "endless patience",
    "64 KiB of redirect",
    "64 KiB of redirects",
    "wrong accept",
    "a page",
    "a refusal in chunks",
    "an endless refusal",
    "a refusal without its body",
    "masked frames",
];

async fn fails(how: &'static str) {
    let (url, serving) = bad_server(how).await;
    let connector = match how {
        // They come one after the other, and are to be seen to their end.
        "64 KiB of redirects" => Connector::new(),
        _ => impatient(),
    };
    match connector.connect(&url).await {
        Ok(mut ws) => assert!(how == "masked frames" && ws.recv().await.is_err()),
        Err(_) => assert_ne!(how, "masked frames"),
    }
    // It has seen the end.
    let _ = serving.await.unwrap();
}

#[test]
fn a_server_that_misbehaves_leaves_nothing_behind() {
    alone(
        module_path!(),
        "a_server_that_misbehaves_leaves_nothing_behind",
        async {
            for how in BAD {
                leaves_nothing(how, || fails(how)).await;
            }
        },
    );
}

#[test]
fn a_connect_that_is_given_up_at_any_step_leaves_nothing_behind() {
    let name = "a_connect_that_is_given_up_at_any_step_leaves_nothing_behind";
    alone(module_path!(), name, async {
        leaves_nothing("DNS", || async {
            let connector = Connector::new().resolver(|_: String, _: u16| pending());
            is_given_up(connector.connect("ws://slow.test/")).await;
        })
        .await;
        let (address, _waiting, _listener) = silent().await;
        leaves_nothing("TCP", || async move {
            is_given_up(Connector::new().connect(&format!("ws://{address}/"))).await;
        })
        .await;
        leaves_nothing("two addresses", || async move {
            let connector = Connector::new().resolver(move |_: String, _: u16| async move {
                Ok(vec![address, (address.ip(), 1).into()])
            });
            is_given_up(connector.connect("ws://slow.test/")).await;
        })
        .await;
        for how in [
            "silence",
            "half and silence",
            "a refusal without its body",
            "endless patience",
            "silence behind a redirect",
        ] {
            leaves_nothing(how, || async move {
                let (url, serving) = bad_server(how).await;
                is_given_up(Connector::new().connect(&url)).await;
                serving.await.unwrap().expect("it has had the request");
            })
            .await;
        }
    });
}

#[test]
fn an_open_connection_that_is_dropped_in_the_middle_leaves_nothing_behind() {
    let name = "an_open_connection_that_is_dropped_in_the_middle_leaves_nothing_behind";
    alone(module_path!(), name, async {
        for what in ["receiving", "sending", "flushing", "closing"] {
            leaves_nothing(what, || async move {
                let (url, serving) = bad_server("accepts and does not read").await;
                let mut ws = Connector::new().connect(&url).await.unwrap();
                let large = vec![7; 8 << 20];
                match what {
                    "receiving" => is_given_up(ws.recv()).await,
                    "sending" => is_given_up(ws.send(large)).await,
                    "flushing" => {
                        is_given_up(ws.send(large)).await;
                        is_given_up(ws.flush()).await;
                    }
                    _ => is_given_up(ws.close(CloseCode::NORMAL, "")).await,
                }
                drop(ws);
                serving.await.unwrap().expect("it has had the request");
            })
            .await;
        }
    });
}

/// Connects and gives up after so many polls, with more of them each time, until it is fast enough.
async fn is_given_up_at_each_poll(connector: &Connector, url: &str) {
    let mut polls = 0;
    while poll_at_most(polls, connector.connect(url)).await.is_none() {
        polls += 1;
        assert!(polls < 100_000, "it never connects");
    }
    assert!(polls > 2, "it connects at once");
}

#[test]
fn a_connect_that_is_given_up_at_any_poll_leaves_nothing_behind() {
    let name = "a_connect_that_is_given_up_at_any_poll_leaves_nothing_behind";
    alone(module_path!(), name, async {
        let server = serve_echo().await;
        let _stays = first(&Connector::new(), &server.url("/echo")).await;
        let before = alive();
        is_given_up_at_each_poll(&Connector::new(), &server.url("/echo")).await;
        until_only(&before, "connects that were given up").await;
    });
}

#[cfg(feature = "rustls")]
#[test]
fn tls_that_fails_or_is_given_up_leaves_nothing_behind() {
    use crate::support::certificates::Localhost;
    use crate::support::{echo, serve};

    let name = "tls_that_fails_or_is_given_up_leaves_nothing_behind";
    alone(module_path!(), name, async {
        let localhost = Localhost::new();
        let impatient = impatient().tls(localhost.client());
        let patient = Connector::new().tls(localhost.client());
        for how in ["mute", "babble"] {
            leaves_nothing(how, || {
                let connector = impatient.clone();
                async move {
                    let (url, serving) = bad_server(how).await;
                    let error = connector.connect(&url.replace("ws:", "wss:")).await;
                    assert_eq!(error.unwrap_err().step(), newswire::Step::Tls);
                    let _ = serving.await.unwrap();
                }
            })
            .await;
        }
        leaves_nothing("TLS", || {
            let connector = patient.clone();
            async move {
                let (url, serving) = bad_server("mute").await;
                is_given_up(connector.connect(&url.replace("ws:", "wss:"))).await;
                serving.await.unwrap().expect("it was connected to");
            }
        })
        .await;
        let server = serve(|server| server.tls(localhost.server()).route("/echo", echo));
        let server = server.await;
        let url = server.url("/echo").replace("ws:", "wss:");
        let _stays = first(&patient, &url).await;
        let before = alive();
        is_given_up_at_each_poll(&patient, &url).await;
        until_only(&before, "TLS that was given up").await;
    });
}

/// A bad server where a proxy should be.
#[cfg(feature = "proxy")]
async fn proxy(
    scheme: &str,
    how: &'static str,
) -> (
    newswire::Proxy,
    tokio::task::JoinHandle<std::io::Result<()>>,
) {
    let (url, serving) = bad_server(how).await;
    let url = url.replace("ws:", &format!("{scheme}:"));
    (newswire::Proxy::all(&url).unwrap(), serving)
}

#[cfg(feature = "proxy")]
#[test]
fn a_proxy_that_fails_or_is_given_up_leaves_nothing_behind() {
    let name = "a_proxy_that_fails_or_is_given_up_leaves_nothing_behind";
    alone(module_path!(), name, async {
        for (scheme, how) in [
            ("http", "babble"),
            ("http", "mute"),
            ("socks5h", "babble"),
            ("socks5h", "mute"),
        ] {
            leaves_nothing(how, || async move {
                let (proxy, serving) = proxy(scheme, how).await;
                let connector = impatient().proxy(proxy);
                let error = connector.connect("ws://somewhere.test/").await;
                assert_eq!(error.unwrap_err().step(), newswire::Step::Proxy);
                let _ = serving.await.unwrap();
            })
            .await;
        }
        for scheme in ["http", "socks5h"] {
            leaves_nothing(scheme, || async move {
                let (proxy, serving) = proxy(scheme, "mute").await;
                let connector = Connector::new().proxy(proxy);
                is_given_up(connector.connect("ws://somewhere.test/")).await;
                serving.await.unwrap().expect("it was connected to");
            })
            .await;
        }
    });
}
