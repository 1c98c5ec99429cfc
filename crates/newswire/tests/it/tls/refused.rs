//! Handshakes that fail, and settings that cannot be: what went wrong is told at both ends, with
//! what to do about it.

use super::{Authority, Files, Localhost, shake_hands, tcp_pair, trusting, within};
use crate::support::certificates::Issued;
use newswire::tls::{ClientTls, ServerTls, TlsError};
use newswire::{ConnectError, Connector};
use std::io::ErrorKind;
use std::path::PathBuf;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// What each end says of a handshake that fails.
async fn failure(server: &ServerTls, client: &ClientTls) -> (String, String) {
    let (near, far) = tcp_pair().await;
    let (accepted, connected) = shake_hands(server, client, (near.into(), far.into())).await;
    let error = accepted.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData, "{error}");
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    assert!(matches!(inner, Some(TlsError::Peer(_))), "{error:?}");
    // With TLS 1.3 a client whose certificate is refused hears of it only when it reads.
    let heard = match connected {
        Err(error) => error.to_string(),
        Ok(mut stream) => {
            let read = within(stream.read(&mut [0; 1])).await;
            read.unwrap_err().to_string()
        }
    };
    (error.to_string(), heard)
}

fn assert_says(said: &str, words: &[&str]) {
    for word in words {
        assert!(said.contains(word), "{word:?} is not in {said:?}");
    }
}

#[tokio::test]
async fn a_server_that_nobody_trusted_has_vouched_for_is_refused() {
    let localhost = Localhost::new();
    let other = Authority::new("another authority");
    let client = trusting(&other.file(&localhost.files, "other.pem"));
    let (server, client) = failure(&localhost.server(), &client).await;
    assert_says(&client, &["UnknownIssuer", "authority"]);
    assert_says(&server, &["does not trust who has issued"]);
}

#[tokio::test]
async fn a_certificate_that_has_expired_is_refused() {
    let authority = Authority::new("an authority");
    let expired = authority.issue_expired(&["localhost"]);
    let localhost = Localhost::with(authority, &expired);
    let (server, client) = failure(&localhost.server(), &localhost.client()).await;
    assert_says(&client, &["expired", "renewed"]);
    assert_says(&server, &["expired"]);
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let authority = Authority::new("an authority");
    let issued = authority.issue(&["elsewhere.example"]);
    let localhost = Localhost::with(authority, &issued);
    let (server, client) = failure(&localhost.server(), &localhost.client()).await;
    assert_says(
        &client,
        &["localhost", "elsewhere.example", "called by a name"],
    );
    assert_says(&server, &["does not accept the certificate"]);
}

#[tokio::test]
async fn the_certificate_of_an_authority_is_no_servers_and_what_makes_such_ones_is_told() {
    let authority = Authority::new("an authority");
    let issued = authority.issue_authority(&["localhost"]);
    let localhost = Localhost::with(authority, &issued);
    let (_, client) = failure(&localhost.server(), &localhost.client()).await;
    assert_says(&client, &["authority", "openssl req -x509", "CA:FALSE"]);
}

#[tokio::test]
async fn a_client_without_the_certificate_that_is_required_is_refused() {
    let localhost = Localhost::new();
    let server = localhost.server().client_ca(&localhost.ca, true).unwrap();
    let (server, client) = failure(&server, &localhost.client()).await;
    assert_says(&server, &["client certificate is required"]);
    assert_says(&client, &["requires a client certificate"]);
}

#[tokio::test]
async fn a_client_with_a_certificate_of_others_is_refused_even_where_none_is_required() {
    let localhost = Localhost::new();
    let others = Authority::new("others");
    let (certificate, key) = localhost
        .files
        .issued("stranger", &others.issue(&["stranger"]));
    let client = localhost
        .client()
        .identity_files(&certificate, &key)
        .unwrap();
    for required in [true, false] {
        let server = localhost
            .server()
            .client_ca(&localhost.ca, required)
            .unwrap();
        let (server, client) = failure(&server, &client).await;
        assert_says(&server, &["UnknownIssuer"]);
        assert_says(&client, &["does not trust who has issued"]);
    }
}

#[tokio::test]
async fn ends_without_an_application_protocol_in_common_do_not_come_together() {
    let localhost = Localhost::new();
    let (server, client) = failure(
        &localhost.server().alpn(["http/1.1"]),
        &localhost.client().alpn(["h2"]),
    )
    .await;
    assert_says(&server, &["application protocol"]);
    assert_says(&client, &["none of the application protocols (ALPN)"]);
}

#[tokio::test]
async fn plain_http_to_a_tls_port_is_answered_in_plain_http() {
    let localhost = Localhost::new();
    let (mut near, far) = tcp_pair().await;
    near.write_all(crate::support::REQUEST.as_bytes())
        .await
        .unwrap();
    let error = within(localhost.server().accept(far)).await.unwrap_err();
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    assert!(matches!(inner, Some(TlsError::NotTls)), "{error:?}");
    assert_says(&error.to_string(), &["plain HTTP"]);
    let mut answer = String::new();
    within(near.read_to_string(&mut answer)).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{head}");
    assert!(
        head.contains(&format!("Content-Length: {}", body.len())),
        "{head}"
    );
    assert_says(body, &["TLS", "wss:", "https:"]);
}

