//! [`TlsError`]: what went wrong with TLS, and what to do about it.

use std::path::PathBuf;
use std::{fmt, io};

use rustls::{AlertDescription, CertificateError, Error, PeerIncompatible};

/// Why there is no TLS: what it was to be made of is wrong, or the peer and this end did not come
/// together.
#[derive(Debug)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    File {
        /// Which.
        path: PathBuf,
        /// What the operating system says.
        error: io::Error,
    },
    /// A file has none of what is looked for in it, or has it garbled.
    Pem {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The private key is not the certificate's, or of no kind that can be used.
    Key {
        /// The key's file, where it comes from one.
        path: Option<PathBuf>,
        /// What rustls says.
        error: Error,
    },
    /// Something else that TLS was to be made of is wrong.
    Config(String),
    /// The URL's host is neither a name nor an IP address that a certificate could be for.
    ServerName(String),
    /// The peer does not speak TLS but text, such as plain HTTP.
    NotTls,
    /// The peer hung up in the middle of the handshake.
    Ended,
    /// The transport failed during the handshake.
    Io(io::Error),
    /// The peer is not trusted, does not trust this end, shares no version or cipher with it, or
    /// broke the protocol. It was told so, unless it was the peer who said so.
    Peer(Error),
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, error } => write!(f, "cannot read {}: {error}", path.display()),
            Self::Pem { path, reason } => write!(f, "{}: {reason}", path.display()),
            Self::Key { path, error } => {
                if let Some(path) = path {
                    write!(f, "{}: ", path.display())?;
                }
                match error {
                    Error::InconsistentKeys(_) => {
                        f.write_str("this private key is not the certificate's")
                    }
                    error => write!(f, "this private key cannot be used: {error}"),
                }
            }
            Self::Config(reason) => f.write_str(reason),
            Self::ServerName(name) => write!(
                f,
                "{name:?} is neither a host's name nor an IP address that a certificate can be for"
            ),
            Self::NotTls => f.write_str("the peer speaks no TLS here, but text such as plain HTTP"),
            Self::Ended => f.write_str("the peer hung up in the middle of the TLS handshake"),
            Self::Io(error) => write!(f, "the transport failed in the TLS handshake: {error}"),
            Self::Peer(error) => {
                error.fmt(f)?;
                match advice(error) {
                    Some(advice) => write!(f, " ({advice})"),
                    None => Ok(()),
                }
            }
        }
    }
}

/// What to look at, where rustls's words alone do not say.
fn advice(error: &Error) -> Option<&'static str> {
    Some(match error {
        Error::InvalidCertificate(error) => match error {
            CertificateError::UnknownIssuer => {
                "no authority that is trusted here has issued it; one of your own has to be named"
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "it has to be renewed, or this machine's clock is wrong"
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "this machine's clock may be wrong"
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "the host has to be called by a name that its certificate has"
            }
            // What rustls has no name for has that of the crate that it asks.
            CertificateError::Other(other) if other.to_string() == "CaUsedAsEndEntity" => {
                "an authority's certificate is for issuing others; `openssl req -x509` makes such \
                 ones unless there is -addext basicConstraints=critical,CA:FALSE"
            }
            _ => return None,
        },
        Error::NoCertificatesPresented => "a client certificate is required here",
        Error::AlertReceived(alert) => match alert {
            AlertDescription::UnknownCA => "the peer does not trust who has issued the certificate",
            AlertDescription::BadCertificate | AlertDescription::CertificateUnknown => {
                "the peer does not accept the certificate"
            }
            AlertDescription::CertificateExpired => {
                "the certificate has expired, or the peer's clock is wrong"
            }
            AlertDescription::CertificateRequired => "the peer requires a client certificate",
            AlertDescription::NoApplicationProtocol => {
                "the peer speaks none of the application protocols (ALPN) that were offered"
            }
            AlertDescription::HandshakeFailure | AlertDescription::ProtocolVersion => {
                "the peer shares no version or cipher with this end, which speaks TLS 1.2 and 1.3"
            }
            _ => return None,
        },
        Error::PeerIncompatible(
            PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled
            | PeerIncompatible::SupportedVersionsExtensionRequired,
        ) => "TLS 1.2 and 1.3 are spoken here",
        Error::NoApplicationProtocol => {
            "none of the application protocols (ALPN) that the client offers is spoken here"
        }
        Error::InvalidMessage(_) => "that was no TLS",
        _ => return None,
    })
}

impl std::error::Error for TlsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::File { error, .. } | Self::Io(error) => Some(error),
            Self::Key { error, .. } | Self::Peer(error) => Some(error),
            Self::Pem { .. }
            | Self::Config(_)
            | Self::ServerName(_)
            | Self::NotTls
            | Self::Ended => None,
        }
    }
}

impl From<TlsError> for io::Error {
    fn from(error: TlsError) -> Self {
        let kind = match &error {
            TlsError::File { error, .. } => error.kind(),
            TlsError::Io(error) => error.kind(),
            TlsError::Ended => io::ErrorKind::UnexpectedEof,
            TlsError::NotTls | TlsError::Peer(_) => io::ErrorKind::InvalidData,
            TlsError::Pem { .. }
            | TlsError::Key { .. }
            | TlsError::Config(_)
            | TlsError::ServerName(_) => io::ErrorKind::InvalidInput,
        };
        Self::new(kind, error)
    }
}

impl From<crate::transport::tls::Failure> for TlsError {
    fn from(failure: crate::transport::tls::Failure) -> Self {
        use crate::transport::tls::Failure;
        match failure {
            Failure::Io(error) => Self::Io(error),
            Failure::Ended => Self::Ended,
            Failure::NotTls => Self::NotTls,
            Failure::Tls(error) => Self::Peer(error),
        }
    }
}
