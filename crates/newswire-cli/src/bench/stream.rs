//! The socket of a connection under load: plain, or with TLS of this library's settings. Bytes go
//! through as through a socket that does not block; what they say is not known here.

use super::plan::{Plan, Secure};
use mio::net::TcpStream;
use newswire::tls::{TlsError, rustls};
use rustls::ClientConnection;
use std::io::{self, Read, Write};
use std::sync::Arc;

/// A socket that does not block.
#[derive(Debug)]
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(TcpStream, Box<ClientConnection>),
}

impl Stream {
    /// A socket that connects, with TLS where the plan has it.
    pub(super) fn new(plan: &Plan, stream: TcpStream) -> io::Result<Self> {
        Ok(match &plan.secure {
            None => Self::Plain(stream),
            Some(Secure { config, name }) => {
                let session = ClientConnection::new(Arc::clone(config), name.clone());
                Self::Tls(stream, Box::new(session.map_err(TlsError::Peer)?))
            }
        })
    }

    /// What events are about.
    pub(super) fn source(&mut self) -> &mut TcpStream {
        match self {
            Self::Plain(stream) | Self::Tls(stream, _) => stream,
        }
    }
}

impl Read for Stream {
    /// As a socket's: less than there is room for means that the socket is empty. A record at a
    /// time would not.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (stream, session) = match self {
            Self::Plain(stream) => return stream.read(buffer),
            Self::Tls(stream, session) => (stream, session),
        };
        let mut read = 0;
        while read < buffer.len() {
            match session.reader().read(&mut buffer[read..]) {
                Ok(0) => break,
                Ok(len) => read += len,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    match session.read_tls(stream) {
                        Ok(_) => {}
                        // What came before it is handed on first; the error comes again.
                        Err(_) if read > 0 => break,
                        Err(error) => return Err(error),
                    }
                    let processed = session.process_new_packets();
                    // A part of the handshake, an alert, or nothing.
                    let _ = write_records(stream, session);
                    processed.map_err(TlsError::Peer)?;
                }
                // The end without an end of TLS, behind what came before it.
                Err(_) if read > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(read)
    }
}

impl Write for Stream {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let (stream, session) = match self {
            Self::Plain(stream) => return stream.write(data),
            Self::Tls(stream, session) => (stream, session),
        };
        write_records(stream, session)?;
        if session.wants_write() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let len = session.writer().write(data)?;
        write_records(stream, session)?;
        Ok(len)
    }

    /// Writes the records that the socket has not taken yet, as far as it takes them now.
    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Tls(stream, session) => write_records(stream, session),
        }
    }
}

fn write_records(stream: &mut TcpStream, session: &mut ClientConnection) -> io::Result<()> {
    while session.wants_write() {
        match session.write_tls(stream) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // It takes no more, or is still connecting.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected
                ) =>
            {
                break;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