#[tokio::test]
async fn wss_to_a_port_without_tls_says_so() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 1024]).await;
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    });
    let localhost = Localhost::new();
    let connector = Connector::new().tls(localhost.client());
    let url = format!("wss://localhost:{port}/");
    let error = within(connector.connect(&url)).await.unwrap_err();
    assert!(
        matches!(error, ConnectError::Tls(TlsError::NotTls)),
        "{error:?}"
    );
    assert_says(&error.to_string(), &["no TLS", "plain HTTP"]);
    within(serving).await.unwrap();
}

#[tokio::test]
async fn a_peer_that_hangs_up_in_the_middle_is_named_as_the_cause() {
    let localhost = Localhost::new();
    let (mut near, far) = tcp_pair().await;
    // The beginning of a record with a hello of 512 bytes.
    near.write_all(&[0x16, 3, 1, 2, 0, 1, 0]).await.unwrap();
    drop(near);
    let error = within(localhost.server().accept(far)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    assert_says(&error.to_string(), &["hung up", "TLS handshake"]);
    let (near, far) = tcp_pair().await;
    drop(far);
    let error = within(localhost.client().connect("localhost", near)).await;
    let error = error.unwrap_err();
    assert!(
        matches!(error, TlsError::Ended | TlsError::Io(_)),
        "{error:?}"
    );
}

#[tokio::test]
async fn what_is_no_tls_is_refused_and_harms_nothing() {
    let localhost = Localhost::new();
    let server = localhost.server();
    for garbage in [&[0; 1024][..], &[0x16, 3, 1, 0xff, 0xff, 1], &[0x80; 100]] {
        let (mut near, far) = tcp_pair().await;
        near.write_all(garbage).await.unwrap();
        let error = within(server.accept(far)).await.unwrap_err();
        assert_says(&error.to_string(), &["that was no TLS"]);
    }
}

#[tokio::test]
async fn a_host_that_can_have_no_certificate_is_refused_before_anything_is_sent() {
    let localhost = Localhost::new();
    let (near, _far) = tcp_pair().await;
    let error = within(localhost.client().connect("under score!", near)).await;
    let error = error.unwrap_err();
    assert!(matches!(error, TlsError::ServerName(_)), "{error:?}");
    assert_says(&error.to_string(), &["under score!"]);
}

#[test]
fn settings_that_cannot_be_name_the_file_and_what_is_wrong_with_it() {
    let localhost = Localhost::new();
    let files = &localhost.files;
    let Issued { certificate, key } = localhost.authority.issue(&["localhost"]);
    let right = files.write("right.pem", &certificate);
    let right_key = files.write("right.key", &key);
    let garbled = certificate.replacen("MII", "M!I", 1);
    let cut = &certificate[..certificate.len() - 30];
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n\
                     -----END ENCRYPTED PRIVATE KEY-----\n";
    let garbled = files.write("garbled.pem", &garbled);
    let cut = files.write("cut.pem", cut);
    let encrypted = files.write("encrypted.key", encrypted);
    let empty = files.write("empty.pem", "");
    let cases: [(&PathBuf, &PathBuf, &[&str]); 8] = [
        (
            &files.path("missing.pem"),
            &right_key,
            &["missing.pem", "cannot read"],
        ),
        (
            &right,
            &files.path("missing.key"),
            &["missing.key", "cannot read"],
        ),
        (&empty, &right_key, &["empty.pem", "no certificate"]),
        (&right, &empty, &["empty.pem", "no private key"]),
        (&garbled, &right_key, &["garbled.pem", "not base64"]),
        (&cut, &right_key, &["cut.pem", "cut off"]),
        (
            &right,
            &encrypted,
            &["encrypted.key", "encrypted", "passphrase"],
        ),
        (
            &right,
            &localhost.key,
            &["server.key", "not the certificate's"],
        ),
    ];
    for (certificate, key, words) in cases {
        let error = ServerTls::from_pem_files(certificate, key).unwrap_err();
        assert_says(&error.to_string(), words);
        let error = ClientTls::new()
            .identity_files(certificate, key)
            .unwrap_err();
        assert_says(&error.to_string(), words);
    }
    // The two may be in one file.
    let both = files.write("both.pem", &format!("{key}{certificate}", key = key));
    ServerTls::from_pem_files(&both, &both).unwrap();
    let error = ClientTls::new().ca_file(&empty).unwrap_err();
    assert_says(&error.to_string(), &["empty.pem"]);
    let error = localhost.server().client_ca(&empty, true).unwrap_err();
    assert_says(&error.to_string(), &["empty.pem"]);
    let _: &Files = files;
}
