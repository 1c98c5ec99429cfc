//! `--token-file`: clients that have to show a token, and where they may show it. What a token is
//! compared with is here; how it is read from a request is the library's.

use super::values::token;
use newswire::server::auth::{Scheme, secrets_match, subprotocol_token, unauthorized};
use newswire::{Rejection, Request};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a page, which cannot set `Authorization`, puts before the token to offer it as a
/// subprotocol.
const PREFIX: &str = "bearer.";

/// No list of tokens is longer.
const LONGEST_FILE: u64 = 1024 * 1024;

/// The tokens that let a client in.
pub(super) struct Tokens {
    path: PathBuf,
    list: Mutex<Arc<[String]>>,
}

impl Tokens {
    /// Reads a file with a token in each line; empty lines and those that begin with a # are none.
    ///
    /// # Errors
    /// One line, which does not show what is in the file.
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        Ok(Self {
            path: path.to_owned(),
            list: Mutex::new(read(path)?),
        })
    }

    /// Reads the file again, for the handshakes from now on.
    ///
    /// # Errors
    /// As when it was read first; everything stays as it was.
    pub(super) fn reload(&self) -> Result<(), String> {
        *self.lock() = read(&self.path)?;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Arc<[String]>> {
        // Whoever holds it does nothing that could panic.
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets in who shows a token, in `Authorization: Bearer` or as a subprotocol.
    pub(super) fn judge(&self, request: &Request) -> Result<(), Rejection> {
        let offered = subprotocol_token(request.subprotocols(), PREFIX);
        let refuse = |reason| Err(unauthorized(Scheme::Bearer, "newswire", reason));
        let Some(shown) = request.bearer().or(offered) else {
            return refuse(
                "a token is needed: send Authorization: Bearer TOKEN, or offer the subprotocol bearer.TOKEN",
            );
        };
        // All are compared, so that the time does not tell which came near.
        let list = Arc::clone(&self.lock());
        let matches = list.iter().filter(|token| secrets_match(token, shown));
        if matches.count() > 0 {
            Ok(())
        } else {
            refuse("this token is not one that lets in")
        }
    }
}

fn read(path: &Path) -> Result<Arc<[String]>, String> {
    let shown = path.display();
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(LONGEST_FILE + 1).read_to_string(&mut text))
        .and_then(|len| match len as u64 {
            0..=LONGEST_FILE => Ok(()),
            _ => Err(io::Error::other("it is larger than 1MiB")),
        })
        .map_err(|error| format!("cannot read {shown}: {error}; see --token-file"))?;
    let lines = text.lines().map(str::trim).zip(1..);
    let lines = lines.filter(|(line, _)| !line.is_empty() && !line.starts_with('#'));
    let tokens = lines
        .map(|(line, number)| token(line).map_err(|advice| format!("{shown}:{number}: {advice}")));
    let tokens = tokens.collect::<Result<Vec<_>, _>>()?;
    if tokens.is_empty() {
        return Err(format!(
            "{shown} has no token, so nobody could connect; see --token-file"
        ));
    }
    Ok(tokens.into())
}
