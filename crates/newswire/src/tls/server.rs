//! [`ServerTls`]: a server's certificate and key, which may be read anew while it serves.

use super::{TlsDetails, TlsError, pem, provider};
use crate::transport::Stream;
use crate::transport::tls::{Session, Tls};
use parking_lot::Mutex;
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{
    ClientHello, NoClientAuth, ResolvesServerCert, UnbufferedServerConnection, WebPkiClientVerifier,
};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};
use tokio::time::sleep;

/// What a client that speaks plain HTTP to a TLS port is told.
const TO_HTTP: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\
    Connection: close\r\n\
    Content-Type: text/plain\r\n\
    Content-Length: 44\r\n\r\n\
    This port speaks TLS: use wss: or https: for";

/// TLS for a server: a certificate with its key, and who may connect.
///
/// It is a handle: its clones are the same, so that one of them can [`reload`](Self::reload) what
/// the server uses. Connections that are open go on with what they began with.
///
/// ```no_run
/// # async fn example() -> newswire::Result {
/// use newswire::tls::ServerTls;
/// use std::time::Duration;
///
/// let tls = ServerTls::from_pem_files("fullchain.pem", "privkey.pem")?;
/// let watched = tls.clone();
/// tokio::spawn(async move {
///     let tell = |reloaded: Result<(), _>| match reloaded {
///         Ok(()) => println!("there is a new certificate"),
///         Err(error) => eprintln!("the certificate stays as it was: {error}"),
///     };
///     watched.watch(Duration::from_secs(60), tell).await;
/// });
///
/// let listener = tokio::net::TcpListener::bind("0.0.0.0:443").await?;
/// let (stream, _) = listener.accept().await?;
/// let (stream, details) = tls.accept(stream).await?;
/// println!("{} with {}", details.version(), details.cipher());
/// let ws = newswire::accept(stream, &newswire::Config::new()).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ServerTls(Arc<Inner>);

struct Inner {
    source: Source,
    loaded: Mutex<Loaded>,
}

struct Loaded {
    config: Arc<ServerConfig>,
    /// What the files looked like when they were last read.
    seen: Seen,
}

/// When each file was last written, and its size; none of a file that is not there.
type Seen = Vec<Option<(SystemTime, u64)>>;

/// What a configuration is made of, again and again.
#[derive(Clone, Debug)]
struct Source {
    identity: Identity,
    client_ca: Option<ClientCa>,
    alpn: Vec<Vec<u8>>,
}

#[derive(Clone, Debug)]
enum Identity {
    Files {
        certificates: PathBuf,
        key: PathBuf,
    },
    /// Made for this process.
    #[cfg(feature = "rcgen")]
    Made(Arc<CertifiedKey>),
    /// The user's own configuration.
    Given(Arc<ServerConfig>),
}

#[derive(Clone, Debug)]
struct ClientCa {
    path: PathBuf,
    required: bool,
}

