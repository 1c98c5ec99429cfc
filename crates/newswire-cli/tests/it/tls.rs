//! TLS: the page and the echo over it, certificates that change while the server runs, and clients
//! that need one.

#[allow(dead_code, reason = "the library's tests need more of it")]
#[path = "../../../newswire/tests/it/support/certificates.rs"]
pub mod certificates;

use crate::support::{Served, newswire, output, serve, within};
use certificates::{Authority, Files};
use newswire::tls::ClientTls;
use newswire::{CloseCode, ConnectError, Connector, WebSocket};
use std::path::{Path, PathBuf};

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

async fn connect(server: &Served, tls: ClientTls) -> Result<WebSocket, ConnectError> {
    let url = format!("wss://localhost:{}/echo", server.addr.port());
    within(Connector::new().tls(tls).connect(&url)).await
}

async fn assert_echoes(ws: &mut WebSocket) {
    within(ws.send("hello")).await.unwrap();
    assert_eq!(within(ws.recv()).await.unwrap(), Some("hello".into()));
}

#[tokio::test]
async fn a_self_signed_certificate_is_made_for_development() {
    let server = serve(&["--tls-self-signed"]);
    let greeting = server.greeting.join("\n");
    assert!(greeting.contains("https://127.0.0.1:"), "{greeting}");
    assert!(greeting.contains("wss://127.0.0.1:"), "{greeting}");
    let anybody = ClientTls::new().dangerous().accept_any_certificate();
    let mut ws = connect(&server, anybody).await.unwrap();
    assert_echoes(&mut ws).await;
    let refused = connect(&server, ClientTls::new()).await.unwrap_err();
    assert!(refused.to_string().contains("certificate"), "{refused}");
    // What speaks no TLS is told so, and logged.
    let answer = server.exchange(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

/// A server with a certificate of this authority in these files, which are then there.
fn serve_with(files: &Files, authority: &Authority, more: &[&str]) -> (Served, PathBuf) {
    let issued = authority.issue(&["localhost", "127.0.0.1"]);
    let (certificate, key) = files.issued("server", &issued);
    let flags = ["--tls-cert", text(&certificate), "--tls-key", text(&key)];
    let server = serve(&[&flags, more].concat());
    (server, authority.file(files, "ca.pem"))
}

fn trusting(ca: &Path) -> ClientTls {
    ClientTls::new().ca_file(ca).unwrap()
}

#[tokio::test]
async fn certificates_that_change_are_read_again_and_open_connections_stay() {
    let files = Files::new();
    let (server, ca) = serve_with(&files, &Authority::new("the first"), &[]);
    let mut old = connect(&server, trusting(&ca)).await.unwrap();
    assert_echoes(&mut old).await;

    let second = Authority::new("the second");
    files.issued("server", &second.issue(&["localhost"]));
    let new_ca = second.file(&files, "new-ca.pem");
    #[cfg(unix)]
    server.signal(rustix::process::Signal::HUP);
    // On a signal at once, else within two seconds.
    let mut tries = 0;
    let mut new = loop {
        match connect(&server, trusting(&new_ca)).await {
            Ok(ws) => break ws,
            Err(error) => assert!(tries < 100, "{error}"),
        }
        tries += 1;
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    assert_echoes(&mut new).await;
    assert_echoes(&mut old).await;
    assert!(connect(&server, trusting(&ca)).await.is_err());

    // What is wrong changes nothing, and is said.
    files.write("server.pem", "no certificate");
    #[cfg(unix)]
    server.signal(rustix::process::Signal::HUP);
    let said = String::from_utf8(server.errors_of(1)).unwrap();
    assert!(
        said.contains("stay as they were") && said.contains("server.pem"),
        "{said}"
    );
    let mut ws = connect(&server, trusting(&new_ca)).await.unwrap();
    assert_echoes(&mut ws).await;
    for mut ws in [old, new, ws] {
        within(ws.close(CloseCode::NORMAL, "")).await.unwrap();
    }
}

#[tokio::test]
async fn clients_may_need_a_certificate() {
    let files = Files::new();
    let authority = Authority::new("of clients");
    let clients = authority.file(&files, "clients.pem");
    let (certificate, key) = files.issued("client", &authority.issue(&["somebody"]));
    let flags = ["--tls-client-ca", text(&clients)];
    let with = |ca: &Path| trusting(ca).identity_files(&certificate, &key).unwrap();

    let (server, ca) = serve_with(&files, &Authority::new("of the server"), &flags);
    assert_echoes(&mut connect(&server, with(&ca)).await.unwrap()).await;
    // In TLS 1.3 the client learns of it when it reads.
    let without = connect(&server, trusting(&ca)).await;
    assert!(without.is_err(), "{without:?}");

    let flags = [&flags[..], &["--tls-client-optional"]].concat();
    let (server, ca) = serve_with(&files, &Authority::new("of the server"), &flags);
    assert_echoes(&mut connect(&server, with(&ca)).await.unwrap()).await;
    assert_echoes(&mut connect(&server, trusting(&ca)).await.unwrap()).await;
}

#[test]
fn settings_that_do_not_go_together_are_refused() {
    let files = Files::new();
    let authority = Authority::new("any");
    let (certificate, key) = files.issued("server", &authority.issue(&["localhost"]));
    let (certificate, key) = (text(&certificate), text(&key));
    let empty = files.write("empty.pem", "");
    for (flags, parts) in [
        (&["--tls-cert", certificate][..], &["--tls-key"][..]),
        (&["--tls-key", key], &["--tls-cert"]),
        (
            &[
                "--tls-cert",
                certificate,
                "--tls-key",
                key,
                "--tls-self-signed",
            ],
            &["--tls-self-signed", "--tls-cert"],
        ),
        (
            &["--tls-client-ca", certificate],
            &["--tls-client-ca", "without TLS"],
        ),
        (
            &["--tls-self-signed", "--tls-client-optional"],
            &["--tls-client-ca"],
        ),
        (&["--tls-cert", key, "--tls-key", key], &[key]),
        (
            &["--tls-cert", certificate, "--tls-key", text(&empty)],
            &["empty.pem"],
        ),
        (
            &["--tls-cert", "nowhere.pem", "--tls-key", key],
            &["nowhere.pem"],
        ),
        (
            &["--tls-self-signed", "--tls-client-ca", "nowhere.pem"],
            &["nowhere.pem"],
        ),
    ] {
        let output = output(newswire(&[&["serve", "--check"], flags].concat()));
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{flags:?}: {errors}");
        assert_eq!(errors.lines().count(), 1, "{errors}");
        for part in parts {
            assert!(errors.contains(part), "no {part} in {errors}");
        }
    }
}
