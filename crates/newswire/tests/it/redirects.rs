//! Redirects: followed up to a limit, without what the first server alone may know, and never out of
//! TLS.

use crate::support::{message, serve_echo, within};
use http::{HeaderName, HeaderValue};
use newswire::{ConnectError, Connector, RedirectError, Step};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A web server that redirects every request to where a function of its path says.
struct Site {
    addr: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    serving: JoinHandle<()>,
}

impl Site {
    async fn new(location: impl Fn(&str) -> String + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        let serving = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    stream.read_buf(&mut request).await.unwrap();
                }
                let request = String::from_utf8(request).unwrap();
                let to = location(request.split(' ').nth(1).unwrap());
                seen.lock().unwrap().push(request);
                let body = "moved ".repeat(64 * 1024 / 6);
                let answer = format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\n\r\n{body}");
                // The client need not read all of it.
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        Self {
            addr,
            requests,
            serving,
        }
    }

    /// The one that sends everybody to `to`.
    async fn to(to: String) -> Self {
        Self::new(move |_| to.clone()).await
    }

    fn url(&self, path: &str) -> String {
        format!("ws://{}{path}", self.addr)
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn refused(connector: &Connector, url: &str) -> (String, RedirectError) {
    let error = within(connector.connect(url)).await.unwrap_err();
    assert_eq!(error.step(), Step::Http);
    match error {
        ConnectError::Redirect { to, reason } => (to, reason),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_chain_of_redirects_is_followed_to_its_end() {
    let server = serve_echo().await;
    let end = format!("http://{}/echo", server.addr);
    let site = Site::new(move |path| match path {
        "/a/b/c?q" => "../d".to_owned(),
        "/a/d" => "/e#part".to_owned(),
        "/e" => "?f".to_owned(),
        "/e?f" => end.clone(),
        other => panic!("{other}"),
    })
    .await;
    let url = site.url("/a/b/c?q");
    let mut ws = within(newswire::connect(&url)).await.unwrap();
    within(ws.send("hello")).await.unwrap();
    assert_eq!(message(&mut ws).await, "hello".into());
    assert_eq!(site.requests().len(), 4);
}

#[tokio::test]
async fn a_loop_ends_at_the_limit() {
    let site = Site::to("/round".to_owned()).await;
    for limit in [1, 3, 10] {
        let connector = Connector::new().max_redirects(limit);
        let (to, reason) = refused(&connector, &site.url("/")).await;
        assert_eq!((&*to, reason), ("/round", RedirectError::TooMany(limit)));
    }
    assert_eq!(site.requests().len(), 2 + 4 + 11);
}

#[tokio::test]
async fn without_a_limit_a_redirect_is_an_answer_like_others() {
    let site = Site::to("/elsewhere".to_owned()).await;
    let connector = Connector::new().max_redirects(0);
    let error = within(connector.connect(&site.url("/"))).await.unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("302") && text.contains("/elsewhere"),
        "{text}"
    );
    let ConnectError::Status(answer) = error else {
        panic!("{error:?}");
    };
    assert_eq!(answer.headers()["location"], "/elsewhere");
    assert!(answer.body().starts_with(b"moved "));
}

/// What a client says to one server alone.
fn secretive() -> Connector {
    let mut key = HeaderValue::from_static("secret");
    key.set_sensitive(true);
    Connector::new()
        .bearer("secret")
        .cookie("session", "secret")
        .host("secret.test")
        .header(HeaderName::from_static("x-key"), key)
        .header(
            HeaderName::from_static("x-open"),
            HeaderValue::from_static("open"),
        )
        .origin("https://example.com")
        .max_redirects(2)
}

#[tokio::test]
async fn credentials_stay_with_the_first_origin() {
    let other = Site::to("/".to_owned()).await;
    let one = Site::to(other.url("/")).await;
    refused(&secretive(), &one.url("/")).await;
    assert_eq!(one.requests()[0].matches("secret").count(), 4);
    for request in other.requests() {
        assert!(!request.contains("secret"), "{request}");
        let host = format!("\r\nHost: {}\r\n", other.addr);
        assert!(request.contains(&host), "{request}");
        for kept in ["X-Open: open", "Origin: https://example.com"] {
            assert!(request.contains(kept), "{request}");
        }
    }
    // Nor do those of the URL go there, nor those that the first server gives it.
    let one = Site::to(format!("ws://planted:secret@{}/", other.addr)).await;
    let url = format!("ws://name:secret@{}/", one.addr);
    refused(&Connector::new().max_redirects(1), &url).await;
    assert!(one.requests()[0].contains("\r\nAuthorization: Basic "));
    let last = other.requests().pop().unwrap();
    assert!(!last.contains("Authorization"), "{last}");
}

#[tokio::test]
async fn credentials_are_sent_again_within_an_origin() {
    let site = Site::to("/again".to_owned()).await;
    refused(&secretive(), &site.url("/")).await;
    for request in site.requests() {
        assert_eq!(request.matches("secret").count(), 4, "{request}");
    }
    assert_eq!(site.requests().len(), 3);
}

#[tokio::test]
async fn a_redirect_out_of_http_is_not_followed() {
    for to in ["file:///etc/passwd", "https://", "ws://x:99999/"] {
        let site = Site::to(to.to_owned()).await;
        let (told, reason) = refused(&Connector::new(), &site.url("/")).await;
        assert_eq!(told, to);
        assert!(matches!(reason, RedirectError::Url(_)), "{to}: {reason:?}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_unix_socket_is_not_asked_for_another_origin() {
    let path = std::env::temp_dir().join(format!("newswire-redirect-{}", std::process::id()));
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let serving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let head = b"HTTP/1.1 307 Temporary Redirect\r\nLocation: ws://other.test/\r\n\r\n";
        stream.write_all(head).await.unwrap();
        let _ = stream.read_to_end(&mut Vec::new()).await;
    });
    let connector = Connector::new().unix(&path);
    let (_, reason) = refused(&connector, "ws://one.test/").await;
    assert_eq!(reason, RedirectError::Elsewhere);
    within(serving).await.unwrap();
    std::fs::remove_file(&path).unwrap();
}

#[cfg(feature = "rustls")]
#[tokio::test]
async fn tls_is_entered_by_a_redirect_but_not_left() {
    use crate::support::certificates::Localhost;

    let localhost = Localhost::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let plain = serve_echo().await;
    let down = format!("http://{}/echo", plain.addr);
    let tls = localhost.server();
    let serving = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let (mut stream, _) = tls.accept(stream).await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            stream.read_buf(&mut request).await.unwrap();
        }
        let head = format!("HTTP/1.1 301 Moved Permanently\r\nLocation: {down}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        let _ = stream.read_to_end(&mut Vec::new()).await;
    });
    let site = Site::to(format!("https://localhost:{port}/")).await;
    let connector = Connector::new().tls(localhost.client());
    let (to, reason) = refused(&connector, &site.url("/")).await;
    assert_eq!(reason, RedirectError::Downgrade);
    assert!(to.ends_with("/echo"), "{to}");
    within(serving).await.unwrap();
}
