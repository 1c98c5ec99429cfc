//! What can be made of the settings before anything listens, so that `--check` finds all that is
//! wrong. Nothing is served here.

use super::files::Root;
use super::options::{AdmissionOptions, ServeOptions, TlsOptions};
use super::tokens::Tokens;
use super::values::{ANY, SAME};
use crate::process;
use crate::values::OrOff;
use newswire::tls::{ServerTls, TlsError};
use newswire::{Config, Origins, Subprotocols, TrustedProxies};
use std::sync::Arc;

/// Parts of a server, ready to be put together.
pub(super) struct Parts {
    pub(super) config: Config,
    pub(super) tls: Option<ServerTls>,
    pub(super) origins: Origins,
    pub(super) subprotocols: Subprotocols,
    pub(super) tokens: Option<Arc<Tokens>>,
    pub(super) proxies: TrustedProxies,
    pub(super) root: Option<Root>,
}

impl Parts {
    /// # Errors
    /// Everything that is wrong, a line each.
    pub(super) fn prepare(options: &ServeOptions) -> Result<Self, Vec<String>> {
        let mut problems = Vec::new();
        let parts = Some(()).and_then(|()| {
            let mut note = |problem: String| problems.push(problem);
            let deflate = options.compression.config().map_err(&mut note);
            let tls = tls(options).map_err(&mut note);
            let origins = origins(&options.admission).map_err(&mut note);
            let tokens = options.admission.token_file.as_deref().map(Tokens::read);
            let tokens = tokens.transpose().map_err(&mut note);
            let proxies = proxies(options).map_err(&mut note);
            let root = root(options).map_err(&mut note);
            Some(Self {
                config: options.limits.config(deflate.ok()?),
                tls: tls.ok()?,
                origins: origins.ok()?,
                subprotocols: subprotocols(&options.admission),
                tokens: tokens.ok()?.map(Arc::new),
                proxies: proxies.ok()?,
                root: root.ok()?,
            })
        });
        parts.ok_or(problems)
    }
}

fn tls(options: &ServeOptions) -> Result<Option<ServerTls>, String> {
    let TlsOptions {
        tls_cert,
        tls_key,
        tls_self_signed,
        tls_client_ca,
        tls_client_optional,
    } = &options.tls;
    let told = |error: TlsError| error.to_string();
    let tls = match (tls_cert, tls_key, tls_self_signed) {
        (Some(certificate), Some(key), false) => ServerTls::from_pem_files(certificate, key),
        (None, None, true) => ServerTls::self_signed(names(&options.listening.host)),
        (None, None, false) => {
            let alone = [
                ("--tls-client-ca", tls_client_ca.is_some()),
                ("--tls-client-optional", *tls_client_optional),
            ];
            return match alone.into_iter().find(|(_, given)| *given) {
                Some((flag, _)) => Err(format!(
                    "{flag} means nothing without TLS: give --tls-cert and --tls-key too"
                )),
                None => Ok(None),
            };
        }
        (Some(_), None, _) => return Err("--tls-cert needs its key: give --tls-key too".into()),
        (None, Some(_), _) => {
            return Err("--tls-key needs its certificate: give --tls-cert too".into());
        }
        (Some(_), Some(_), true) => {
            return Err("--tls-self-signed and --tls-cert are two certificates: give one".into());
        }
    };
    let tls = tls.map_err(told)?.alpn(["http/1.1"]);
    match tls_client_ca {
        Some(authority) => tls
            .client_ca(authority, !tls_client_optional)
            .map(Some)
            .map_err(told),
        None if *tls_client_optional => {
            Err("--tls-client-optional means nothing without --tls-client-ca".into())
        }
        None => Ok(Some(tls)),
    }
}

/// The names that a certificate for development is for.
fn names(host: &str) -> Vec<String> {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(String::from).into();
    if !names.iter().any(|name| name == host) && !host.is_empty() {
        names.push(host.to_owned());
    }
    names
}

fn origins(options: &AdmissionOptions) -> Result<Origins, String> {
    let given = |word| options.origin.iter().any(|origin| origin == word);
    let mut origins = if given(ANY) {
        Origins::any()
    } else {
        let patterns = options.origin.iter().filter(|origin| *origin != SAME);
        let origins = Origins::list(patterns).map_err(|error| error.to_string())?;
        if given(SAME) {
            origins.and_same_origin()
        } else {
            origins
        }
    };
    if options.allow_null_origin {
        origins = origins.allow_null(true);
    }
    Ok(origins.allow_missing(!options.require_origin))
}

fn subprotocols(options: &AdmissionOptions) -> Subprotocols {
    let spoken = Subprotocols::prefer(options.subprotocol.iter().map(String::as_str));
    if options.require_subprotocol {
        spoken.required()
    } else {
        spoken
    }
}

fn proxies(options: &ServeOptions) -> Result<TrustedProxies, String> {
    let networks = &options.listening.trusted_proxy;
    if options.listening.proxy_protocol && networks.is_empty() {
        return Err(
            "--proxy-protocol needs to know from whom: give the proxies with --trusted-proxy"
                .into(),
        );
    }
    TrustedProxies::new(networks).map_err(|error| error.to_string())
}

fn root(options: &ServeOptions) -> Result<Option<Root>, String> {
    let files = &options.files;
    let Some(path) = &files.root else {
        return Ok(None);
    };
    Root::open(path, files.root_hidden)
        .map(Some)
        .map_err(|error| {
            let path = path.display();
            format!("cannot serve the directory {path}: {error}; see --root")
        })
}

/// How many connections there may be: not more than files may be open.
pub(super) fn max_connections(OrOff(wanted): OrOff<usize>) -> Option<usize> {
    /// Standard streams, epoll and wake-ups of workers, files that are served, sockets to listen on.
    const OTHERS: u64 = 256;
    let possible = process::open_files().map(|files| {
        let connections = files.saturating_sub(OTHERS).max(files / 2);
        usize::try_from(connections).unwrap_or(usize::MAX)
    });
    match (wanted, possible) {
        (Some(wanted), Some(possible)) => Some(wanted.min(possible)),
        (wanted, possible) => wanted.or(possible),
    }
}
