//! Authorities, certificates and the files that they are in.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A directory of its own, gone with the test.
pub(crate) struct Files(PathBuf);

impl Files {
    pub(crate) fn new() -> Self {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("newswire-test-{}-{number}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// Writes a certificate and its key; their paths.
    pub(crate) fn issued(&self, name: &str, issued: &Issued) -> (PathBuf, PathBuf) {
        (
            self.write(&format!("{name}.pem"), &issued.certificate),
            self.write(&format!("{name}.key"), &issued.key),
        )
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Issues certificates.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, as PEM.
pub(crate) struct Issued {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    /// The authority's own certificate in a file.
    pub(crate) fn file(&self, files: &Files, name: &str) -> PathBuf {
        files.write(name, &self.0.pem())
    }

    pub(crate) fn issue(&self, names: &[&str]) -> Issued {
        self.issue_with(names, |_| {})
    }

    /// A certificate that was valid for a day, long ago.
    pub(crate) fn issue_expired(&self, names: &[&str]) -> Issued {
        self.issue_with(names, |params| {
            params.not_before = date_time_ymd(2001, 2, 3);
            params.not_after = date_time_ymd(2001, 2, 4);
        })
    }

    /// An authority's certificate, which no server should show as its own.
    pub(crate) fn issue_authority(&self, names: &[&str]) -> Issued {
        self.issue_with(names, |params| {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        })
    }

    fn issue_with(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Issued {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        Issued {
            certificate: params.signed_by(&key, &self.0).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }
}

/// A server's files as they should be, and the authority's that a client has to trust.
pub(crate) struct Localhost {
    pub(crate) files: Files,
    pub(crate) authority: Authority,
    pub(crate) ca: PathBuf,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Localhost {
    pub(crate) fn new() -> Self {
        let authority = Authority::new("an authority");
        let issued = authority.issue(&["localhost", "127.0.0.1"]);
        Self::with(authority, &issued)
    }

    pub(crate) fn with(authority: Authority, issued: &Issued) -> Self {
        let files = Files::new();
        let (certificate, key) = files.issued("server", issued);
        Self {
            ca: authority.file(&files, "ca.pem"),
            certificate,
            key,
            authority,
            files,
        }
    }

    pub(crate) fn server(&self) -> newswire::tls::ServerTls {
        newswire::tls::ServerTls::from_pem_files(&self.certificate, &self.key).unwrap()
    }

    pub(crate) fn client(&self) -> newswire::tls::ClientTls {
        trusting(&self.ca)
    }
}

pub(crate) fn trusting(ca: &Path) -> newswire::tls::ClientTls {
    newswire::tls::ClientTls::new().ca_file(ca).unwrap()
}
