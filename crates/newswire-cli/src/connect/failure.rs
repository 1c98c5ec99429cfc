//! Why it did not go as asked: the exit code, the sentence, and the event that says so in JSON.

use super::format::Command;
use crate::exit_code::ExitCode;
use http::Response;
use newswire::reconnect::Lost;
use newswire::{
    CloseCode, CloseFrame, CommandError, ConnectError, Error, RecvError, SendError, Step,
};
use serde_json::{Value, json};
use std::fmt;

/// Why it did not go as asked.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) code: ExitCode,
    sentence: String,
    /// The server's or proxy's answer, when it was not 101.
    answer: Option<Value>,
}

impl Failure {
    pub(super) fn new(code: ExitCode, sentence: impl Into<String>) -> Self {
        Self {
            code,
            sentence: sentence.into(),
            answer: None,
        }
    }

    pub(super) fn timeout(sentence: impl Into<String>) -> Self {
        Self::new(ExitCode::Timeout, sentence)
    }

    /// The server has closed, with a code that means that something is wrong.
    pub(super) fn closed(frame: &CloseFrame) -> Self {
        Self::new(ExitCode::Closed, format!("the server has closed: {frame}"))
    }

    /// A command that cannot be sent.
    pub(super) fn command(command: &Command, error: CommandError) -> Self {
        let what = match command {
            Command::Send(_) => "message",
            Command::Ping(_) => "ping",
            Command::Pong(_) => "pong",
            Command::Close(..) => "close",
        };
        Self::new(ExitCode::Failure, format!("{what}: {error}"))
    }

    /// No further connection was tried, or none is wanted any more.
    pub(super) fn given_up(self, sentence: String, unsent: usize) -> Self {
        let sentence = match unsent {
            0 => sentence,
            1 => format!("{sentence}; one message was not sent"),
            some => format!("{sentence}; {some} messages were not sent"),
        };
        Self { sentence, ..self }
    }

    /// The event in JSON.
    pub(super) fn event(&self) -> Value {
        let mut event = json!({
            "type": "error",
            "exit_code": self.code as u8,
            "message": self.sentence,
        });
        if let Some(answer) = &self.answer {
            event["answer"] = answer.clone();
        }
        event
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        let code = match (&error, error.step()) {
            (ConnectError::Timeout(_), _) => ExitCode::Timeout,
            (_, Step::Setup) => ExitCode::Usage,
            (_, Step::Dns) => ExitCode::Dns,
            (_, Step::Tcp) => ExitCode::Tcp,
            (_, Step::Proxy) => ExitCode::Proxy,
            (_, Step::Tls) => ExitCode::Tls,
            (_, Step::Http) => ExitCode::Refused,
            (_, Step::Protocol) => ExitCode::Protocol,
            _ => ExitCode::Failure,
        };
        let sentence = error.to_string();
        Self {
            code,
            sentence,
            answer: answer(&error),
        }
    }
}

/// The answer that the error is about, with its headers and the start of its body.
fn answer(error: &ConnectError) -> Option<Value> {
    match error {
        ConnectError::Status(answer) => {
            let mut event = head(answer);
            event["body"] = String::from_utf8_lossy(answer.body()).into();
            Some(event)
        }
        ConnectError::Proxy { error, .. } => answer(error),
        _ => None,
    }
}

/// The head of an answer, in JSON.
pub(super) fn head<B>(answer: &Response<B>) -> Value {
    let headers = answer.headers().iter();
    let headers: Vec<_> = headers
        .map(|(name, value)| json!([name.as_str(), String::from_utf8_lossy(value.as_bytes())]))
        .collect();
    json!({ "status": answer.status().as_u16(), "headers": headers })
}

/// Of an error that may be that of an attempt to connect.
impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error.downcast::<ConnectError>() {
            Ok(error) => (*error).into(),
            Err(error) => Self::new(ExitCode::Failure, error.to_string()),
        }
    }
}

impl From<Lost> for Failure {
    fn from(lost: Lost) -> Self {
        let sentence = lost.to_string();
        match lost {
            // It would be no failure, had the connection not been wanted again.
            Lost::Closed(frame) if is_fine(frame.code) => Self::new(ExitCode::Failure, sentence),
            Lost::Closed(frame) => Self::closed(&frame),
            Lost::Failed(error) => error.into(),
            _ => Self::new(ExitCode::Abnormal, sentence),
        }
    }
}

/// Whether a close with this code is no complaint. One without a code is a close like any other.
pub(super) fn is_fine(code: CloseCode) -> bool {
    [
        CloseCode::NORMAL,
        CloseCode::GOING_AWAY,
        CloseCode::NO_STATUS,
    ]
    .contains(&code)
}

impl From<RecvError> for Failure {
    fn from(error: RecvError) -> Self {
        let code = match &error {
            RecvError::Protocol(_) => ExitCode::Protocol,
            RecvError::Timeout(_) => ExitCode::Timeout,
            RecvError::Io(_) => ExitCode::Abnormal,
            _ => ExitCode::Failure,
        };
        Self::new(code, error.to_string())
    }
}

impl From<SendError> for Failure {
    fn from(error: SendError) -> Self {
        Self::new(ExitCode::Abnormal, error.to_string())
    }
}
