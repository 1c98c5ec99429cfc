//! The load generator against servers made here: an honest one is measured, and one that lies even once gives no figures.

#![allow(
    clippy::unwrap_used,
    reason = "in a test a panic is how a failure is told"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use load::{Idle, Kind, Measurement, Plan, Result, Sources, drive, handshakes};

/// Does to the bytes of reply `number` of one connection what its test is about.
type Mangle = fn(number: usize, reply: &mut Vec<u8>);

/// An echo server of small messages on one thread a connection.
fn serve(mangle: Mangle) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            // An error here is the client leaving.
            thread::spawn(move || echo(stream, mangle).ok());
        }
    });
    address
}

fn echo(mut stream: TcpStream, mangle: Mangle) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let (_, key) = head.split_once("Sec-WebSocket-Key: ").unwrap();
    let key = key.lines().next().unwrap();
    let digest = sha1_smol::Sha1::from(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
        .digest()
        .bytes();
    let accept = base64::engine::general_purpose::STANDARD.encode(digest);
    // What is sent back is what came: a message for itself, as it is compressed.
    let extensions = if head.contains("permessage-deflate; client_max_window_bits\r\n") {
        "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=10\r\n"
    } else {
        ""
    };
    write!(
        stream,
        "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: {accept}\r\n{extensions}\r\n"
    )?;
    for number in 0.. {
        let mut header = [0; 6];
        stream.read_exact(&mut header)?;
        let mut payload = vec![0; usize::from(header[1] & 0x7f)];
        stream.read_exact(&mut payload)?;
        let mut reply = vec![header[0], header[1] & 0x7f];
        reply.extend(
            payload
                .iter()
                .zip(header[2..].iter().cycle())
                .map(|(byte, key)| byte ^ key),
        );
        mangle(number, &mut reply);
        stream.write_all(&reply)?;
    }
    Ok(())
}

fn load(cell: &str, mangle: Mangle) -> Result<Measurement> {
    load_at(serve(mangle), cell, true)
}

fn plan(address: SocketAddr, compares: bool) -> Plan {
    Plan {
        address,
        path: "/echo".into(),
        warm_up: Duration::from_millis(20),
        window: Duration::from_millis(60),
        compares,
        server_pid: Some(std::process::id()),
    }
}

fn load_at(address: SocketAddr, cell: &str, compares: bool) -> Result<Measurement> {
    drive(&plan(address, compares), cell.parse().unwrap())
}

#[test]
fn an_honest_server_is_measured() {
    let depth_1 = load("20x3x1", |_, _| ()).unwrap();
    assert!(depth_1.messages > 0 && depth_1.messages <= depth_1.total && depth_1.compared > 0);
    assert!(
        depth_1.wall_s >= 0.06 && depth_1.p50_us <= depth_1.p99_us && depth_1.p50_us > Some(0.0)
    );
    let deep = load("100x2x8:utf8", |_, _| ()).unwrap();
    assert!(deep.messages > 0 && deep.p50_us.is_none(), "{deep:?}");
}

#[test]
fn compressed_messages_are_offered_sent_and_inflated() {
    let measurement = load("100x3x4:deflate", |_, _| ()).unwrap();
    let agreed = measurement.agreed.as_deref();
    assert_eq!(
        agreed,
        Some("permessage-deflate; client_max_window_bits=10")
    );
    assert!(measurement.messages > 0 && measurement.compared > 0);
    assert!(
        measurement
            .ratio
            .is_some_and(|ratio| ratio > 0.1 && ratio < 0.98),
        "{measurement:?}"
    );
    let error = load("100x1x4:deflate", |number, reply| {
        reply[30] ^= u8::from(number == 16) << 3
    })
    .unwrap_err()
    .to_string();
    assert!(error.starts_with("connection 0: reply 16: "), "{error}");
    let plain = load("20x1x1", |_, _| ()).unwrap();
    assert_eq!((plain.ratio, plain.agreed), (None, None));
}

