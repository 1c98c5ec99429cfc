//! TLS: who is trusted, which certificate is shown, and what went wrong. Everything that concerns
//! keys and records is rustls's; how records travel is in `transport/tls.rs`.
//!
//! [`ServerTls`] is for `Server`, [`ClientTls`] for `Connector`. TLS 1.3 and 1.2 are spoken. The cryptography is ring's, with
//! the feature `aws-lc-rs` that of aws-lc-rs; a provider that the process has
//! [installed](rustls::crypto::CryptoProvider::install_default) is used before either.

mod client;
mod details;
mod error;
mod pem;
mod server;

pub use client::{ClientTls, DangerousClientTls};
pub use details::TlsDetails;
pub use error::TlsError;
pub use rustls;
pub use server::ServerTls;

use rustls::crypto::CryptoProvider;
use std::sync::Arc;

/// Whose cryptography is used.
fn provider() -> Arc<CryptoProvider> {
    if let Some(provider) = CryptoProvider::get_default() {
        return Arc::clone(provider);
    }
    #[cfg(feature = "aws-lc-rs")]
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    #[cfg(not(feature = "aws-lc-rs"))]
    let provider = rustls::crypto::ring::default_provider();
    Arc::new(provider)
}
