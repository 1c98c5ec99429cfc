//! Who is there: what a client can show in its handshake, comparing it without telling how much of it
//! was right, and the answers 401 and 403. Nobody's passwords are kept here.
//!
//! A page in a browser cannot set `Authorization`. It can send a cookie
//! ([`cookies`](super::cookies)), a token in the URL's query (which ends up in logs: let it be for
//! one use, and short-lived), one among the subprotocols ([`subprotocol_token`]), or one in its
//! first message ([`first_message`]).

use crate::error::RecvError;
use crate::transport::Transport;
use crate::websocket::WebSocket;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::{Engine, alphabet};
use http::header::{AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use http::{HeaderMap, StatusCode};
use newswire_proto::handshake::Rejection;
use newswire_proto::{CloseCode, Message};
use std::fmt;
use std::time::Duration;
use subtle::ConstantTimeEq;

const ANY_PADDING: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const BASE64: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, ANY_PADDING);
const BASE64URL: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, ANY_PADDING);

/// A name and a password (RFC 7617). The password is not shown by `{:?}`.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Basic {
    /// The name, which has no colon.
    pub user: String,
    /// The password. Compare it with [`secrets_match`].
    pub password: String,
}

impl fmt::Debug for Basic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Basic")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// The token of `Authorization: Bearer` (RFC 6750 §2.1).
#[must_use]
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let token = credentials(headers, "Bearer")?;
    // RFC 6750 §2.1: `1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="`
    let body = token.trim_end_matches('=');
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
    (!body.is_empty() && body.bytes().all(legal)).then_some(token)
}

/// Name and password of `Authorization: Basic` (RFC 7617 §2), in UTF-8.
#[must_use]
pub fn basic(headers: &HeaderMap) -> Option<Basic> {
    let decoded = BASE64.decode(credentials(headers, "Basic")?).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    // RFC 7617 §2: "The user-id and password MUST NOT contain any control characters".
    if text.contains(|c: char| c.is_ascii_control()) {
        return None;
    }
    let (user, password) = text.split_once(':')?;
    Some(Basic {
        user: user.to_owned(),
        password: password.to_owned(),
    })
}

/// What stands behind the scheme, when there is one `Authorization` and it has this scheme.
fn credentials<'a>(headers: &'a HeaderMap, scheme: &str) -> Option<&'a str> {
    let mut lines = headers.get_all(AUTHORIZATION).into_iter();
    let (line, None) = (lines.next()?, lines.next()) else {
        return None;
    };
    let (found, rest) = line.to_str().ok()?.trim_ascii().split_once(' ')?;
    // RFC 9110 §11.1: "It uses a case-insensitive token to identify the authentication scheme".
    found
        .eq_ignore_ascii_case(scheme)
        .then(|| rest.trim_ascii_start())
}

/// Whether two secrets are the same, in a time that depends on nothing but their lengths: from how
/// long it takes nobody can learn how much of a guess was right.
#[must_use]
pub fn secrets_match(one: impl AsRef<[u8]>, other: impl AsRef<[u8]>) -> bool {
    one.as_ref().ct_eq(other.as_ref()).into()
}

/// The token among the subprotocols that a client offers, such as `bearer.` and the token: a way for
/// a page, which has no other header to choose.
///
/// The page has to offer a real subprotocol beside it, which the server chooses: a browser closes a
/// connection for which none was chosen, and the answer should not repeat the token. A subprotocol
/// has no spaces, commas, slashes or equals signs: other tokens go in base64url without padding
/// ([`decode_base64url`]).
///
/// ```
/// // new WebSocket(url, ["chat", "bearer.c2VjcmV0"])
/// use newswire::server::auth;
///
/// let offered = ["chat".to_owned(), "bearer.c2VjcmV0".to_owned()];
/// let token = auth::subprotocol_token(&offered, "bearer.").and_then(auth::decode_base64url);
/// assert_eq!(token.as_deref(), Some(&b"secret"[..]));
/// ```
#[must_use]
pub fn subprotocol_token<'a>(offered: &'a [String], prefix: &str) -> Option<&'a str> {
    let mut tokens = offered.iter().filter_map(|name| name.strip_prefix(prefix));
    tokens.next().filter(|token| !token.is_empty())
}

/// Base64url (RFC 4648 §5), with its padding or without.
#[must_use]
pub fn decode_base64url(text: &str) -> Option<Vec<u8>> {
    BASE64URL.decode(text).ok()
}

/// The first message, in which a client says who it is. A client that has not said it `within` this
/// time is closed with code 1008.
///
/// # Errors
/// [`FirstMessageError`], and the connection is at its end.
///
/// # Cancel safety
/// No message is lost when the future is dropped. The time begins anew with the next call.
pub async fn first_message<T: Transport>(
    ws: &mut WebSocket<T>,
    within: Duration,
) -> Result<Message, FirstMessageError> {
    match tokio::time::timeout(within, ws.recv()).await {
        Ok(Ok(Some(message))) => Ok(message),
        Ok(Ok(None)) => Err(FirstMessageError::Closed),
        Ok(Err(error)) => Err(FirstMessageError::Recv(error)),
        Err(_) => {
            // It is late either way, and what went wrong with its end makes no difference.
            let _ = ws
                .close(CloseCode::POLICY, "no first message in time")
                .await;
            Err(FirstMessageError::Late(within))
        }
    }
}

/// Why there was no first message.
#[derive(Debug)]
#[non_exhaustive]
pub enum FirstMessageError {
    /// It did not come in this time.
    Late(Duration),
    /// The client closed the connection.
    Closed,
    /// The connection failed.
    Recv(RecvError),
}

impl fmt::Display for FirstMessageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Late(within) => write!(f, "the client did not say who it is within {within:?}"),
            Self::Closed => f.write_str("the client left before it had said who it is"),
            Self::Recv(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for FirstMessageError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Recv(error) => Some(error),
            Self::Late(_) | Self::Closed => None,
        }
    }
}

/// What a client is asked for with 401.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scheme {
    /// A name and a password, for which a browser asks its user.
    Basic,
    /// A token.
    Bearer,
}

/// 401: the client has not shown who it is, or what it has shown is wrong. `realm` is what it would
/// get into; quotation marks, backslashes and other than ASCII are left out of it.
pub fn unauthorized(scheme: Scheme, realm: &str, reason: impl Into<String>) -> Rejection {
    // RFC 9110 §15.5.2: "The server generating a 401 response MUST send a WWW-Authenticate header
    // field".
    Rejection::new(StatusCode::UNAUTHORIZED, reason)
        .with_header(WWW_AUTHENTICATE, challenge(scheme, realm))
}

fn challenge(scheme: Scheme, realm: &str) -> HeaderValue {
    let realm: String = realm
        .chars()
        .filter(|c| matches!(c, ' '..='~') && !matches!(c, '"' | '\\'))
        .collect();
    let challenge = match scheme {
        Scheme::Basic => format!("Basic realm=\"{realm}\", charset=\"UTF-8\""),
        Scheme::Bearer => format!("Bearer realm=\"{realm}\""),
    };
    HeaderValue::from_str(&challenge).expect("visible ASCII is a legal header value")
}
