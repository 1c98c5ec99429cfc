//! `--metrics`: what is counted, in Prometheus's text format, on an address of its own.

use crate::support::{Served, newswire, output, serve, within};
use newswire::CloseCode;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

fn address(server: &Served) -> SocketAddr {
    let mut lines = server.greeting.iter();
    let line = lines.find_map(|line| line.trim().strip_prefix("metrics http://"));
    let address = line.expect("it says where they are");
    address.trim_end_matches("/metrics").parse().unwrap()
}

fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// The values by their names with labels; that each has its type and its help is seen to.
fn read(address: SocketAddr) -> BTreeMap<String, f64> {
    let answer = get(address, "/metrics");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(
        head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"),
        "{head}"
    );
    assert!(body.ends_with('\n'));
    let mut values = BTreeMap::new();
    let mut described = BTreeSet::new();
    for line in body.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let mut words = comment.splitn(3, ' ');
            let (kind, name) = (words.next().unwrap(), words.next().unwrap());
            let rest = words.next().expect(line);
            assert!(
                kind == "HELP" || matches!(rest, "counter" | "gauge"),
                "{line}"
            );
            assert!(described.insert(format!("{kind} {name}")), "twice: {line}");
            continue;
        }
        let (name, value) = line.rsplit_once(' ').expect(line);
        let bare = name.split('{').next().unwrap();
        assert!(described.contains(&format!("TYPE {bare}")), "{line}");
        assert!(described.contains(&format!("HELP {bare}")), "{line}");
        assert!(
            values
                .insert(name.to_owned(), value.parse().expect(line))
                .is_none()
        );
    }
    values
}

/// The values once these are among them: what a client sees is counted a little later.
async fn read_until(address: SocketAddr, expected: &[(&str, f64)]) -> BTreeMap<String, f64> {
    for _ in 0..200 {
        let values = read(address);
        if expected.iter().all(|(name, value)| values[*name] == *value) {
            return values;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("not {expected:?}: {:?}", read(address));
}

#[tokio::test]
async fn what_happens_is_counted() {
    let server = serve(&["--metrics", "127.0.0.1:0"]);
    let address = address(&server);
    let before = read(address);
    assert_eq!(before["newswire_websockets_opened_total"], 0.0);
    let mut ws = within(newswire::connect(&server.url("/echo")))
        .await
        .unwrap();
    for _ in 0..3 {
        within(ws.send("x".repeat(100))).await.unwrap();
        within(ws.recv()).await.unwrap();
    }
    let expected = [
        ("newswire_websockets_open", 1.0),
        ("newswire_messages_received_total", 3.0),
        ("newswire_messages_sent_total", 3.0),
        ("newswire_queued_bytes", 0.0),
    ];
    let open = read_until(address, &expected).await;
    // Compressed, they are shorter.
    assert!(open["newswire_received_bytes_total"] > 30.0, "{open:?}");
    #[cfg(target_os = "linux")]
    assert!(open["process_resident_memory_bytes"] > 1e6, "{open:?}");
    assert!(open["newswire_sent_bytes_total"] > 15.0, "{open:?}");
    within(ws.close(CloseCode(4000), "")).await.unwrap();
    server.exchange(b"hello\n");
    let expected = [
        ("newswire_websockets_open", 0.0),
        ("newswire_websockets_opened_total", 1.0),
    ];
    let after = read_until(address, &expected).await;
    assert_eq!(
        after["newswire_websockets_closed_total{code=\"4000\"}"],
        1.0
    );
    let refused = |(name, count): (&String, &f64)| {
        let is = name.starts_with("newswire_handshakes_refused_total{reason=");
        is.then_some(*count)
    };
    assert_eq!(
        after.iter().filter_map(refused).sum::<f64>(),
        1.0,
        "{after:?}"
    );
    assert!(after["newswire_connections_accepted_total"] >= 2.0);
}

#[test]
fn metrics_are_nowhere_else() {
    let server = serve(&["--metrics", "127.0.0.1:0"]);
    assert_eq!(server.request("GET", "/metrics").status, 404);
    let answer = get(address(&server), "/");
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
}

#[test]
fn an_address_that_is_taken_is_3() {
    let server = serve(&[]);
    let taken = server.addr.to_string();
    let output = output(newswire(&["serve", "--port", "0", "--metrics", &taken]));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{errors}");
    assert!(
        errors.contains(&taken) && errors.contains("--metrics"),
        "{errors}"
    );
    assert_eq!(errors.lines().count(), 1, "{errors}");
}
