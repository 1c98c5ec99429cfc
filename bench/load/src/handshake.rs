//! The client's opening handshake (RFC 6455 §4.1) in plain bytes: its request, the check of its response, and one made
//! blocking, before any clock runs. Many at a time are in `handshakes`.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::deflate::{Agreed, OFFER};
use crate::sources::{Sources, socket};
use crate::tls::{self, Socket};
use crate::{Kind, Result};

/// Time for one connection to be made and upgraded.
const DEADLINE: Duration = Duration::from_secs(5);
/// The longest response that is read.
pub(crate) const MAX_HEAD: usize = 8192;

/// Connects and upgrades one connection for this kind of messages, and makes it non-blocking with `TCP_NODELAY`. What
/// came of compression, if that is offered.
pub(crate) fn connect(
    address: SocketAddr,
    path: &str,
    sources: Option<&mut Sources>,
    kind: Kind,
) -> Result<(Socket, Option<Agreed>)> {
    let socket = socket(sources)?;
    socket.connect_timeout(&address.into(), DEADLINE)?;
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(DEADLINE))?;
    let mut session = match kind {
        Kind::Tls => Some(tls::session()?),
        _ => None,
    };
    let agreed = match &mut session {
        Some(session) => {
            let mut stream = tls::blocking(&mut stream, session);
            upgrade(&mut stream, address, path, false)?
        }
        None => upgrade(&mut stream, address, path, kind == Kind::Deflate)?,
    };
    stream.set_read_timeout(None)?;
    stream.set_nonblocking(true)?;
    let stream = mio::net::TcpStream::from_std(stream);
    let socket = match session {
        Some(session) => Socket::Tls(stream, Box::new(session.into())),
        None => Socket::Plain(stream),
    };
    Ok((socket, agreed))
}

/// Upgrades a connection that is there.
fn upgrade(
    stream: &mut (impl Read + Write),
    address: SocketAddr,
    path: &str,
    offers: bool,
) -> Result<Option<Agreed>> {
    let key = key();
    stream.write_all(request(address, path, &key, offers).as_bytes())?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        // A byte at a time: what follows the head is not part of it, and nothing is being measured yet.
        let mut byte = [0];
        if stream.read(&mut byte)? == 0 || head.len() == MAX_HEAD {
            return Err(no_end(&head));
        }
        head.push(byte[0]);
    }
    check(&String::from_utf8_lossy(&head), &accept(&key), offers)
}

/// A `Sec-WebSocket-Key`.
pub(crate) fn key() -> String {
    STANDARD.encode(fastrand::u128(..).to_ne_bytes())
}

/// The request of the opening handshake (RFC 6455 §4.1), with an offer of permessage-deflate or without.
pub(crate) fn request(address: SocketAddr, path: &str, key: &str, offers: bool) -> String {
    let extensions = if offers {
        format!("Sec-WebSocket-Extensions: {OFFER}\r\n")
    } else {
        String::new()
    };
    format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n{extensions}\r\n"
    )
}

/// What there is of a response that does not end.
pub(crate) fn no_end(head: &[u8]) -> crate::Error {
    format!(
        "no end of the HTTP response in {:?}",
        String::from_utf8_lossy(head)
    )
    .into()
}

/// What a server answers to this `Sec-WebSocket-Key` (RFC 6455 §4.2.2).
pub fn accept(key: &str) -> String {
    let digest = sha1_smol::Sha1::from(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11"));
    STANDARD.encode(digest.digest().bytes())
}

/// Whether a response, as far as its empty line, is the right one, and what it says of compression.
pub(crate) fn check(head: &str, accept: &str, offered: bool) -> Result<Option<Agreed>> {
    let field = |name: &str| {
        let mut lines = head.lines().filter_map(|line| line.split_once(':'));
        lines
            .find(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
    };
    if !head.starts_with("HTTP/1.1 101 ") {
        Err(format!(
            "the upgrade was refused: {:?}",
            head.lines().next().unwrap_or_default()
        )
        .into())
    } else if field("Sec-WebSocket-Accept") != Some(accept) {
        Err(format!(
            "Sec-WebSocket-Accept should be {accept:?}, is {:?}",
            field("Sec-WebSocket-Accept")
        )
        .into())
    } else {
        match field("Sec-WebSocket-Extensions") {
            Some(extensions) if offered => Agreed::read(extensions).map(Some),
            Some(extensions) => {
                Err(format!("the server chose {extensions:?}, and no extension was offered").into())
            }
            None => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_key_of_the_rfc_gives_its_accept_value() {
        assert_eq!(
            accept("dGhlIHNhbXBsZSBub25jZQ=="),
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
    }

    #[test]
    fn only_a_101_with_the_right_accept_value_and_no_extension_but_the_offered_one_passes() {
        let good = "HTTP/1.1 101 Switching Protocols\r\nsec-websocket-accept:  abc= \r\n\r\n";
        for offered in [false, true] {
            assert_eq!(check(good, "abc=", offered).unwrap(), None);
            check(good, "abd=", offered).unwrap_err();
            check(&good.replace("101", "200"), "abc=", offered).unwrap_err();
        }
        let with = |extensions: &str| {
            let line = format!("\r\nSec-WebSocket-Extensions: {extensions}\r\n\r\n");
            good.replace("\r\n\r\n", &line)
        };
        let deflate = with("permessage-deflate; client_max_window_bits=10");
        check(&deflate, "abc=", false).unwrap_err();
        assert!(check(&deflate, "abc=", true).unwrap().is_some());
        for wrong in [
            "x-webkit-deflate-frame",
            "permessage-deflate, permessage-deflate",
            "permessage-deflate; client_max_window_bits=7",
            "permessage-deflate; something=1",
        ] {
            check(&with(wrong), "abc=", true).unwrap_err();
        }
    }
}
