//! [`Subprotocols`]: which of the client's offers is chosen. Values in, a verdict out.

use http::StatusCode;
use newswire_proto::handshake::Rejection;
use std::fmt;
use std::sync::Arc;

/// How the subprotocol (RFC 6455 §1.9) of a connection is chosen from those that the client offers.
/// By default none is.
///
/// A browser closes a connection for which it offered subprotocols and none was chosen. Other
/// clients go on without one.
///
/// ```
/// use newswire::server::Subprotocols;
///
/// let offered = ["v1.chat".to_owned(), "v2.chat".to_owned()];
/// let ours_first = Subprotocols::prefer(["v2.chat", "v1.chat"]);
/// assert_eq!(ours_first.choose(&offered)?.as_deref(), Some("v2.chat"));
/// assert_eq!(ours_first.client_order().choose(&offered)?.as_deref(), Some("v1.chat"));
/// # Ok::<(), newswire::proto::handshake::Rejection>(())
/// ```
#[derive(Clone, Default)]
pub struct Subprotocols {
    choice: Choice,
    required: bool,
}

type Choose = dyn Fn(&[String]) -> Option<String> + Send + Sync;

#[derive(Clone)]
enum Choice {
    /// What is spoken, and whether the client's order counts.
    Of(Arc<[Box<str>]>, bool),
    By(Arc<Choose>),
}

impl Default for Choice {
    fn default() -> Self {
        Self::Of(Arc::default(), false)
    }
}

impl Subprotocols {
    /// These are spoken, the preferred one first. The first of them that the client offers is
    /// chosen, none when it offers none of them. Case makes a difference.
    #[must_use]
    pub fn prefer<S: Into<Box<str>>>(names: impl IntoIterator<Item = S>) -> Self {
        Self {
            choice: Choice::Of(names.into_iter().map(Into::into).collect(), false),
            required: false,
        }
    }

    /// Whatever `choose` says: of the subprotocols that were offered, the client's preferred one
    /// first, one or none. It is called only when any were offered.
    #[must_use]
    pub fn choose_by(choose: impl Fn(&[String]) -> Option<String> + Send + Sync + 'static) -> Self {
        Self {
            choice: Choice::By(Arc::new(choose)),
            required: false,
        }
    }

    /// Of those that are spoken, the one is chosen that the client offers first. A function of one's
    /// own knows the client's order anyway.
    #[must_use]
    pub fn client_order(mut self) -> Self {
        if let Choice::Of(_, clients_order) = &mut self.choice {
            *clients_order = true;
        }
        self
    }

    /// Refuses clients that offer none that fits, with 400 and the names of those that would.
    #[must_use]
    pub fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// The choice from what a client offers, in its order of preference.
    ///
    /// # Errors
    /// The [`Rejection`] to answer with: 400 when one is required and none fits, 500 when
    /// a function chose what was not offered.
    pub fn choose(&self, offered: &[String]) -> Result<Option<String>, Rejection> {
        let chosen = match &self.choice {
            Choice::Of(ours, false) => {
                let mut ours = ours.iter();
                ours.find(|name| offered.iter().any(|offer| **offer == ***name))
                    .map(|name| String::from(&**name))
            }
            Choice::Of(ours, true) => {
                let mut offers = offered.iter();
                offers
                    .find(|offer| ours.iter().any(|name| **offer == **name))
                    .cloned()
            }
            Choice::By(_) if offered.is_empty() => None,
            Choice::By(choose) => choose(offered),
        };
        match chosen {
            None if self.required => {
                Err(Rejection::bad_request(self.wanted()).of_kind("subprotocol"))
            }
            // RFC 6455 §4.2.2: "The value chosen MUST be derived from the client's handshake,
            // specifically by selecting one of the values from the |Sec-WebSocket-Protocol| field
            // that the server is willing to use for this connection (if any)."
            Some(name) if !offered.contains(&name) => Err(Rejection::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                format!("the server chose the subprotocol {name:?}, which was not offered"),
            )),
            chosen => Ok(chosen),
        }
    }

    fn wanted(&self) -> String {
        match &self.choice {
            Choice::Of(ours, _) if !ours.is_empty() => format!(
                "a subprotocol is needed here: send Sec-WebSocket-Protocol with one of {}",
                ours.join(", ")
            ),
            _ => "a subprotocol is needed here, and none of those offered will do".to_owned(),
        }
    }
}

/// [`Subprotocols::prefer`].
impl<S: Into<Box<str>>, const N: usize> From<[S; N]> for Subprotocols {
    fn from(names: [S; N]) -> Self {
        Self::prefer(names)
    }
}

/// [`Subprotocols::prefer`].
impl<S: Into<Box<str>>> From<Vec<S>> for Subprotocols {
    fn from(names: Vec<S>) -> Self {
        Self::prefer(names)
    }
}

impl fmt::Debug for Subprotocols {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Subprotocols");
        match &self.choice {
            Choice::Of(ours, clients_order) => debug
                .field("prefer", ours)
                .field("client_order", clients_order),
            Choice::By(_) => debug.field("choose_by", &"a function"),
        };
        debug.field("required", &self.required).finish()
    }
}
