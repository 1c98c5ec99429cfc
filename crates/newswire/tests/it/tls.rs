//! TLS between a server and a client of this library: what is agreed on, who is let in, what is
//! read anew, and what each end is told when nothing comes of it.

mod refused;
mod wire;

use crate::support::certificates::{Authority, Files, Localhost, trusting};
use crate::support::tcp_pair;
use crate::support::{PATIENCE, message, tcp_pair_std, within};
use crate::transports::assert_talks;
use newswire::tls::{ClientTls, ServerTls, TlsDetails, TlsError, rustls};
use newswire::{CloseCode, Config, Connector, Stream, WebSocket};
use std::fs;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::duplex;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Both ends of a handshake over these streams.
async fn shake_hands(
    server: &ServerTls,
    client: &ClientTls,
    (near, far): (Stream, Stream),
) -> (io::Result<(Stream, TlsDetails)>, Result<Stream, TlsError>) {
    within(async { tokio::join!(server.accept(far), client.connect("localhost", near)) }).await
}

/// The same over TCP, which must succeed.
async fn tls_pair(server: &ServerTls, client: &ClientTls) -> (Stream, Stream, TlsDetails) {
    let (near, far) = tcp_pair().await;
    let (accepted, connected) = shake_hands(server, client, (near.into(), far.into())).await;
    let (accepted, details) = accepted.unwrap();
    (connected.unwrap(), accepted, details)
}

/// A WebSocket over TLS over TCP.
async fn ws_pair(server: &ServerTls, client: &ClientTls) -> (WebSocket, WebSocket, TlsDetails) {
    let (near, far, details) = tls_pair(server, client).await;
    let (config, connector) = (Config::new(), Connector::new());
    let (client, server) = within(async {
        tokio::join!(
            connector.connect_over("wss://localhost/", near),
            newswire::accept(far, &config),
        )
    })
    .await;
    (client.unwrap(), server.unwrap(), details)
}

#[tokio::test]
async fn tls_carries_messages_of_all_sizes_over_tcp() {
    let localhost = Localhost::new();
    let (near, far, _) = tls_pair(&localhost.server(), &localhost.client()).await;
    assert_talks(near, far).await;
}

#[cfg(unix)]
#[tokio::test]
async fn tls_carries_messages_of_all_sizes_over_unix_sockets() {
    let localhost = Localhost::new();
    let (near, far) = tokio::net::UnixStream::pair().unwrap();
    let streams = (near.into(), far.into());
    let (accepted, connected) =
        shake_hands(&localhost.server(), &localhost.client(), streams).await;
    assert_talks(connected.unwrap(), accepted.unwrap().0).await;
}

#[tokio::test]
async fn tls_carries_messages_of_all_sizes_over_a_transport_that_cuts_records_anywhere() {
    let localhost = Localhost::new();
    for room in [997, 20_000] {
        let (near, far) = duplex(room);
        let streams = (Stream::from_io(near), Stream::from_io(far));
        let (accepted, connected) =
            shake_hands(&localhost.server(), &localhost.client(), streams).await;
        assert_talks(connected.unwrap(), accepted.unwrap().0).await;
    }
}

#[tokio::test]
async fn a_handshake_and_records_may_come_a_byte_at_a_time() {
    let localhost = Localhost::new();
    let (near, far) = duplex(1);
    let streams = (Stream::from_io(near), Stream::from_io(far));
    let (accepted, connected) =
        shake_hands(&localhost.server(), &localhost.client(), streams).await;
    let (config, connector) = (Config::new(), Connector::new());
    let (client, server) = within(async {
        tokio::join!(
            connector.connect_over("wss://localhost/", connected.unwrap()),
            newswire::accept(accepted.unwrap().0, &config),
        )
    })
    .await;
    let (mut client, server) = (client.unwrap(), server.unwrap());
    let sending = tokio::spawn(async move {
        server.send("x".repeat(40_000)).await.unwrap();
        server
    });
    assert_eq!(message(&mut client).await.len(), 40_000);
    within(sending).await.unwrap();
}

#[tokio::test]
async fn tls_1_2_is_spoken_with_who_speaks_no_newer() {
    let localhost = Localhost::new();
    let mut roots = rustls::RootCertStore::empty();
    let pem = fs::read(&localhost.ca).unwrap();
    for certificate in rustls_pemfile(&pem) {
        roots.add(certificate).unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let old = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let client = ClientTls::from_config(Arc::new(old));
    let (near, far, details) = tls_pair(&localhost.server(), &client).await;
    assert_eq!(details.version(), "TLS 1.2");
    assert!(details.cipher().starts_with("TLS_ECDHE_"), "{details:?}");
    assert_talks(near, far).await;
}

fn rustls_pemfile(pem: &[u8]) -> Vec<rustls::pki_types::CertificateDer<'static>> {
    use rustls::pki_types::pem::PemObject;
    rustls::pki_types::CertificateDer::pem_slice_iter(pem)
        .map(Result::unwrap)
        .collect()
}

