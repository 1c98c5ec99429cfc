//! What the interface throws. Why a connection failed is not told here: that is never thrown.

use std::fmt;

/// Which of the standard's exceptions it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ExceptionKind {
    /// A URL, subprotocol or reason that is not one.
    SyntaxError,
    /// `send` while the connection is not established yet.
    InvalidStateError,
    /// A close code that an application may not use.
    InvalidAccessError,
}

impl ExceptionKind {
    /// The name of the `DOMException`, such as `"SyntaxError"`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SyntaxError => "SyntaxError",
            Self::InvalidStateError => "InvalidStateError",
            Self::InvalidAccessError => "InvalidAccessError",
        }
    }

    /// The number that the `DOMException`'s `code` has, from the days before names.
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Self::InvalidStateError => 11,
            Self::SyntaxError => 12,
            Self::InvalidAccessError => 15,
        }
    }
}

/// A `DOMException`: a call was wrong, and nothing has happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomException {
    kind: ExceptionKind,
    message: String,
}

impl DomException {
    pub(super) fn syntax(message: impl Into<String>) -> Self {
        Self::new(ExceptionKind::SyntaxError, message)
    }

    pub(super) fn new(kind: ExceptionKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    /// Which exception it is.
    #[must_use]
    pub const fn kind(&self) -> ExceptionKind {
        self.kind
    }

    /// Its name in the standard: [`ExceptionKind::name`].
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.kind.name()
    }

    /// What was wrong.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for DomException {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name(), self.message)
    }
}

impl std::error::Error for DomException {}