impl ServerTls {
    /// The certificate in a PEM file, with those of the authorities between it and a root behind
    /// it, and its private key in another (or the same).
    ///
    /// # Errors
    /// [`TlsError`] names the file and what is wrong with it, also when the key is not the
    /// certificate's.
    pub fn from_pem_files(
        certificates: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Result<Self, TlsError> {
        Self::new(Identity::Files {
            certificates: certificates.into(),
            key: key.into(),
        })
    }

    /// A certificate for these names and IP addresses that nobody has signed but itself, with a
    /// key of its own: for development. It is made anew each time.
    ///
    /// # Errors
    /// [`TlsError::Config`] when a name is none that a certificate can have.
    #[cfg(feature = "rcgen")]
    pub fn self_signed<S: Into<String>>(
        names: impl IntoIterator<Item = S>,
    ) -> Result<Self, TlsError> {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        let made = rcgen::generate_simple_self_signed(names).map_err(|error| {
            TlsError::Config(format!("cannot make a self-signed certificate: {error}"))
        })?;
        let key = rustls::pki_types::PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let key = certified(vec![made.cert.der().clone()], key.into(), None)?;
        Self::new(Identity::Made(key))
    }

    /// A configuration of one's own, for what is not offered here, such as several certificates
    /// by name.
    #[must_use]
    pub fn from_config(config: Arc<ServerConfig>) -> Self {
        let source = Source {
            alpn: config.alpn_protocols.clone(),
            identity: Identity::Given(Arc::clone(&config)),
            client_ca: None,
        };
        Self::from_loaded(source, config, Seen::new())
    }

    fn new(identity: Identity) -> Result<Self, TlsError> {
        Self::from_source(Source {
            identity,
            client_ca: None,
            alpn: Vec::new(),
        })
    }

    fn from_source(source: Source) -> Result<Self, TlsError> {
        let seen = source.look();
        let config = source.load()?;
        Ok(Self::from_loaded(source, config, seen))
    }

    fn from_loaded(source: Source, config: Arc<ServerConfig>, seen: Seen) -> Self {
        let loaded = Mutex::new(Loaded { config, seen });
        Self(Arc::new(Inner { source, loaded }))
    }

    /// Asks clients for a certificate that one of the authorities in a PEM file has issued. Where
    /// it is not `required`, a client may also show none; one that is not right is refused in any
    /// case.
    ///
    /// # Errors
    /// [`TlsError`] names the file and what is wrong with it.
    pub fn client_ca(self, path: impl Into<PathBuf>, required: bool) -> Result<Self, TlsError> {
        let mut source = self.0.source.clone();
        source.client_ca = Some(ClientCa {
            path: path.into(),
            required,
        });
        Self::from_source(source)
    }

    /// The application protocols to agree on (ALPN, RFC 7301), the preferred one first. A client
    /// that offers some and none of these is refused. Default: none, and what clients offer is not
    /// looked at.
    #[must_use]
    pub fn alpn<P: Into<Vec<u8>>>(self, protocols: impl IntoIterator<Item = P>) -> Self {
        let mut source = self.0.source.clone();
        source.alpn = protocols.into_iter().map(Into::into).collect();
        let mut config = ServerConfig::clone(&self.current());
        config.alpn_protocols.clone_from(&source.alpn);
        let seen = self.0.loaded.lock().seen.clone();
        Self::from_loaded(source, Arc::new(config), seen)
    }

    /// Reads all files again, for the handshakes from now on.
    ///
    /// # Errors
    /// [`TlsError`] names the file and what is wrong with it; everything stays as it was.
    pub fn reload(&self) -> Result<(), TlsError> {
        let seen = self.0.source.look();
        let config = self.0.source.load();
        let mut loaded = self.0.loaded.lock();
        loaded.seen = seen;
        loaded.config = config?;
        Ok(())
    }

    /// Looks at the files at this interval and [reloads](Self::reload) them when they have
    /// changed, for as long as the future is polled; it never ends. What came of each reload is
    /// told to `tell`. After an error everything stays as it was, until the files change again.
    ///
    /// # Cancel safety
    /// Dropping the future ends the watch.
    pub async fn watch(&self, interval: Duration, mut tell: impl FnMut(Result<(), TlsError>)) {
        loop {
            sleep(interval).await;
            let seen = self.0.source.look();
            if seen != self.0.loaded.lock().seen {
                tell(self.reload());
            }
        }
    }

    fn current(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.0.loaded.lock().config)
    }

    /// Does the server's part of a handshake on an accepted stream: TCP, a Unix socket, or
    /// another [`Stream`]. There is no timeout; a server has one around it.
    ///
    /// # Errors
    /// An [`io::Error`] that holds a [`TlsError`]: what the client did, or did not accept. It was
    /// told, in plain HTTP when that is what it spoke.
    ///
    /// # Cancel safety
    /// Dropping the future drops the stream.
    pub async fn accept(&self, stream: impl Into<Stream>) -> io::Result<(Stream, TlsDetails)> {
        self.handshake(stream.into()).await.map_err(Into::into)
    }