#[tokio::test]
async fn the_server_knows_what_was_agreed_on_and_whom_the_client_asked_for() {
    let localhost = Localhost::new();
    let server = localhost.server().alpn(["h2", "http/1.1"]);
    let (_, _, details) = tls_pair(&server, &localhost.client()).await;
    assert_eq!(details.version(), "TLS 1.3");
    assert!(details.cipher().starts_with("TLS13_"), "{details:?}");
    assert_eq!(details.alpn(), Some(&b"http/1.1"[..]));
    assert_eq!(details.server_name(), Some("localhost"));
    assert!(details.peer_certificates().is_empty());
    // Without a list of its own, the server leaves open what is spoken; an address is no name.
    let server = localhost.server();
    let (near, far) = tcp_pair().await;
    let client = localhost.client();
    let connecting = client.connect("127.0.0.1", near);
    let (accepted, connected) =
        within(async { tokio::join!(server.accept(far), connecting) }).await;
    let _connected = connected.unwrap();
    let (stream, details) = accepted.unwrap();
    assert_eq!((details.alpn(), details.server_name()), (None, None));
    // The addresses are those of the socket below.
    assert!(stream.peer_addr().unwrap().ip().is_loopback());
}

#[tokio::test]
async fn a_client_certificate_is_asked_for_and_known() {
    let localhost = Localhost::new();
    let clients = Authority::new("another authority");
    let ca = clients.file(&localhost.files, "clients.pem");
    let issued = clients.issue(&["somebody"]);
    let (certificate, key) = localhost.files.issued("somebody", &issued);
    let known = || {
        let client = localhost.client();
        client.identity_files(&certificate, &key).unwrap()
    };
    for required in [true, false] {
        let server = localhost.server().client_ca(&ca, required).unwrap();
        let (_, _, details) = tls_pair(&server, &known()).await;
        let shown: Vec<_> = details.peer_certificates().to_vec();
        assert_eq!(shown, rustls_pemfile(issued.certificate.as_bytes()));
    }
    // Who shows none is let in where it is not required.
    let server = localhost.server().client_ca(&ca, false).unwrap();
    let (_, _, details) = tls_pair(&server, &localhost.client()).await;
    assert!(details.peer_certificates().is_empty());
}

/// The certificate that a new client is shown.
async fn shown(
    localhost: &Localhost,
    server: &ServerTls,
) -> rustls::pki_types::CertificateDer<'static> {
    use rustls::pki_types::ServerName;
    use std::io::Write;
    let (near, far) = tcp_pair_std().await;
    let tls = wire::raw_client_config(&localhost.ca);
    let looking = tokio::task::spawn_blocking(move || {
        let name = ServerName::try_from("localhost").unwrap();
        let session = rustls::ClientConnection::new(tls, name).unwrap();
        let mut stream = rustls::StreamOwned::new(session, near);
        stream.flush().unwrap();
        let certificates = stream.conn.peer_certificates().unwrap();
        certificates[0].clone().into_owned()
    });
    within(server.accept(far)).await.unwrap();
    within(looking).await.unwrap()
}

fn first_of(pem: &str) -> rustls::pki_types::CertificateDer<'static> {
    rustls_pemfile(pem.as_bytes()).remove(0)
}

#[tokio::test]
async fn a_reload_is_for_new_connections_and_drops_none() {
    let localhost = Localhost::new();
    let tls = localhost.server();
    let handle = tls.clone();
    let (mut client, server, _) = ws_pair(&tls, &localhost.client()).await;
    let old = first_of(&fs::read_to_string(&localhost.certificate).unwrap());
    assert_eq!(shown(&localhost, &tls).await, old);

    let next = localhost.authority.issue(&["localhost"]);
    localhost.files.issued("server", &next);
    // Not before it is asked for.
    assert_eq!(shown(&localhost, &tls).await, old);
    handle.reload().unwrap();
    assert_eq!(shown(&localhost, &tls).await, first_of(&next.certificate));

    within(server.send("as before")).await.unwrap();
    assert_eq!(message(&mut client).await, "as before".into());
}

