//! What clients leave behind that failed, were given up on their way, or came back: no task, no
//! socket and no thread. Each test runs in a process of its own, where nothing else is to be counted.
//! What the errors say is tested elsewhere.

use crate::support::{bad_server, echo, message, poll_at_most, serve, serve_echo, silent, within};
use newswire::reconnect::{Event, Policy, Reconnecting};
use newswire::{Config, Connector, WebSocket};
use std::fs;
use std::future::{Future, pending};
use std::process::Command;
use std::time::Duration;
use tokio::runtime::{Builder, Handle};
use tokio::task::JoinSet;
use tokio::time::sleep;

/// How often each thing is done, at the same time.
const TIMES: usize = 20;
const SOON: Duration = Duration::from_millis(100);

/// Runs the test called `name` in a process that runs nothing else: `test` there.
fn alone(name: &str, test: impl Future<Output = ()>) {
    const IS_ALONE: &str = "NEWSWIRE_TEST_IS_ALONE";
    if std::env::var_os(IS_ALONE).is_some() {
        let runtime = Builder::new_current_thread().enable_all().build();
        return runtime.unwrap().block_on(test);
    }
    let this = std::env::current_exe().unwrap();
    let mut command = Command::new(this);
    command.args([&format!("left_behind::{name}"), "--exact", "--nocapture"]);
    let output = command.env(IS_ALONE, "1").output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && told.contains("1 passed"),
        "{told}{errors}"
    );
}

/// What is there in this process.
#[derive(Debug, PartialEq, Eq)]
struct Alive {
    tasks: usize,
    sockets: usize,
    threads: usize,
}

fn alive() -> Alive {
    let files = fs::read_dir("/proc/self/fd").unwrap();
    // What is closed meanwhile is not there any more.
    let links = files.filter_map(|file| fs::read_link(file.unwrap().path()).ok());
    Alive {
        tasks: Handle::current().metrics().num_alive_tasks(),
        sockets: links
            .filter(|link| link.to_string_lossy().starts_with("socket:"))
            .count(),
        threads: fs::read_dir("/proc/self/task").unwrap().count(),
    }
}

/// Waits until what there is, is what there was. The other ends need a moment to notice.
async fn until_only(before: &Alive, what: &str) {
    let mut found = alive();
    for _ in 0..500 {
        if found == *before {
            return;
        }
        sleep(Duration::from_millis(10)).await;
        found = alive();
    }
    panic!("{what} left {found:?}, and before it was {before:?}");
}

/// Does it many times at once, and then nothing is left of it.
async fn leaves_nothing<F>(what: &str, mut begin: impl FnMut() -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let before = alive();
    let mut all: JoinSet<()> = (0..TIMES).map(|_| begin()).collect();
    while let Some(done) = within(all.join_next()).await {
        done.unwrap();
    }
    until_only(&before, what).await;
}

/// A connection that stays, and with it the one task that tells a server's connections the time.
async fn first(connector: &Connector, url: &str) -> WebSocket {
    let mut ws = within(connector.connect(url)).await.unwrap();
    within(ws.send("hello")).await.unwrap();
    assert_eq!(message(&mut ws).await, "hello".into());
    ws
}

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
    alone("a_server_that_misbehaves_leaves_nothing_behind", async {
        for how in BAD {
            leaves_nothing(how, || fails(how)).await;
        }
    });
}

/// Gives up after a while.
async fn is_given_up(future: impl Future) {
    let given_up = tokio::time::timeout(SOON, future).await;
    assert!(given_up.is_err(), "it was over before");
}

#[test]
fn a_connect_that_is_given_up_at_any_step_leaves_nothing_behind() {
    let name = "a_connect_that_is_given_up_at_any_step_leaves_nothing_behind";
    alone(name, async {
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
    alone(name, async {
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

    let name = "tls_that_fails_or_is_given_up_leaves_nothing_behind";
    alone(name, async {
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

#[cfg(feature = "proxy")]
#[test]
fn a_proxy_that_fails_or_is_given_up_leaves_nothing_behind() {
    let name = "a_proxy_that_fails_or_is_given_up_leaves_nothing_behind";
    alone(name, async {
        for (scheme, how) in [("http", "babble"), ("http", "mute"), ("socks5h", "mute")] {
            leaves_nothing(how, || async move {
                for gives_up in [false, true] {
                    let (url, serving) = bad_server(how).await;
                    let proxy = newswire::Proxy::all(&url.replace("ws:", &format!("{scheme}:")));
                    let proxy = proxy.unwrap();
                    if gives_up {
                        let connector = Connector::new().proxy(proxy);
                        let connect = connector.connect("ws://somewhere.test/");
                        let _ = tokio::time::timeout(SOON / 2, connect).await;
                    } else {
                        let connector = impatient().proxy(proxy);
                        let error = connector.connect("ws://somewhere.test/").await;
                        assert_eq!(error.unwrap_err().step(), newswire::Step::Proxy);
                    }
                    let _ = serving.await.unwrap();
                }
            })
            .await;
        }
    });
}

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
    alone(name, async {
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
            is_given_up(ws.close(newswire::CloseCode::NORMAL, "")).await;
            drop(ws);
            serving.await.unwrap().expect("it has had the request");
        })
        .await;
    });
}

#[test]
fn a_connection_that_comes_back_may_be_dropped_at_any_poll() {
    let name = "a_connection_that_comes_back_may_be_dropped_at_any_poll";
    alone(name, async {
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
    alone(name, async {
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

#[cfg(feature = "event")]
#[test]
fn a_socket_of_the_event_interface_may_be_dropped_in_any_state() {
    use newswire::event::{Options, ReadyState};

    let name = "a_socket_of_the_event_interface_may_be_dropped_in_any_state";
    alone(name, async {
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
