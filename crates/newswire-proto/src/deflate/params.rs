//! Negotiating permessage-deflate (RFC 7692 §7.1) as plain values: a client's offers, a server's
//! choice among them, the client's judgement of the answer. No compressing, and no other headers.

use std::fmt;

use http::HeaderValue;

use super::config::{Compression, DeflateConfig, LEAST_WINDOW_BITS, MAX_WINDOW_BITS};
use crate::extensions::{self, Extension};
use crate::role::Role;

const NAME: &str = "permessage-deflate";
const SERVER_NO_CONTEXT_TAKEOVER: &str = "server_no_context_takeover";
const CLIENT_NO_CONTEXT_TAKEOVER: &str = "client_no_context_takeover";
const SERVER_MAX_WINDOW_BITS: &str = "server_max_window_bits";
const CLIENT_MAX_WINDOW_BITS: &str = "client_max_window_bits";

/// The four parameters as they came in one element of the header, each once at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Written {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<u8>,
    /// `Some(None)` is the parameter without a value.
    client_max_window_bits: Option<Option<u8>>,
}

impl Written {
    fn read(extension: &Extension<'_>) -> Result<Self, ExtensionError> {
        let mut written = Self::default();
        for (index, param) in extension.params.iter().enumerate() {
            let name = param.name;
            if extension.params[..index].iter().any(|p| p.name == name) {
                return Err(ExtensionError::Repeated(name.to_owned()));
            }
            let value = param.value.as_deref();
            let invalid = || ExtensionError::InvalidValue {
                parameter: name.to_owned(),
                found: value.map(str::to_owned),
            };
            match (name, value) {
                (SERVER_NO_CONTEXT_TAKEOVER, None) => written.server_no_context_takeover = true,
                (CLIENT_NO_CONTEXT_TAKEOVER, None) => written.client_no_context_takeover = true,
                (SERVER_MAX_WINDOW_BITS, Some(value)) => {
                    written.server_max_window_bits = Some(bits(value).ok_or_else(invalid)?);
                }
                (CLIENT_MAX_WINDOW_BITS, None) => written.client_max_window_bits = Some(None),
                (CLIENT_MAX_WINDOW_BITS, Some(value)) => {
                    let value = bits(value).ok_or_else(invalid)?;
                    written.client_max_window_bits = Some(Some(value));
                }
                (
                    SERVER_NO_CONTEXT_TAKEOVER
                    | CLIENT_NO_CONTEXT_TAKEOVER
                    | SERVER_MAX_WINDOW_BITS,
                    _,
                ) => return Err(invalid()),
                _ => return Err(ExtensionError::UnknownParameter(name.to_owned())),
            }
        }
        Ok(written)
    }
}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAME)?;
        if self.server_no_context_takeover {
            write!(f, "; {SERVER_NO_CONTEXT_TAKEOVER}")?;
        }
        if self.client_no_context_takeover {
            write!(f, "; {CLIENT_NO_CONTEXT_TAKEOVER}")?;
        }
        if let Some(bits) = self.server_max_window_bits {
            write!(f, "; {SERVER_MAX_WINDOW_BITS}={bits}")?;
        }
        match self.client_max_window_bits {
            Some(Some(bits)) => write!(f, "; {CLIENT_MAX_WINDOW_BITS}={bits}"),
            Some(None) => write!(f, "; {CLIENT_MAX_WINDOW_BITS}"),
            None => Ok(()),
        }
    }
}

/// RFC 7692 §7.1.2.1: the value is "a decimal integer value without leading zeroes between 8 to 15".
fn bits(value: &str) -> Option<u8> {
    let bits: u8 = value.parse().ok()?;
    ((8..=15).contains(&bits) && value == bits.to_string()).then_some(bits)
}

/// What a client offers: one element of its `Sec-WebSocket-Extensions` that a server may accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeflateOffer(Written);

impl DeflateOffer {
    /// The valid offers of permessage-deflate in all lines of a request's
    /// `Sec-WebSocket-Extensions`, the preferred one first. Other extensions, offers with a
    /// mistake, and lines that are not lists of extensions are left out.
    pub fn read<'a>(lines: impl IntoIterator<Item = &'a HeaderValue>) -> Vec<Self> {
        let lines = lines.into_iter();
        let elements = lines.filter_map(|line| extensions::parse(line.as_bytes()).ok());
        // RFC 7692 §7: "A server MUST decline an extension negotiation offer for this
        // extension if any of the following conditions are met:" a parameter that is not
        // defined, has an invalid value, or comes twice.
        elements
            .flatten()
            .filter(|extension| extension.name == NAME)
            .filter_map(|extension| Written::read(&extension).ok().map(Self))
            .collect()
    }
}

