//! [`ClientTls`]: whom a client trusts, and what it shows of itself.

use super::{TlsError, pem, provider};
use crate::transport::Stream;
use crate::transport::tls::{Session, Tls};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{UnbufferedClientConnection, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::fmt;
use std::path::Path;
use std::sync::{Arc, OnceLock};

/// TLS for a client: whom it trusts, and what it shows of itself.
///
/// The default trusts whom the operating system trusts, shows nothing, and offers `http/1.1` as
/// the application protocol (ALPN). What it needs is read when it is first used and then kept, by
/// its clones too, together with what lets a later connection to the same server begin sooner.
///
/// ```no_run
/// # async fn example() -> newswire::Result {
/// use newswire::Connector;
/// use newswire::tls::ClientTls;
///
/// let tls = ClientTls::new().ca_file("company-ca.pem")?;
/// let ws = Connector::new().tls(tls).connect("wss://intranet.example/feed").await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ClientTls {
    trust: Trust,
    identity: Option<Arc<Identity>>,
    alpn: Vec<Vec<u8>>,
    /// What these come to, once it was needed.
    config: Arc<OnceLock<Arc<ClientConfig>>>,
}

/// Whom the client trusts.
#[derive(Clone)]
enum Trust {
    Platform,
    Roots(Arc<RootCertStore>),
    Anybody,
    /// The user's own configuration.
    Given(Arc<ClientConfig>),
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Platform => "Platform",
            Self::Roots(_) => "Roots",
            Self::Anybody => "Anybody",
            Self::Given(_) => "Given",
        })
    }
}

/// A client's certificate.
#[derive(Debug)]
struct Identity {
    certificates: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Default for ClientTls {
    fn default() -> Self {
        Self::with(Trust::Platform)
    }
}

impl ClientTls {
    /// Trusts whom the operating system trusts.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts the authorities that Mozilla trusts, as of the version of the crate `webpki-roots`:
    /// for machines that have none of their own, such as containers with nothing in them.
    #[cfg(feature = "webpki-roots")]
    #[must_use]
    pub fn webpki_roots() -> Self {
        let roots = RootCertStore {
            roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
        };
        Self::with(Trust::Roots(Arc::new(roots)))
    }

    /// A configuration of one's own, for what is not offered here.
    #[must_use]
    pub fn from_config(config: Arc<ClientConfig>) -> Self {
        Self::with(Trust::Given(config))
    }

    fn with(trust: Trust) -> Self {
        Self {
            trust,
            identity: None,
            alpn: vec![b"http/1.1".to_vec()],
            config: Arc::default(),
        }
    }

    fn change(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self.config = Arc::default();
        self
    }

    /// Trusts the authorities in a PEM file, and no others.
    ///
    /// # Errors
    /// [`TlsError`] names the file and what is wrong with it.
    pub fn ca_file(self, path: impl AsRef<Path>) -> Result<Self, TlsError> {
        let roots = pem::authorities(path.as_ref())?;
        Ok(self.change(|tls| tls.trust = Trust::Roots(Arc::new(roots))))
    }

    /// Shows the certificate in a PEM file when the server asks for one, with its private key in
    /// another (or the same).
    ///
    /// # Errors
    /// [`TlsError`] names the file and what is wrong with it, also when the key is not the
    /// certificate's.
    pub fn identity_files(
        self,
        certificates: impl AsRef<Path>,
        key: impl AsRef<Path>,
    ) -> Result<Self, TlsError> {
        let path = key.as_ref();
        let identity = Identity {
            certificates: pem::certificates(certificates.as_ref())?,
            key: pem::private_key(path)?,
        };
        rustls::sign::CertifiedKey::from_der(
            identity.certificates.clone(),
            identity.key.clone_key(),
            &provider(),
        )
        .map_err(|error| TlsError::Key {
            path: Some(path.to_owned()),
            error,
        })?;
        Ok(self.change(|tls| tls.identity = Some(Arc::new(identity))))
    }

    /// The application protocols to offer (ALPN, RFC 7301), the preferred one first. Default:
    /// `http/1.1`, as browsers do for WebSockets. None means that nothing is offered.
    #[must_use]
    pub fn alpn<P: Into<Vec<u8>>>(self, protocols: impl IntoIterator<Item = P>) -> Self {
        let protocols = protocols.into_iter().map(Into::into).collect();
        self.change(|tls| tls.alpn = protocols)
    }

    /// To what takes the protection away that TLS is for.
    #[must_use]
    pub fn dangerous(self) -> DangerousClientTls {
        DangerousClientTls(self)
    }

    /// The configuration of rustls that all of this comes to, for those who drive it themselves.
    ///
    /// # Errors
    /// [`TlsError`] when the operating system's authorities cannot be read, or what was set does
    /// not go together.
    pub fn config(&self) -> Result<Arc<ClientConfig>, TlsError> {
        if let Some(config) = self.config.get() {
            return Ok(Arc::clone(config));
        }
        let config = self.make_config()?;
        // If another was faster, that is as good.
        Ok(Arc::clone(self.config.get_or_init(|| config)))
    }

    fn make_config(&self) -> Result<Arc<ClientConfig>, TlsError> {
        let wrong = |error: &dyn fmt::Display| TlsError::Config(error.to_string());
        let provider = provider();
        let verifier: Arc<dyn ServerCertVerifier> = match &self.trust {
            Trust::Platform => Arc::new(
                rustls_platform_verifier::Verifier::new(Arc::clone(&provider))
                    .map_err(|error| wrong(&error))?,
            ),
            Trust::Roots(roots) => {
                let roots = Arc::clone(roots);
                WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider))
                    .build()
                    .map_err(|error| wrong(&error))?
            }
            Trust::Anybody => Arc::new(Anybody(Arc::clone(&provider))),
            Trust::Given(config) => return Ok(Arc::clone(config)),
        };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| wrong(&error))?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match self.identity.as_deref() {
            Some(Identity { certificates, key }) => builder
                .with_client_auth_cert(certificates.clone(), key.clone_key())
                .map_err(|error| TlsError::Key { path: None, error })?,
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols.clone_from(&self.alpn);
        Ok(Arc::new(config))
    }

    /// Does the client's part of a handshake with the server called `host`, which is a name or an
    /// IP address (with or without the brackets of a URL), on a stream that is connected to it.
    /// There is no timeout.
    ///
    /// # Errors
    /// [`TlsError`] says what the server did, or is not.
    ///
    /// # Cancel safety
    /// Dropping the future drops the stream.
    pub async fn connect(&self, host: &str, stream: impl Into<Stream>) -> Result<Stream, TlsError> {
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        let name = ServerName::try_from(bare.unwrap_or(host).to_owned())
            .map_err(|_| TlsError::ServerName(host.to_owned()))?;
        let session =
            UnbufferedClientConnection::new(self.config()?, name).map_err(TlsError::Peer)?;
        let tls = Tls::open(stream.into(), Session::Client(session), b"").await?;
        Ok(Stream::from_tls(tls))
    }
}

/// What is behind [`ClientTls::dangerous`].
#[derive(Debug)]
pub struct DangerousClientTls(ClientTls);

impl DangerousClientTls {
    /// Takes whatever certificate the server shows. Anybody between here and there can then read
    /// and change everything: for tests against a server of one's own.
    #[must_use]
    pub fn accept_any_certificate(self) -> ClientTls {
        self.0.change(|tls| tls.trust = Trust::Anybody)
    }
}

/// Looks at no certificate. That the server has the key of the one that it shows is still checked.
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
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
