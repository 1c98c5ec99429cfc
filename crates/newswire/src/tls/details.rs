//! What a handshake has agreed on, for whoever wants to know.

use rustls::CommonState;
use rustls::ProtocolVersion;
use rustls::pki_types::CertificateDer;

/// What a TLS handshake has agreed on, and what the peer has shown.
#[derive(Clone, Debug)]
pub struct TlsDetails {
    version: &'static str,
    cipher: &'static str,
    alpn: Option<Box<[u8]>>,
    server_name: Option<Box<str>>,
    peer_certificates: Box<[CertificateDer<'static>]>,
}

impl TlsDetails {
    pub(super) fn new(state: &CommonState, server_name: Option<&str>) -> Self {
        let suite = state.negotiated_cipher_suite();
        Self {
            version: match state.protocol_version() {
                Some(ProtocolVersion::TLSv1_2) => "TLS 1.2",
                _ => "TLS 1.3",
            },
            cipher: suite
                .and_then(|suite| suite.suite().as_str())
                .unwrap_or("unknown"),
            alpn: state.alpn_protocol().map(Into::into),
            server_name: server_name.map(Into::into),
            peer_certificates: state
                .peer_certificates()
                .unwrap_or_default()
                .iter()
                .map(|certificate| certificate.clone().into_owned())
                .collect(),
        }
    }

    /// The version, `TLS 1.3` or `TLS 1.2`.
    #[must_use]
    pub fn version(&self) -> &'static str {
        self.version
    }

    /// The cipher suite, as IANA names it, such as `TLS13_AES_256_GCM_SHA384`.
    #[must_use]
    pub fn cipher(&self) -> &'static str {
        self.cipher
    }

    /// The application protocol (ALPN, RFC 7301), if any was agreed on, such as `http/1.1`.
    #[must_use]
    pub fn alpn(&self) -> Option<&[u8]> {
        self.alpn.as_deref()
    }

    /// The host that the client wants to talk to (SNI, RFC 6066 §3). A client that connects to an
    /// IP address names none.
    #[must_use]
    pub fn server_name(&self) -> Option<&str> {
        self.server_name.as_deref()
    }

    /// The certificates that the peer has shown, its own first: on a server those of a client,
    /// when it was asked for them and has any. They have been verified.
    #[must_use]
    pub fn peer_certificates(&self) -> &[CertificateDer<'static>] {
        &self.peer_certificates
    }
}
