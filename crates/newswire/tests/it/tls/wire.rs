//! What is on the wire under a connection: another implementation of the same protocol's surface
//! at the other end, records that are cut short or changed, and how the end is announced.

use super::{Localhost, rustls_pemfile, within};
use crate::support::{REQUEST, close_payload, frame, tcp_pair_std};
use newswire::proto::{OpCode, Role};
use newswire::tls::rustls;
use newswire::tls::rustls::pki_types::ServerName;
use newswire::tls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use newswire::{CloseCode, Config, RecvError, WebSocket};
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

/// rustls alone, which trusts the authorities of a file.
pub(super) fn raw_client_config(ca: &Path) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in rustls_pemfile(&fs::read(ca).unwrap()) {
        roots.add(certificate).unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

type Raw = StreamOwned<ClientConnection, TcpStream>;

/// A blocking client of rustls at `near`, whose handshakes, of TLS and of the WebSocket, are done.
fn open_raw(ca: &Path, near: TcpStream) -> Raw {
    let name = ServerName::try_from("localhost").unwrap();
    let session = ClientConnection::new(raw_client_config(ca), name).unwrap();
    let mut raw = StreamOwned::new(session, near);
    raw.write_all(REQUEST.as_bytes()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        raw.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "), "{head:?}");
    raw
}

/// A server's end of this library, and what `client` does with a raw one in a thread of its own.
async fn against<R: Send + 'static>(
    client: impl FnOnce(Raw) -> R + Send + 'static,
) -> (WebSocket, tokio::task::JoinHandle<R>) {
    let localhost = Localhost::new();
    let (near, far) = tcp_pair_std().await;
    let ca = localhost.ca.clone();
    let running = tokio::task::spawn_blocking(move || client(open_raw(&ca, near)));
    let (stream, _) = within(localhost.server().accept(far)).await.unwrap();
    let ws = within(newswire::accept(stream, &Config::new())).await;
    (ws.unwrap(), running)
}

fn text(payload: &str) -> Vec<u8> {
    frame(Role::Client, OpCode::Text, payload.as_bytes())
}

#[tokio::test]
async fn a_peer_may_change_its_keys_and_ask_for_the_same() {
    let (mut ws, client) = against(|mut raw| {
        for _ in 0..3 {
            raw.write_all(&text("before")).unwrap();
            raw.conn.refresh_traffic_keys().unwrap();
            raw.write_all(&text("after")).unwrap();
            let mut echoed = [0; 2 + 6 + 2 + 5];
            raw.read_exact(&mut echoed).unwrap();
            assert_eq!(&echoed, b"\x81\x06before\x81\x05after");
        }
    })
    .await;
    for expected in ["before", "after"].repeat(3) {
        let message = within(ws.recv()).await.unwrap();
        assert_eq!(message, Some(expected.into()));
        within(ws.send(expected)).await.unwrap();
    }
    within(client).await.unwrap();
}

#[tokio::test]
async fn the_end_of_a_connection_is_announced_before_the_socket_is_closed() {
    let (mut ws, client) = against(|mut raw| {
        let mut received = Vec::new();
        let mut close = [0; 4];
        raw.read_exact(&mut close).unwrap();
        let answer = frame(Role::Client, OpCode::Close, &close_payload(1000, ""));
        raw.write_all(&answer).unwrap();
        // Without close_notify, rustls gives an error here.
        raw.read_to_end(&mut received).unwrap();
        (close, received)
    })
    .await;
    within(ws.close(CloseCode::NORMAL, "")).await.unwrap();
    drop(ws);
    let (close, behind) = within(client).await.unwrap();
    assert_eq!((close, behind), ([0x88, 2, 0x03, 0xe8], Vec::new()));
}

#[tokio::test]
async fn a_connection_that_is_dropped_says_so_in_websocket_and_in_tls() {
    let (ws, client) = against(|mut raw| {
        let mut received = Vec::new();
        raw.read_to_end(&mut received).unwrap();
        received
    })
    .await;
    drop(ws);
    let received = within(client).await.unwrap();
    assert_eq!(received, [0x88, 2, 0x03, 0xe9]);
}

#[tokio::test]
async fn an_end_that_was_not_announced_is_told_apart() {
    let (mut ws, client) = against(|mut raw| {
        raw.write_all(&text("last words")).unwrap();
        raw.sock.shutdown(std::net::Shutdown::Write).unwrap();
        raw
    })
    .await;
    assert_eq!(within(ws.recv()).await.unwrap(), Some("last words".into()));
    match within(ws.recv()).await.unwrap_err() {
        RecvError::Io(error) => {
            assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
            assert!(error.to_string().contains("close_notify"), "{error}");
        }
        other => panic!("{other:?}"),
    }
    within(client).await.unwrap();
}

#[tokio::test]
async fn an_end_that_was_announced_without_a_close_frame_is_no_normal_close() {
    let (mut ws, client) = against(|mut raw| {
        raw.conn.send_close_notify();
        raw.flush().unwrap();
        let mut received = Vec::new();
        raw.read_to_end(&mut received).unwrap();
    })
    .await;
    let error = within(ws.recv()).await.unwrap_err();
    assert!(matches!(error, RecvError::Io(_)), "{error:?}");
    drop(ws);
    within(client).await.unwrap();
}

#[tokio::test]
async fn a_record_that_was_changed_on_the_way_ends_the_connection_with_an_alert() {
    let (mut ws, client) = against(|mut raw| {
        raw.write_all(&text("right")).unwrap();
        raw.conn.writer().write_all(&text("wrong")).unwrap();
        let mut record = Vec::new();
        raw.conn.write_tls(&mut record).unwrap();
        *record.last_mut().unwrap() ^= 1;
        raw.sock.write_all(&record).unwrap();
        raw.read_to_end(&mut Vec::new()).unwrap_err().to_string()
    })
    .await;
    assert_eq!(within(ws.recv()).await.unwrap(), Some("right".into()));
    match within(ws.recv()).await.unwrap_err() {
        RecvError::Io(error) => assert_eq!(error.kind(), ErrorKind::InvalidData, "{error}"),
        other => panic!("{other:?}"),
    }
    drop(ws);
    let told = within(client).await.unwrap();
    assert!(told.contains("BadRecordMac"), "{told}");
}

#[tokio::test]
async fn what_is_no_tls_at_all_ends_a_connection_and_harms_nothing() {
    for garbage in [
        &[0x17, 3, 3, 0xff, 0xff, 1][..],
        b"GET / HTTP/1.1\r\n\r\n",
        &[0; 64],
    ] {
        let (mut ws, client) = against(move |mut raw| {
            raw.sock.write_all(garbage).unwrap();
            raw
        })
        .await;
        let error = within(ws.recv()).await.unwrap_err();
        assert!(matches!(error, RecvError::Io(_)), "{error:?}");
        drop(within(client).await.unwrap());
    }
}
