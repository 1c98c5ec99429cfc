//! Certificates and keys from PEM files (RFC 7468), with errors that name the file.

use super::TlsError;
use rustls::RootCertStore;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::fs;
use std::path::Path;

/// The certificates of a file, at least one.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match found {
        Ok(found) if found.is_empty() => Err(wrong(
            path,
            "no certificate in PEM is in it (-----BEGIN CERTIFICATE-----)",
        )),
        Ok(found) => Ok(found),
        Err(error) => Err(garbled(path, &error)),
    }
}

/// The first private key of a file.
pub(super) fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let text = read(path)?;
    if text
        .windows(ENCRYPTED.len())
        .any(|window| window == ENCRYPTED)
    {
        return Err(wrong(
            path,
            "the private key is encrypted: give it without a passphrase, readable to the server only",
        ));
    }
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| match error {
        pem::Error::NoItemsFound => wrong(
            path,
            "no private key in PEM is in it (-----BEGIN PRIVATE KEY-----)",
        ),
        error => garbled(path, &error),
    })
}

const ENCRYPTED: &[u8] = b"-----BEGIN ENCRYPTED PRIVATE KEY-----";

/// The authorities of a file.
pub(super) fn authorities(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| {
            wrong(
                path,
                &format!("a certificate in it cannot be an authority: {error}"),
            )
        })?;
    }
    Ok(roots)
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|error| TlsError::File {
        path: path.to_owned(),
        error,
    })
}

fn garbled(path: &Path, error: &pem::Error) -> TlsError {
    // Not the error's own words, which quote the file.
    let reason = match error {
        pem::Error::MissingSectionEnd { .. } => "its PEM is cut off: a section has no end",
        pem::Error::IllegalSectionStart { .. } => "its PEM is garbled where a section begins",
        pem::Error::Base64Decode(_) => "its PEM is garbled: what is in a section is not base64",
        _ => "its PEM is garbled",
    };
    wrong(path, reason)
}

fn wrong(path: &Path, reason: &str) -> TlsError {
    TlsError::Pem {
        path: path.to_owned(),
        reason: reason.to_owned(),
    }
}
