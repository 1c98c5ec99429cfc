//! Proxies on a client's way: HTTP CONNECT and SOCKS 5, what they are asked for, and what is said
//! when they do not let it through.

use crate::support::{Served, message, serve_echo, within};
use newswire::{Config, ConnectError, Connector, Proxy, Step};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// A proxy that knows one server, which all names stand for.
struct Middle {
    addr: SocketAddr,
    /// What it was asked, as it came.
    asked: Arc<Mutex<Vec<String>>>,
    serving: JoinHandle<()>,
}

impl Middle {
    async fn new<F>(
        serve: impl Fn(TcpStream, Arc<Mutex<Vec<String>>>) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = io::Result<()>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        let serving = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, Arc::clone(&seen)));
            }
        });
        Self {
            addr,
            asked,
            serving,
        }
    }

    /// An HTTP proxy that answers CONNECT with `answer`, and lets through what it answers with 200.
    async fn http(server: SocketAddr, answer: &'static str) -> Self {
        Self::new(move |mut stream, asked| async move {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                stream.read_buf(&mut request).await?;
            }
            asked
                .lock()
                .unwrap()
                .push(String::from_utf8(request).unwrap());
            stream.write_all(answer.as_bytes()).await?;
            pass(stream, server, answer.contains(" 200 ")).await
        })
        .await
    }

    /// A SOCKS 5 proxy that answers with the code `reply`, and lets through with 0.
    async fn socks(server: SocketAddr, reply: u8) -> Self {
        Self::new(move |mut stream, asked| async move {
            let mut methods = [0; 2];
            stream.read_exact(&mut methods).await?;
            let mut offered = vec![0; methods[1].into()];
            stream.read_exact(&mut offered).await?;
            // RFC 1929: name and password, when they are offered.
            let method = if offered.contains(&2) { 2 } else { 0 };
            stream.write_all(&[5, method]).await?;
            let mut told = String::new();
            if method == 2 {
                assert_eq!(stream.read_u8().await?, 1);
                let (user, password) = (text(&mut stream).await?, text(&mut stream).await?);
                told = format!("{user}/{password}@");
                stream.write_all(&[1, 0]).await?;
            }
            let mut head = [0; 4];
            stream.read_exact(&mut head).await?;
            assert_eq!(head[..3], [5, 1, 0]);
            told += &match head[3] {
                1 => Ipv4Addr::from(stream.read_u32().await?).to_string(),
                3 => text(&mut stream).await?,
                other => panic!("{other}"),
            };
            let port = stream.read_u16().await?;
            asked.lock().unwrap().push(format!("{told}:{port}"));
            stream
                .write_all(&[5, reply, 0, 1, 0, 0, 0, 0, 0, 0])
                .await?;
            pass(stream, server, reply == 0).await
        })
        .await
    }

    fn url(&self, scheme: &str) -> String {
        format!("{scheme}://{}", self.addr)
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Middle {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn text(stream: &mut TcpStream) -> io::Result<String> {
    let mut text = vec![0; stream.read_u8().await?.into()];
    stream.read_exact(&mut text).await?;
    Ok(String::from_utf8(text).unwrap())
}

async fn pass(mut stream: TcpStream, server: SocketAddr, lets_through: bool) -> io::Result<()> {
    if lets_through {
        let mut server = TcpStream::connect(server).await?;
        copy_bidirectional(&mut stream, &mut server).await?;
    }
    Ok(())
}

fn through(url: &str) -> Connector {
    Connector::new().proxy(Proxy::all(url).unwrap())
}

/// That what is sent to `url` comes back.
async fn assert_echoes(connector: &Connector, url: &str) {
    let mut ws = within(connector.connect(url)).await.unwrap();
    within(ws.send("through it")).await.unwrap();
    assert_eq!(message(&mut ws).await, "through it".into());
}

const ESTABLISHED: &str = "HTTP/1.1 200 Connection established\r\nContent-Length: 3\r\n\r\n";

#[tokio::test]
async fn an_http_proxy_is_asked_for_a_tunnel_with_the_servers_name_and_port() {
    let server = serve_echo().await;
    let proxy = Middle::http(server.addr, ESTABLISHED).await;
    // No resolver knows this name.
    assert_echoes(&through(&proxy.url("http")), "ws://only-there.test/echo").await;
    let url = format!("http://name:p%40ss@{}", proxy.addr);
    assert_echoes(&through(&url), "ws://[::5]:8080/echo").await;
    let [plain, known] = &proxy.asked()[..] else {
        panic!("{:?}", proxy.asked());
    };
    assert!(
        plain.starts_with("CONNECT only-there.test:80 HTTP/1.1\r\n"),
        "{plain}"
    );
    assert!(
        plain.contains("\r\nHost: only-there.test:80\r\n"),
        "{plain}"
    );
    assert!(!plain.contains("Proxy-Authorization"), "{plain}");
    assert!(
        known.starts_with("CONNECT [::5]:8080 HTTP/1.1\r\n"),
        "{known}"
    );
    // "name:p@ss"
    assert!(
        known.contains("\r\nProxy-Authorization: Basic bmFtZTpwQHNz\r\n"),
        "{known}"
    );
}

#[tokio::test]
async fn what_is_excepted_is_reached_without_the_proxy() {
    let server = serve_echo().await;
    let proxy = Middle::http(server.addr, ESTABLISHED).await;
    let rules = Proxy::all(&proxy.url("http"))
        .unwrap()
        .except("127.0.0.0/8");
    assert_echoes(&Connector::new().proxy(rules), &server.url("/echo")).await;
    assert_echoes(
        &through(&proxy.url("http")).proxy(Proxy::none()),
        &server.url("/echo"),
    )
    .await;
    assert_eq!(proxy.asked().len(), 0);
    assert_echoes(&through(&proxy.url("http")), &server.url("/echo")).await;
    assert_eq!(proxy.asked().len(), 1);
}

#[tokio::test]
async fn a_socks_proxy_looks_up_the_name_or_is_given_the_address() {
    let server = serve_echo().await;
    let proxy = Middle::socks(server.addr, 0).await;
    assert_echoes(&through(&proxy.url("socks5h")), "ws://only-there.test/echo").await;
    let here = |_: String, port: u16| async move { Ok(vec![([192, 0, 2, 7], port).into()]) };
    let url = format!("socks5://name:p%40ss@{}", proxy.addr);
    assert_echoes(&through(&url).resolver(here), "ws://here.test:99/echo").await;
    assert_echoes(&through(&proxy.url("socks5h")), "ws://192.0.2.9:98/echo").await;
    let asked = [
        "only-there.test:80",
        "name/p@ss@192.0.2.7:99",
        "192.0.2.9:98",
    ];
    assert_eq!(proxy.asked(), asked);
}

/// What is said of a proxy that does not let it through: it is the proxy's step, and names it.
async fn failure(connector: &Connector, proxy: SocketAddr) -> (ConnectError, String) {
    let soon = Config::new().handshake_timeout(Duration::from_millis(300));
    let connector = connector.clone().config(soon);
    let error = within(connector.connect("ws://name.test/"))
        .await
        .unwrap_err();
    assert_eq!(error.step(), Step::Proxy, "{error:?}");
    let text = error.to_string();
    assert!(text.contains(&proxy.to_string()), "{text}");
    assert!(!text.contains("secret"), "{text}");
    match error {
        ConnectError::Proxy { error, .. } => (*error, text),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_http_proxys_refusal_is_told_with_its_words() {
    let server = serve_echo().await;
    let answer = "HTTP/1.1 407 Proxy Authentication Required\r\n\
                  Proxy-Authenticate: Basic realm=\"p\"\r\nContent-Length: 9\r\n\r\nWho's it?";
    let proxy = Middle::http(server.addr, answer).await;
    let url = format!("http://name:secret@{}", proxy.addr);
    let (error, text) = failure(&through(&url), proxy.addr).await;
    assert!(matches!(error, ConnectError::Status(_)), "{error:?}");
    for words in ["407", "Who's it?", "name:password"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let proxy = Middle::http(server.addr, "HTTP/1.0 503 Unavailable\r\n\r\nno such host").await;
    let (error, text) = failure(&through(&proxy.url("http")), proxy.addr).await;
    assert_eq!(error.status().unwrap(), 503);
    assert!(text.contains("no such host"), "{text}");
}

#[tokio::test]
async fn a_socks_proxys_refusal_is_told() {
    let server = serve_echo().await;
    for (reply, words) in [
        (2, "ruleset"),
        (4, "Host unreachable"),
        (5, "refused"),
        (77, "SOCKS"),
    ] {
        let proxy = Middle::socks(server.addr, reply).await;
        let (error, text) = failure(&through(&proxy.url("socks5h")), proxy.addr).await;
        assert!(
            matches!(error, ConnectError::Socks(_)),
            "{reply}: {error:?}"
        );
        assert!(text.contains(words), "{reply}: {text}");
    }
}

#[tokio::test]
async fn what_is_no_proxy_is_told_in_time() {
    let server = serve_echo().await;
    for scheme in ["http", "socks5h"] {
        // A server that is no proxy, one that says nothing, and none.
        let (error, _) = failure(
            &through(&format!("{scheme}://{}", server.addr)),
            server.addr,
        )
        .await;
        let is_told = matches!(
            error,
            ConnectError::Status(_) | ConnectError::Socks(_) | ConnectError::Timeout(_)
        );
        assert!(is_told, "{scheme}: {error:?}");

        let silent = Middle::new(|mut stream, _| async move {
            stream.read_to_end(&mut Vec::new()).await.map(drop)
        })
        .await;
        let (error, _) = failure(&through(&silent.url(scheme)), silent.addr).await;
        assert!(
            matches!(error, ConnectError::Timeout(Step::Proxy)),
            "{scheme}: {error:?}"
        );

        let gone = Middle::new(|stream, _| async move {
            drop(stream);
            Ok(())
        })
        .await;
        let (error, _) = failure(&through(&gone.url(scheme)), gone.addr).await;
        let is_told = matches!(error, ConnectError::Ended | ConnectError::Io(_));
        assert!(is_told, "{scheme}: {error:?}");

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let nobody = listener.local_addr().unwrap();
        drop(listener);
        let (error, _) = failure(&through(&format!("{scheme}://{nobody}")), nobody).await;
        assert!(
            matches!(error, ConnectError::Tcp { .. }),
            "{scheme}: {error:?}"
        );
    }
    let talks = "HTTP/1.1 200 OK\r\n\r\nand more";
    let proxy = Middle::http(server.addr, talks).await;
    let (error, _) = failure(&through(&proxy.url("http")), proxy.addr).await;
    assert!(matches!(error, ConnectError::Io(_)), "{error:?}");
}

#[tokio::test]
async fn a_redirect_goes_through_the_proxy_too() {
    let server = serve_echo().await;
    let location = "HTTP/1.1 302 Found\r\nLocation: ws://next.test/echo\r\n\r\n";
    let site = Middle::http(server.addr, location).await;
    // Whatever it is asked for first is the redirecting site, and then the server.
    let first = Arc::new(Mutex::new(Some(site.addr)));
    let echo = server.addr;
    let proxy = Middle::new(move |mut stream, asked| {
        let target = first.lock().unwrap().take().unwrap_or(echo);
        async move {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                stream.read_buf(&mut request).await?;
            }
            asked
                .lock()
                .unwrap()
                .push(String::from_utf8(request).unwrap());
            stream.write_all(ESTABLISHED.as_bytes()).await?;
            pass(stream, target, true).await
        }
    })
    .await;
    assert_echoes(&through(&proxy.url("http")), "ws://first.test/").await;
    let asked = proxy.asked();
    assert!(asked[0].starts_with("CONNECT first.test:80 "), "{asked:?}");
    assert!(asked[1].starts_with("CONNECT next.test:80 "), "{asked:?}");
}

#[cfg(feature = "rustls")]
#[tokio::test]
async fn tls_is_spoken_with_the_server_through_the_proxy_and_with_the_proxy_itself() {
    use crate::support::certificates::Localhost;
    use crate::support::serve;

    let localhost = Localhost::new();
    let tls = localhost.server();
    let server: Served = serve(|server| server.route("/echo", crate::support::echo).tls(tls)).await;
    let http = Middle::http(server.addr, ESTABLISHED).await;
    let socks = Middle::socks(server.addr, 0).await;
    for proxy in [http.url("http"), socks.url("socks5h")] {
        let connector = through(&proxy).tls(localhost.client());
        assert_echoes(&connector, "wss://localhost/echo").await;
    }
    assert!(http.asked()[0].starts_with("CONNECT localhost:443 "));
    assert_eq!(socks.asked(), ["localhost:443"]);

    // A proxy that itself speaks TLS: TLS in TLS.
    let tls = localhost.server();
    let near = http.addr;
    let secure = Middle::new(move |stream, _| {
        let tls = tls.clone();
        async move {
            let (mut stream, _) = tls.accept(stream).await?;
            let mut plain = TcpStream::connect(near).await?;
            copy_bidirectional(&mut stream, &mut plain).await.map(drop)
        }
    })
    .await;
    let url = format!("https://localhost:{}", secure.addr.port());
    let connector = through(&url).tls(localhost.client());
    assert_echoes(&connector, "wss://localhost/echo").await;
    // Who is not trusted is the proxy here.
    let stranger = through(&url).config(Config::new());
    let error = within(stranger.connect("wss://localhost/echo"))
        .await
        .unwrap_err();
    assert_eq!(error.step(), Step::Proxy, "{error}");
}
