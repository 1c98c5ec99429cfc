//! From a host's name to its addresses: the operating system's way, or the user's.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

/// What a [`Resolve`] gives back.
pub type Resolving = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

/// Finds the addresses of a host: for [`Connector::resolver`](crate::Connector::resolver). A
/// closure that takes the name and the port is one:
///
/// ```
/// use newswire::Connector;
/// use std::net::{Ipv4Addr, SocketAddr};
///
/// let connector = Connector::new().resolver(async |_name, port| {
///     Ok(vec![SocketAddr::from((Ipv4Addr::LOCALHOST, port))])
/// });
/// ```
pub trait Resolve: Send + Sync + 'static {
    /// The addresses of `name`, the preferred one first, each with `port`. It is not asked for IP
    /// addresses. Nothing found is an error, or an empty list.
    fn resolve(&self, name: String, port: u16) -> Resolving;
}

impl<F, R> Resolve for F
where
    F: Fn(String, u16) -> R + Send + Sync + 'static,
    R: Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'static,
{
    fn resolve(&self, name: String, port: u16) -> Resolving {
        Box::pin(self(name, port))
    }
}

/// A resolver, or the operating system's.
#[derive(Clone, Default)]
pub(super) struct Resolver(Option<Arc<dyn Resolve>>);

impl Resolver {
    pub(super) fn new(resolve: impl Resolve) -> Self {
        Self(Some(Arc::new(resolve)))
    }

    pub(super) async fn resolve(&self, name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let addresses = match &self.0 {
            Some(resolve) => resolve.resolve(name.to_owned(), port).await?,
            None => tokio::net::lookup_host((name, port)).await?.collect(),
        };
        if addresses.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                "the name has no addresses",
            ));
        }
        Ok(addresses)
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Some(_) => "Given",
            None => "System",
        })
    }
}