#[tokio::test]
async fn a_reload_that_fails_changes_nothing_and_names_the_file() {
    let localhost = Localhost::new();
    let tls = localhost.server();
    let certificate = fs::read_to_string(&localhost.certificate).unwrap();
    // A certificate without its key: so it is between two writes.
    let next = localhost.authority.issue(&["localhost"]);
    fs::write(&localhost.certificate, &next.certificate).unwrap();
    let error = tls.reload().unwrap_err().to_string();
    assert!(error.contains("server.key"), "{error}");
    assert!(error.contains("not the certificate's"), "{error}");
    assert_eq!(shown(&localhost, &tls).await, first_of(&certificate));
    fs::remove_file(&localhost.certificate).unwrap();
    let error = tls.reload().unwrap_err().to_string();
    assert!(error.contains("server.pem"), "{error}");
    assert_eq!(shown(&localhost, &tls).await, first_of(&certificate));
}

#[tokio::test]
async fn files_that_change_are_noticed_and_an_error_in_them_is_told_once() {
    let localhost = Localhost::new();
    let tls = localhost.server();
    let watched = tls.clone();
    let (told, mut tells) = mpsc::channel(16);
    let watching = tokio::spawn(async move {
        let tell = |reloaded: Result<(), TlsError>| {
            let _ = told.try_send(reloaded.map_err(|error| error.to_string()));
        };
        watched.watch(Duration::from_millis(5), tell).await;
    });
    let next = localhost
        .authority
        .issue(&["localhost", "a-longer-name-than-before"]);
    fs::write(&localhost.certificate, "nothing of use").unwrap();
    let error = within(tells.recv()).await.unwrap().unwrap_err();
    assert!(error.contains("server.pem"), "{error}");
    // It is told again only when something else is there.
    let again = timeout(Duration::from_millis(50), tells.recv()).await;
    assert!(again.is_err(), "{again:?}");
    localhost.files.issued("server", &next);
    // The key may be written after a look at the certificate.
    while within(tells.recv()).await.unwrap().is_err() {}
    assert_eq!(shown(&localhost, &tls).await, first_of(&next.certificate));
    watching.abort();
}

#[cfg(feature = "rcgen")]
#[tokio::test]
async fn a_self_signed_certificate_serves_who_asks_for_no_better() {
    let server = ServerTls::self_signed(["localhost", "127.0.0.1"]).unwrap();
    let careless = ClientTls::new().dangerous().accept_any_certificate();
    let (near, far, _) = tls_pair(&server, &careless).await;
    assert_talks(near, far).await;
    let careful = Localhost::new().client();
    let (near, far) = tcp_pair().await;
    let (accepted, connected) = shake_hands(&server, &careful, (near.into(), far.into())).await;
    let error = connected.unwrap_err();
    assert!(matches!(error, TlsError::Peer(_)), "{error:?}");
    accepted.unwrap_err();
    let error = ServerTls::self_signed(["no name\u{e4}"]).unwrap_err();
    assert!(error.to_string().contains("self-signed"), "{error}");
}

#[tokio::test]
async fn a_connector_speaks_tls_to_wss_and_not_to_ws() {
    let localhost = Localhost::new();
    let tls = localhost.server();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let (stream, details) = tls.accept(stream).await.unwrap();
        let ws = newswire::accept(stream, &Config::new()).await.unwrap();
        ws.send("welcome").await.unwrap();
        (ws, details)
    });
    let connector = Connector::new().tls(localhost.client());
    let url = format!("wss://localhost:{port}/feed");
    let mut ws = within(connector.connect(&url)).await.unwrap();
    assert_eq!(message(&mut ws).await, "welcome".into());
    let (mut server, details) = within(serving).await.unwrap();
    assert_eq!(details.server_name(), Some("localhost"));
    let (closed, received) =
        within(async { tokio::join!(ws.close(CloseCode::NORMAL, ""), server.recv()) }).await;
    closed.unwrap();
    assert_eq!(received.unwrap(), None);
}

#[tokio::test]
async fn a_sender_to_a_peer_that_does_not_read_waits_and_little_is_kept() {
    let localhost = Localhost::new();
    let (mut client, server, _) = ws_pair(&localhost.server(), &localhost.client()).await;
    let sending = async {
        // Ten times what socket buffers may hold by default.
        for _ in 0..1000 {
            let message = server.send(vec![0; 64 * 1024]);
            message.uncompressed().await.unwrap();
        }
    };
    let mut sending = std::pin::pin!(sending);
    let stuck = timeout(Duration::from_millis(200), sending.as_mut()).await;
    assert!(stuck.is_err(), "64 MB went somewhere");
    let reading = async {
        for _ in 0..1000 {
            assert_eq!(message(&mut client).await.len(), 64 * 1024);
        }
    };
    timeout(PATIENCE, async { tokio::join!(sending, reading) })
        .await
        .unwrap();
}
