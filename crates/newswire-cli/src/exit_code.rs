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
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        (code as u8).into()
    }
}