impl fmt::Display for DeflateOffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What the two ends agreed on (RFC 7692 §7.1). As text it is the server's answer.
///
/// The default is the extension without any parameter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct DeflateParams {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<u8>,
    client_max_window_bits: Option<u8>,
}

impl DeflateParams {
    /// Whether each of the server's messages is compressed for itself (§7.1.1.1).
    #[must_use]
    pub const fn server_no_context_takeover(&self) -> bool {
        self.server_no_context_takeover
    }

    /// Whether each of the client's messages is compressed for itself (§7.1.1.2).
    #[must_use]
    pub const fn client_no_context_takeover(&self) -> bool {
        self.client_no_context_takeover
    }

    /// The server's window is at most two to the power of this, 15 unless it was agreed on
    /// (§7.1.2.1).
    #[must_use]
    pub fn server_max_window_bits(&self) -> u8 {
        self.server_max_window_bits.unwrap_or(MAX_WINDOW_BITS)
    }

    /// The client's window is at most two to the power of this, 15 unless it was agreed on
    /// (§7.1.2.2).
    #[must_use]
    pub fn client_max_window_bits(&self) -> u8 {
        self.client_max_window_bits.unwrap_or(MAX_WINDOW_BITS)
    }

    /// What binds the end with this role when it sends: whether each message is compressed for
    /// itself, and the bits of its window.
    pub(super) fn of_sender(&self, role: Role) -> (bool, u8) {
        match role {
            Role::Server => (
                self.server_no_context_takeover,
                self.server_max_window_bits(),
            ),
            Role::Client => (
                self.client_no_context_takeover,
                self.client_max_window_bits(),
            ),
        }
    }

    /// The server's answer, the value of its `Sec-WebSocket-Extensions`.
    #[must_use]
    pub fn to_header_value(&self) -> HeaderValue {
        header_value(&self.to_string())
    }
}

impl fmt::Display for DeflateParams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let written = Written {
            server_no_context_takeover: self.server_no_context_takeover,
            client_no_context_takeover: self.client_no_context_takeover,
            server_max_window_bits: self.server_max_window_bits,
            client_max_window_bits: self.client_max_window_bits.map(Some),
        };
        written.fmt(f)
    }
}

fn header_value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("visible ASCII is a legal header value")
}

/// A server's part.
impl DeflateConfig {
    /// The first of a client's offers, on this server's conditions; the answer to send is
    /// [`DeflateParams::to_header_value`]. `None` without an offer, or when compression is off.
    #[must_use]
    pub fn accept(&self, offers: &[DeflateOffer]) -> Option<DeflateParams> {
        let DeflateOffer(offer) = offers.first().filter(|_| self.is_on())?;
        let mut params = DeflateParams {
            // RFC 7692 §7.1.1.1: "A server MAY include the "server_no_context_takeover"
            // extension parameter in an extension negotiation response even if the extension
            // negotiation offer being accepted by the extension negotiation response didn't
            // include the "server_no_context_takeover" extension parameter."
            server_no_context_takeover: offer.server_no_context_takeover
                || self.server_no_context_takeover
                || self.compression.keeps_nothing(),
            client_no_context_takeover: offer.client_no_context_takeover
                || self.client_no_context_takeover
                || self.compression.keeps_nothing(),
            // RFC 7692 §7.1.2.1: "A server accepts an extension negotiation offer with this
            // parameter by including the "server_max_window_bits" extension parameter in the
            // extension negotiation response to send back to the client with the same or
            // smaller value as the offer."
            server_max_window_bits: offer.server_max_window_bits.map(|offered| {
                // This end's windows begin at 9, and are right for 8.
                offered.min(self.compression.window_bits())
            }),
            client_max_window_bits: None,
        };
        if let Compression::Shared { history, .. } = self.compression
            && !params.client_no_context_takeover
        {
            match offer.client_max_window_bits {
                Some(offered) => {
                    let offered = offered.unwrap_or(MAX_WINDOW_BITS);
                    params.client_max_window_bits = Some(offered.min(received_bits(history)));
                }
                // RFC 7692 §7.1.2.2: "If a received extension negotiation offer doesn't have the
                // "client_max_window_bits" extension parameter, the corresponding extension
                // negotiation response to the offer MUST NOT include the
                // "client_max_window_bits" extension parameter."
                None => params.client_no_context_takeover = true,
            }
        }
        Some(params)
    }
}

/// The largest window within `history` bytes that peers can be asked to compress with: many
/// cannot do 8.
fn received_bits(history: usize) -> u8 {
    let bits = history.checked_ilog2().unwrap_or(0);
    (bits as u8).clamp(LEAST_WINDOW_BITS, MAX_WINDOW_BITS)
}

