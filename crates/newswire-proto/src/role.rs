//! Which end of a connection this is, and what that asks of masking (RFC 6455 §5.1).
//! Nothing but the two roles lives here.

/// One of the two ends of a WebSocket connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The end that sent the opening handshake. It masks every frame that it sends.
    Client,
    /// The end that answered the opening handshake. It never masks.
    Server,
}

impl Role {
    /// Whether this end masks the frames that it sends.
    ///
    /// RFC 6455 §5.1: "a client MUST mask all frames that it sends to the server" and
    /// "A server MUST NOT mask any frames that it sends to the client."
    #[must_use]
    pub const fn masks(self) -> bool {
        matches!(self, Self::Client)
    }

    /// The other end.
    #[must_use]
    pub const fn peer(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}