#[test]
fn the_floor_sends_as_many_bytes_as_an_echo_and_is_measured_without_comparing() {
    let mut floor = Command::new(env!("CARGO_BIN_EXE_echo_raw"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut port = String::new();
    let mut stdout = BufReader::new(floor.stdout.take().unwrap());
    stdout.read_line(&mut port).unwrap();
    let address = SocketAddr::from(([127, 0, 0, 1], port.trim().parse().unwrap()));
    let counted: Vec<_> = ["20x3x1", "1Kx2x16", "1Mx2x2"]
        .map(|cell| load_at(address, cell, false))
        .into();
    let compared = load_at(address, "20x1x1", true);
    floor.kill().unwrap();
    floor.wait().unwrap();
    for measurement in counted {
        let measurement = measurement.unwrap();
        assert!(measurement.messages > 0 && measurement.compared == 0);
    }
    // It is no echo, and nobody can take it for one.
    let error = compared.unwrap_err().to_string();
    assert!(error.starts_with("connection 0: reply 0: "), "{error}");
}

#[test]
fn one_wrong_byte_in_a_compared_reply_ends_the_run() {
    let error = load("20x1x4", |number, reply| {
        reply[21] ^= u8::from(number == 32)
    })
    .unwrap_err()
    .to_string();
    assert!(
        error.starts_with("connection 0: reply 32: byte 21 "),
        "{error}"
    );
}

#[test]
fn one_wrong_length_in_any_reply_ends_the_run() {
    let error = load("20x1x4", |number, reply| reply[1] += u8::from(number == 5))
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("connection 0: reply 5: byte 1 "),
        "{error}"
    );
}

#[test]
fn a_reply_sent_twice_ends_the_run() {
    let twice: Mangle = |number, reply| {
        if number == 3 {
            reply.extend_from_within(..);
        }
    };
    // With one message in flight the second copy is a reply to nothing, or stands where the next should be.
    load("20x1x1", twice).unwrap_err();
}

#[test]
fn a_server_that_answers_no_more_ends_the_run_in_bounded_time() {
    let error = load("20x1x1", |number, reply| {
        reply.truncate(if number < 3 { 22 } else { 0 })
    })
    .unwrap_err()
    .to_string();
    assert!(
        error.starts_with("no reply for 5s, after 3 replies"),
        "{error}"
    );
}

#[test]
fn every_handshake_of_an_honest_server_is_checked_and_counted() {
    let measurement = handshakes(&plan(serve(|_, _| ()), true), 4).unwrap();
    assert!(measurement.messages > 0 && measurement.messages <= measurement.total);
    assert_eq!(measurement.compared, measurement.total);
    assert!(measurement.p50_us > Some(0.0) && measurement.p50_us <= measurement.p99_us);
}

#[test]
fn a_close_handshake_that_is_answered_with_something_else_ends_the_run() {
    let no_close: Mangle = |_, reply| reply[0] = 0x82;
    let error = handshakes(&plan(serve(no_close), true), 1).unwrap_err();
    let error = error.to_string();
    assert!(error.contains("came where a Close frame is due"), "{error}");
}

#[test]
fn idle_connections_echo_every_size_and_one_wrong_byte_ends_it() {
    let mut idle = Idle::open(&plan(serve(|_, _| ()), true), Kind::Binary, 100, None).unwrap();
    for size in [0, 20, 125, 20] {
        idle.echo(size).unwrap();
    }
    idle.close().unwrap();

    let lies: Mangle = |number, reply| reply[1] ^= u8::from(number == 1);
    let mut idle = Idle::open(&plan(serve(lies), true), Kind::Binary, 3, None).unwrap();
    idle.echo(20).unwrap();
    let error = idle.echo(20).unwrap_err().to_string();
    assert!(error.contains("reply "), "{error}");
}

#[test]
fn connections_come_from_the_sources_that_are_asked_for() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let plan = plan(listener.local_addr().unwrap(), true);
    // It hangs up on each without an answer.
    let accept = move || [(); 2].map(|()| listener.accept().unwrap().1);
    let peers = thread::spawn(accept);
    for number in [20, 21] {
        let opened = Idle::open(&plan, Kind::Binary, 1, Some(Sources::new(number)));
        assert!(opened.is_err());
    }
    let [one, other] = peers.join().unwrap();
    assert!(one.to_string().starts_with("127.21.0.1:"), "{one}");
    assert!(other.to_string().starts_with("127.22.0.1:"), "{other}");
}