/// A client's part.
impl DeflateConfig {
    /// The value of the request's `Sec-WebSocket-Extensions`, `None` when compression is off.
    ///
    /// Hints come in a first offer. A second one is without them, for servers that know only
    /// what browsers offer.
    #[must_use]
    pub fn offer(&self) -> Option<HeaderValue> {
        if !self.is_on() {
            return None;
        }
        let hinted = self.hinted();
        let plain = Written {
            client_no_context_takeover: false,
            client_max_window_bits: Some(None),
            ..hinted
        };
        Some(header_value(&if hinted == plain {
            hinted.to_string()
        } else {
            format!("{hinted}, {plain}")
        }))
    }

    fn hinted(&self) -> Written {
        let nothing = self.compression.keeps_nothing();
        let bits = self.compression.window_bits();
        Written {
            server_no_context_takeover: self.server_no_context_takeover || nothing,
            client_no_context_takeover: self.client_no_context_takeover || nothing,
            server_max_window_bits: None,
            client_max_window_bits: Some(Some(bits).filter(|&bits| bits < MAX_WINDOW_BITS)),
        }
    }

    /// Judges all lines of a response's `Sec-WebSocket-Extensions`: what is in use from now on,
    /// `None` if nothing is.
    ///
    /// A server that does not do what the client asked for passes, since a client that can have
    /// less can have more: then [`DeflateParams`] say what holds.
    ///
    /// # Errors
    ///
    /// [`ExtensionError`], upon which the client must fail the connection.
    pub fn check<'a>(
        &self,
        lines: impl IntoIterator<Item = &'a HeaderValue>,
    ) -> Result<Option<DeflateParams>, ExtensionError> {
        let mut agreed = None;
        for line in lines {
            // RFC 6455 §9.1: "If a value is received by either the client or the server during
            // negotiation that does not conform to the ABNF below, the recipient of such
            // malformed data MUST immediately _Fail the WebSocket Connection_."
            let extensions =
                extensions::parse(line.as_bytes()).map_err(|_| ExtensionError::Malformed)?;
            for extension in &extensions {
                if extension.name != NAME || !self.is_on() {
                    return Err(ExtensionError::NotOffered(extension.name.to_owned()));
                }
                if agreed.is_some() {
                    return Err(ExtensionError::Repeated(NAME.to_owned()));
                }
                agreed = Some(self.check_one(extension)?);
            }
        }
        Ok(agreed)
    }

    /// RFC 7692 §7: "A client MUST _Fail the WebSocket Connection_ if the peer server accepted
    /// an extension negotiation offer for this extension with an extension negotiation response
    /// meeting any of the following conditions:" a parameter that is not defined, has an invalid
    /// value, or comes twice, or what the client cannot do.
    fn check_one(&self, extension: &Extension<'_>) -> Result<DeflateParams, ExtensionError> {
        let answer = Written::read(extension)?;
        // Only an offer may leave the value out. Any value is right, since the offer without
        // hints leaves it open.
        if answer.client_max_window_bits == Some(None) {
            return Err(ExtensionError::InvalidValue {
                parameter: CLIENT_MAX_WINDOW_BITS.to_owned(),
                found: None,
            });
        }
        Ok(DeflateParams {
            server_no_context_takeover: answer.server_no_context_takeover,
            // A client that wants it does it, whatever the server says.
            client_no_context_takeover: answer.client_no_context_takeover
                || self.hinted().client_no_context_takeover,
            server_max_window_bits: answer.server_max_window_bits,
            client_max_window_bits: answer.client_max_window_bits.flatten(),
        })
    }
}

/// Why a client must not use the connection: what is wrong with the server's
/// `Sec-WebSocket-Extensions`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExtensionError {
    /// It is not a list of extensions by RFC 6455 §9.1.
    Malformed,
    /// This extension was not offered.
    NotOffered(String),
    /// The extension or the parameter came twice.
    Repeated(String),
    /// permessage-deflate has no such parameter.
    UnknownParameter(String),
    /// The value is not one that the parameter can have here.
    InvalidValue {
        /// The parameter.
        parameter: String,
        /// Its value, if there was one.
        found: Option<String>,
    },
}

impl fmt::Display for ExtensionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("it is not a list of extensions with parameters"),
            Self::NotOffered(name) => write!(f, "the extension {name} was not offered"),
            Self::Repeated(name) => write!(f, "{name} comes twice"),
            Self::UnknownParameter(name) => write!(f, "{NAME} has no parameter {name}"),
            Self::InvalidValue {
                parameter,
                found: Some(found),
            } => write!(f, "{found} is no value for {parameter} here"),
            Self::InvalidValue {
                parameter,
                found: None,
            } => write!(f, "{parameter} has no value"),
        }
    }
}

impl std::error::Error for ExtensionError {}
