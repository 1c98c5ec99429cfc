//! How messages are written on a line: as text, bytes, hexadecimal digits, Base64, or JSON; both
//! ways. Nothing is sent or shown here.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use newswire::{CloseCode, ControlFrame, Message};
use serde::Deserialize;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::time::Duration;

/// How messages are written on the lines of input and output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Text,
    Binary,
    Hex,
    Base64,
    Json,
}

/// What a line of input asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command {
    Send(Message),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(CloseCode, String),
}

/// A line of JSON that is read.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
enum Line {
    Message {
        text: Option<String>,
        base64: Option<String>,
    },
    Ping {
        text: Option<String>,
        base64: Option<String>,
    },
    Pong {
        text: Option<String>,
        base64: Option<String>,
    },
    Close {
        code: Option<u16>,
        #[serde(default)]
        reason: String,
    },
}

impl Format {
    /// What a line of input asks for.
    ///
    /// # Errors
    /// One sentence on what is wrong with it.
    pub(super) fn read(self, line: &[u8]) -> Result<Command, String> {
        Ok(match self {
            Self::Text => Command::Send(text(line)?),
            Self::Binary => Command::Send(line.into()),
            Self::Hex => Command::Send(hex_decode(line)?.into()),
            Self::Base64 => Command::Send(base64_decode(line)?.into()),
            Self::Json => return read_json(line),
        })
    }

    /// The message that a file's content is.
    ///
    /// # Errors
    /// That it has to be text and is not.
    pub(super) fn read_file(self, content: &[u8]) -> Result<Message, String> {
        match self {
            Self::Text | Self::Json => text(content),
            Self::Binary | Self::Hex | Self::Base64 => Ok(content.into()),
        }
    }

    /// The line of output for a message, without its end.
    pub(super) fn write(self, message: &Message) -> Cow<'_, [u8]> {
        let payload = message.as_bytes();
        match (self, message) {
            (Self::Text, Message::Text(_)) | (Self::Binary, _) => payload.into(),
            (Self::Text | Self::Hex, _) => hex_encode(payload).into_bytes().into(),
            (Self::Base64, _) => STANDARD.encode(payload).into_bytes().into(),
            (Self::Json, Message::Text(text)) => {
                line(&json!({ "type": "message", "text": &**text })).into()
            }
            (Self::Json, Message::Binary(_)) => {
                line(&json!({ "type": "message", "base64": STANDARD.encode(payload) })).into()
            }
        }
    }
}