    async fn handshake(&self, stream: Stream) -> Result<(Stream, TlsDetails), TlsError> {
        let mut config = ServerConfig::clone(&self.current());
        let asked = Arc::new(Asked {
            certificates: Arc::clone(&config.cert_resolver),
            server_name: OnceLock::new(),
        });
        config.cert_resolver = Arc::clone(&asked) as _;
        let session = UnbufferedServerConnection::new(Arc::new(config)).map_err(TlsError::Peer)?;
        let tls = Tls::open(stream, Session::Server(session), TO_HTTP).await?;
        let server_name = asked.server_name.get().map(|name| &**name);
        let details = TlsDetails::new(tls.state(), server_name);
        Ok((Stream::from_tls(tls), details))
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Source {
            identity,
            client_ca,
            alpn: _,
        } = &self.0.source;
        let mut debug = f.debug_struct("ServerTls");
        if let Identity::Files { certificates, key } = identity {
            debug.field("certificates", certificates).field("key", key);
        }
        debug.field("client_ca", client_ca).finish_non_exhaustive()
    }
}

impl Source {
    /// Reads everything.
    fn load(&self) -> Result<Arc<ServerConfig>, TlsError> {
        let provider = provider();
        let key = match &self.identity {
            Identity::Files { certificates, key } => certified(
                pem::certificates(certificates)?,
                pem::private_key(key)?,
                Some(key),
            )?,
            #[cfg(feature = "rcgen")]
            Identity::Made(key) => Arc::clone(key),
            Identity::Given(_) if self.client_ca.is_some() => {
                return Err(TlsError::Config(
                    "a rustls configuration of one's own says itself whom it lets in".to_owned(),
                ));
            }
            Identity::Given(config) => {
                let mut config = ServerConfig::clone(config);
                config.alpn_protocols.clone_from(&self.alpn);
                return Ok(Arc::new(config));
            }
        };
        let verifier = match &self.client_ca {
            Some(ca) => ca.verifier()?,
            None => Arc::new(NoClientAuth),
        };
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::Config(error.to_string()))?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(key)));
        config.alpn_protocols.clone_from(&self.alpn);
        Ok(Arc::new(config))
    }

    fn look(&self) -> Seen {
        let Self {
            identity,
            client_ca,
            alpn: _,
        } = self;
        let mut paths = Vec::new();
        if let Identity::Files { certificates, key } = identity {
            paths.extend([certificates, key]);
        }
        paths.extend(client_ca.as_ref().map(|ca| &ca.path));
        let look = |path: &PathBuf| {
            let metadata = fs::metadata(path).ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        };
        paths.into_iter().map(look).collect()
    }
}

impl ClientCa {
    fn verifier(&self) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
        let roots = Arc::new(pem::authorities(&self.path)?);
        let mut builder = WebPkiClientVerifier::builder_with_provider(roots, provider());
        if !self.required {
            builder = builder.allow_unauthenticated();
        }
        builder.build().map_err(|error| TlsError::Pem {
            path: self.path.clone(),
            reason: error.to_string(),
        })
    }
}

/// The certificates with the key, which must be theirs.
fn certified(
    certificates: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    path: Option<&Path>,
) -> Result<Arc<CertifiedKey>, TlsError> {
    CertifiedKey::from_der(certificates, key, &provider())
        .map(Arc::new)
        .map_err(|error| TlsError::Key {
            path: path.map(Path::to_owned),
            error,
        })
}

/// Gives the configured certificate, and takes note of whom the client wants to talk to.
#[derive(Debug)]
struct Asked {
    certificates: Arc<dyn ResolvesServerCert>,
    server_name: OnceLock<Box<str>>,
}

impl ResolvesServerCert for Asked {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        if let Some(name) = hello.server_name() {
            // After a second hello, the name is what it was.
            let _ = self.server_name.set(name.into());
        }
        self.certificates.resolve(hello)
    }

    fn only_raw_public_keys(&self) -> bool {
        self.certificates.only_raw_public_keys()
    }
}
