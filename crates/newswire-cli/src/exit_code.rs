//! The exit codes, the same for every command.

/// What the process ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum ExitCode {
    /// It did what it was asked to do.
    Success = 0,
    /// Something went wrong that has no code of its own.
    Failure = 1,
    /// The arguments were wrong, or the settings of the environment or of a file.
    Usage = 2,
    /// The server cannot listen: the port is taken, or not allowed, or the address is wrong.
    CannotListen = 3,
    /// The results are not what the flags ask for.
    Missed = 4,
    /// The host's name has no address.
    Dns = 5,
    /// Nobody answers at any of its addresses.
    Tcp = 6,
    /// There is no way through the proxy.
    Proxy = 7,
    /// The server was reached, and there is no TLS with it.
    Tls = 8,
    /// The server opens no WebSocket: another status, or no answer.
    Refused = 9,
    /// The server breaks the protocol.
    Protocol = 10,
    /// The connection ended without a Close frame.
    Abnormal = 11,
    /// The server closed with a code other than 1000 and 1001.
    Closed = 12,
    /// It was not done in time.
    Timeout = 13,
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        (code as u8).into()
    }
}