fn line(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

fn text(bytes: &[u8]) -> Result<Message, String> {
    let text = str::from_utf8(bytes).map_err(|error| {
        format!(
            "not UTF-8 from byte {}: --binary sends it",
            error.valid_up_to()
        )
    })?;
    Ok(text.into())
}

fn base64_decode(line: &[u8]) -> Result<Vec<u8>, String> {
    STANDARD
        .decode(line.trim_ascii())
        .map_err(|error| format!("not Base64: {error}"))
}

pub(super) fn hex_encode(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut digits, byte| {
        // Writing to a string cannot fail.
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}

/// Digits in pairs; blanks may stand anywhere.
fn hex_decode(line: &[u8]) -> Result<Vec<u8>, String> {
    let digits = line
        .iter()
        .filter(|byte| !byte.is_ascii_whitespace())
        .map(|&byte| {
            let digit = char::from(byte).to_digit(16);
            digit.ok_or_else(|| format!("not hexadecimal: {:?}", char::from(byte)))
        })
        .collect::<Result<Vec<u32>, String>>()?;
    let (pairs, []) = digits.as_chunks::<2>() else {
        return Err("not hexadecimal: a digit is missing at the end".to_owned());
    };
    // Two digits are at most 255.
    Ok(pairs
        .iter()
        .map(|[high, low]| (high * 16 + low) as u8)
        .collect())
}

fn read_json(line: &[u8]) -> Result<Command, String> {
    let line: Line = serde_json::from_slice(line).map_err(|error| format!("as JSON: {error}"))?;
    Ok(match line {
        Line::Message {
            text: Some(text),
            base64: None,
        } => Command::Send(text.into()),
        Line::Message {
            text: None,
            base64: Some(base64),
        } => Command::Send(base64_decode(base64.as_bytes())?.into()),
        Line::Message { .. } => return Err("a message has either text or base64".to_owned()),
        Line::Ping { text, base64 } => Command::Ping(read_payload(text, base64)?),
        Line::Pong { text, base64 } => Command::Pong(read_payload(text, base64)?),
        Line::Close { code: None, reason } if !reason.is_empty() => {
            return Err("a close with a reason needs a code".to_owned());
        }
        Line::Close { code, reason } => {
            Command::Close(code.map_or(CloseCode::NO_STATUS, CloseCode::from), reason)
        }
    })
}

/// The payload of a ping or pong, which may be nothing.
fn read_payload(text: Option<String>, base64: Option<String>) -> Result<Vec<u8>, String> {
    match (text, base64) {
        (text, None) => Ok(text.unwrap_or_default().into_bytes()),
        (None, Some(base64)) => base64_decode(base64.as_bytes()),
        (Some(_), Some(_)) => Err("a ping or pong has text or base64, not both".to_owned()),
    }
}

/// The line of JSON for a ping or pong.
pub(super) fn control_frame(frame: &ControlFrame) -> Value {
    match frame {
        ControlFrame::Pong {
            payload,
            round_trip,
        } => {
            let mut event = control("pong", payload);
            event["round_trip_ms"] = round_trip.map(millis).into();
            event
        }
        ControlFrame::Ping(payload) => control("ping", payload),
        other => json!({ "type": format!("{other:?}") }),
    }
}

fn control(name: &str, payload: &[u8]) -> Value {
    match str::from_utf8(payload) {
        Ok(text) => json!({ "type": name, "text": text }),
        Err(_) => json!({ "type": name, "base64": STANDARD.encode(payload) }),
    }
}

/// To the microsecond.
pub(super) fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(format: Format, line: &str) -> Result<Command, String> {
        format.read(line.as_bytes())
    }

    fn sent(message: impl Into<Message>) -> Result<Command, String> {
        Ok(Command::Send(message.into()))
    }

    #[test]
    fn a_line_is_a_message_in_its_format() {
        assert_eq!(read(Format::Text, "/é"), sent("/é"));
        assert_eq!(read(Format::Text, ""), sent(""));
        assert_eq!(read(Format::Binary, "abc"), sent(b"abc"));
        assert_eq!(read(Format::Hex, "00 fF7f"), sent(&[0, 255, 127]));
        assert_eq!(read(Format::Base64, "AP9/ "), sent(&[0, 255, 127]));
        assert_eq!(Format::Binary.read(b"\xff"), sent(b"\xff"));
    }

    #[test]
    fn a_line_that_is_no_message_says_why() {
        for (format, wrong, part) in [
            (Format::Hex, "abc", "missing"),
            (Format::Hex, "0g", "'g'"),
            (Format::Base64, "A", "Base64"),
            (Format::Json, "hello", "JSON"),
            (Format::Json, r#"{"type":"message"}"#, "either"),
            (
                Format::Json,
                r#"{"type":"message","text":"","base64":""}"#,
                "either",
            ),
            (Format::Json, r#"{"type":"message","tex":""}"#, "tex"),
            (Format::Json, r#"{"type":"shout"}"#, "shout"),
            (Format::Json, r#"{"type":"close","reason":"x"}"#, "code"),
        ] {
            let error = read(format, wrong).unwrap_err();
            assert!(error.contains(part), "{wrong}: {error}");
            assert_eq!(error.lines().count(), 1);
        }
        let error = Format::Text.read(b"ab\xff").unwrap_err();
        assert!(
            error.contains("byte 2") && error.contains("--binary"),
            "{error}"
        );
    }

    #[test]
    fn what_is_written_as_json_can_be_read_again() {
        for message in [Message::from("say \"hi\"\n"), Message::from(&[0, 255])] {
            let line = Format::Json.write(&message);
            assert!(!line.contains(&b'\n'));
            assert_eq!(Format::Json.read(&line), Ok(Command::Send(message.clone())));
        }
        assert_eq!(
            read(Format::Json, r#"{"type":"close","code":4000,"reason":"x"}"#),
            Ok(Command::Close(4000.into(), "x".to_owned()))
        );
        assert_eq!(
            read(Format::Json, r#"{"type":"close"}"#),
            Ok(Command::Close(CloseCode::NO_STATUS, String::new()))
        );
        assert_eq!(
            read(Format::Json, r#"{"type":"ping"}"#),
            Ok(Command::Ping(vec![]))
        );
    }

    #[test]
    fn pings_and_pongs_are_written_with_what_is_known_of_them() {
        let ping = control_frame(&ControlFrame::Ping("é".into()));
        assert_eq!(ping, json!({"type": "ping", "text": "é"}));
        let read = Format::Json.read(&line(&ping));
        assert_eq!(read, Ok(Command::Ping("é".into())));
        let ping = control_frame(&ControlFrame::Ping(b"\xff".as_slice().into()));
        assert_eq!(ping, json!({"type": "ping", "base64": "/w=="}));
        let read = Format::Json.read(br#"{"type":"pong","base64":"/w=="}"#);
        assert_eq!(read, Ok(Command::Pong(vec![255])));
        let both = read_payload(Some(String::new()), Some(String::new()));
        assert!(both.unwrap_err().contains("not both"));
        assert_eq!(millis(Duration::from_nanos(1_234_567)), 1.235);
    }

    #[test]
    fn binary_messages_are_hexadecimal_among_text() {
        let binary = Message::from(&[0, 255]);
        assert_eq!(&*Format::Text.write(&binary), b"00ff");
        assert_eq!(&*Format::Text.write(&"é".into()), "é".as_bytes());
        assert_eq!(&*Format::Hex.write(&"é".into()), b"c3a9");
        assert_eq!(&*Format::Base64.write(&binary), b"AP8=");
        assert_eq!(&*Format::Binary.write(&binary), &[0, 255]);
    }
}
