//! A socket with TLS, by rustls as its own documentation has it, or without: of the load, and of the floor. Whom the load
//! talks to is a server that it or its user has started, so that whatever certificate it shows is taken.

use std::io::{self, Read, Write};
use std::net;
use std::sync::Arc;

use mio::net::TcpStream;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, Connection, DigitallySignedStruct, ServerConfig,
    ServerConnection, SignatureScheme,
};

use crate::Result;

/// A socket that does not block.
#[derive(Debug)]
pub enum Socket {
    /// Without TLS.
    Plain(TcpStream),
    /// Either end of TLS.
    Tls(TcpStream, Box<Connection>),
}

impl Socket {
    /// What events are about.
    pub fn source(&mut self) -> &mut TcpStream {
        match self {
            Self::Plain(stream) | Self::Tls(stream, _) => stream,
        }
    }

    /// The stream without what TLS there was.
    pub(crate) fn into_stream(self) -> TcpStream {
        match self {
            Self::Plain(stream) | Self::Tls(stream, _) => stream,
        }
    }
}

impl Read for Socket {
    /// As a socket's: less than there is room for means that the socket is empty. With TLS a record at a time would not.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (stream, session) = match self {
            Self::Plain(stream) => return stream.read(buffer),
            Self::Tls(stream, session) => (stream, session),
        };
        let (mut is_empty, mut read) = (false, 0);
        while read < buffer.len() {
            match session.reader().read(&mut buffer[read..]) {
                Ok(0) => break,
                Ok(len) => read += len,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    match session.read_tls(&mut UntilShort {
                        stream,
                        is_empty: &mut is_empty,
                    }) {
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock && read > 0 => {
                            break;
                        }
                        read => read?,
                    };
                    session.process_new_packets().map_err(io::Error::other)?;
                    // The handshake.
                    write_records(stream, session)?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(read)
    }
}

/// Reads until the socket has given less than there was room for: the next bytes come with a new event.
struct UntilShort<'a> {
    stream: &'a mut TcpStream,
    is_empty: &'a mut bool,
}

impl Read for UntilShort<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if *self.is_empty {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let len = self.stream.read(buffer)?;
        *self.is_empty = 0 < len && len < buffer.len();
        Ok(len)
    }
}

impl Write for Socket {
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

fn write_records(stream: &mut TcpStream, session: &mut Connection) -> io::Result<()> {
    while session.wants_write() {
        match session.write_tls(stream) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            written => written?,
        };
    }
    Ok(())
}

/// A session with the server of loopback.
pub(crate) fn session() -> Result<ClientConnection> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let name = ServerName::try_from("localhost")?;
    Ok(ClientConnection::new(Arc::new(config), name)?)
}

/// What a server of TLS needs, with a certificate made for it.
///
/// # Errors
/// When that cannot be made.
pub fn server_config() -> Result<Arc<ServerConfig>> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.into())?;
    Ok(Arc::new(config))
}

impl Socket {
    /// The server's end of an accepted connection: with TLS if there is a configuration for it.
    ///
    /// # Errors
    /// When rustls does not take the configuration.
    pub fn accepted(stream: TcpStream, tls: Option<&Arc<ServerConfig>>) -> Result<Self> {
        Ok(match tls {
            Some(config) => {
                let session = ServerConnection::new(Arc::clone(config))?;
                Self::Tls(stream, Box::new(session.into()))
            }
            None => Self::Plain(stream),
        })
    }
}

/// A blocking stream over the two, for the opening handshake.
pub(crate) fn blocking<'a>(
    stream: &'a mut net::TcpStream,
    session: &'a mut ClientConnection,
) -> rustls::Stream<'a, ClientConnection, net::TcpStream> {
    rustls::Stream::new(session, stream)
}

/// Looks at no certificate.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
