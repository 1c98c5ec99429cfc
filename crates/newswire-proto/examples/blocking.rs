//! An echo server and a client on plain `std::net`: `cargo run -p newswire-proto --example blocking`
//!
//! The whole driver of a connection is `drive`, one loop. It is what a runtime's driver does,
//! without timeouts: `set_read_timeout` and `poll_timeout` would add them.
#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a driver owns the sockets, the threads and the randomness"
)]

use bytes::{Buf, BytesMut};
use newswire_proto::handshake::{ClientHandshake, HeadReader, Upgrade, WebSocketUri};
use newswire_proto::{CloseCode, Connection, Event, Message};
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> Result {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let server = std::thread::spawn(move || serve(listener.accept()?.0));
    connect(TcpStream::connect(address)?, &format!("ws://{address}/"))?;
    server.join().expect("the server does not panic")
}

/// Answers the handshake, then sends back whatever comes.
fn serve(mut stream: TcpStream) -> Result {
    let mut bytes = BytesMut::new();
    let mut reader = HeadReader::default();
    let head = loop {
        read(&mut stream, &mut bytes)?;
        if let Some(head) = reader.read_request(&bytes)? {
            break head;
        }
    };
    stream.write_all(&Upgrade::from_head(&head)?.accept(None)?.to_bytes())?;
    let mut connection = Connection::server(Default::default());
    connection.handle_data(bytes.split_off(head.len));
    drive(&mut stream, connection, |connection, message| {
        Ok(connection.send(message)?)
    })
}

/// Opens the handshake, sends a message, and closes when the echo is there.
fn connect(mut stream: TcpStream, url: &str) -> Result {
    let nonce = (u128::from(random()) << 64 | u128::from(random())).to_be_bytes();
    let handshake = ClientHandshake::new(&WebSocketUri::parse(url)?, nonce);
    stream.write_all(&handshake.to_bytes())?;
    let mut bytes = BytesMut::new();
    let mut reader = HeadReader::default();
    let head = loop {
        read(&mut stream, &mut bytes)?;
        if let Some(head) = reader.read_response(&bytes)? {
            break head;
        }
    };
    handshake.verify(&head)?;
    let mut connection = Connection::client(Default::default(), || (random() as u32).to_be_bytes());
    connection.handle_data(bytes.split_off(head.len));
    connection.send("WebSocket rocks".into())?;
    drive(&mut stream, connection, |connection, message| {
        println!("received {message:?}");
        Ok(connection.close(CloseCode::NORMAL, "done")?)
    })
}

/// Events, writes, reads, until the connection is closed.
fn drive(
    stream: &mut TcpStream,
    mut connection: Connection,
    mut handle: impl FnMut(&mut Connection, Message) -> Result,
) -> Result {
    loop {
        while let Some(event) = connection.poll_event() {
            match event {
                Event::Message(message) => handle(&mut connection, message)?,
                Event::Closed => return connection.failure().map_or(Ok(()), |f| Err(f.into())),
                _ => {}
            }
        }
        if let Some(output) = connection.poll_transmit() {
            let written = stream.write(output.chunk())?;
            output.advance(written);
            continue;
        }
        let mut bytes = BytesMut::new();
        match read(stream, &mut bytes)? {
            0 => connection.handle_eof(),
            _ => connection.handle_data(bytes),
        }
    }
}

fn read(stream: &mut TcpStream, bytes: &mut BytesMut) -> Result<usize> {
    let mut piece = [0; 4096];
    let len = stream.read(&mut piece)?;
    bytes.extend_from_slice(&piece[..len]);
    Ok(len)
}

/// Unpredictable enough for an example: the seed of a hash map. Programs take a real source.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
