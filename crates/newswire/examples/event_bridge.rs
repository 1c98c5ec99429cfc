//! `newswire::event` behind a pipe, for languages that have no binding: a line of JSON in, a line
//! of JSON out. `conformance/interface` puts a JavaScript class in front of it.
//!
//! ```text
//! {"do":"open","socket":1,"url":"ws://…","protocols":["chat"],"base":"http://…","origin":"…",
//!  "ca":"…"}                               "ca" is a file of certificates to trust
//! {"do":"send","socket":1,"text":"…"}      or "base64", or "blob": its size
//! {"do":"fill","socket":1,"blob":1,"base64":"…"}
//! {"do":"close","socket":1,"code":1000,"reason":"…"}
//! {"do":"binaryType","socket":1,"value":"arraybuffer"}
//! {"do":"next"}                            the next event of any socket
//! {"do":"drop","socket":1}
//! ```
//!
//! Every answer has the attributes that scripts can see, of all sockets; besides it has `throws`, an
//! exception, or what was asked for. Each `next` is a turn of the event loop.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use http::header::ORIGIN;
use newswire::Connector;
use newswire::event::{BinaryType, Data, DomException, Event, Options, PendingBlob, WebSocket};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::io::{self, BufRead, Write};
use std::time::Duration;

type Error = Box<dyn std::error::Error>;

#[derive(Default)]
struct Sockets {
    open: BTreeMap<u64, WebSocket>,
    blobs: BTreeMap<u64, PendingBlob>,
    last_blob: u64,
}

fn main() -> Result<(), Error> {
    let mut sockets = Sockets::default();
    let mut out = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let request: Value = serde_json::from_str(&line?)?;
        let mut answer = match sockets.answer(&request) {
            Ok(answer) => answer,
            Err(error) => match error.downcast::<DomException>() {
                Ok(exception) => throws(&exception),
                Err(error) => return Err(format!("{request}: {error}").into()),
            },
        };
        answer.insert("sockets".to_owned(), sockets.attributes());
        serde_json::to_writer(&mut out, &answer)?;
        out.write_all(b"\n")?;
        out.flush()?;
    }
    Ok(())
}

impl Sockets {
    fn answer(&mut self, request: &Value) -> Result<Map<String, Value>, Error> {
        let mut answer = Map::new();
        match request["do"].as_str() {
            Some("open") => {
                let socket = open(request)?;
                self.open.insert(id(request)?, socket);
            }
            Some("send") => {
                let socket = self.socket(request)?;
                if let Some(text) = request["text"].as_str() {
                    socket.send(text)?;
                } else if let Some(size) = request["blob"].as_u64() {
                    let blob = socket.send_blob(size)?;
                    self.last_blob += 1;
                    self.blobs.insert(self.last_blob, blob);
                    answer.insert("blob".to_owned(), self.last_blob.into());
                } else {
                    socket.send(bytes(request)?)?;
                }
            }
            Some("fill") => {
                let blob = request["blob"].as_u64().ok_or("which blob?")?;
                let blob = self.blobs.remove(&blob).ok_or("no such blob")?;
                if !blob.fill(bytes(request)?) {
                    return Err("the blob has another size".into());
                }
            }
            Some("close") => {
                let code = request["code"].as_u64().map(u16::try_from).transpose()?;
                self.socket(request)?
                    .close(code, request["reason"].as_str())?;
            }
            Some("binaryType") => {
                let value = match request["value"].as_str() {
                    Some("blob") => BinaryType::Blob,
                    Some("arraybuffer") => BinaryType::ArrayBuffer,
                    _ => return Err("no such binary type".into()),
                };
                self.socket(request)?.set_binary_type(value);
            }
            Some("next") => {
                let next = |(id, socket): (&u64, &WebSocket)| {
                    Some(event(*id, &socket.next_event(Duration::ZERO)?))
                };
                let event = self.open.iter().find_map(next);
                answer.insert("event".to_owned(), event.unwrap_or_default());
            }
            Some("drop") => {
                self.open.remove(&id(request)?);
            }
            _ => return Err("what is to be done?".into()),
        }
        Ok(answer)
    }

    fn socket(&self, request: &Value) -> Result<&WebSocket, Error> {
        Ok(self.open.get(&id(request)?).ok_or("no such socket")?)
    }

    fn attributes(&self) -> Value {
        let attributes = |(id, socket): (&u64, &WebSocket)| {
            let attributes = json!({
                "url": socket.url(),
                "readyState": u16::from(socket.ready_state()),
                "bufferedAmount": socket.buffered_amount(),
                "extensions": socket.extensions(),
                "protocol": socket.protocol(),
                "binaryType": socket.binary_type().as_str(),
            });
            (id.to_string(), attributes)
        };
        self.open.iter().map(attributes).collect()
    }
}

fn open(request: &Value) -> Result<WebSocket, Error> {
    let mut options = Options::new();
    if let Some(base) = request["base"].as_str() {
        options = options.base_url(base)?;
    }
    let mut connector = Connector::new();
    if let Some(origin) = request["origin"].as_str() {
        connector = connector.header(ORIGIN, HeaderValue::from_str(origin)?);
    }
    if let Some(file) = request["ca"].as_str() {
        connector = trusting(connector, file)?;
    }
    options = options.connector(connector);
    let protocols: Vec<&str> = match request["protocols"].as_array() {
        Some(names) => names.iter().filter_map(Value::as_str).collect(),
        None => Vec::new(),
    };
    let url = request["url"].as_str().ok_or("which URL?")?;
    Ok(options.open(url, protocols)?)
}

#[cfg(feature = "rustls")]
fn trusting(connector: Connector, ca: &str) -> Result<Connector, Error> {
    Ok(connector.tls(newswire::tls::ClientTls::new().ca_file(ca)?))
}

#[cfg(not(feature = "rustls"))]
fn trusting(_: Connector, ca: &str) -> Result<Connector, Error> {
    Err(format!("to trust {ca:?}, build this example with the feature rustls").into())
}

fn id(request: &Value) -> Result<u64, Error> {
    Ok(request["socket"].as_u64().ok_or("which socket?")?)
}

fn bytes(request: &Value) -> Result<Vec<u8>, Error> {
    Ok(STANDARD.decode(request["base64"].as_str().ok_or("what?")?)?)
}

fn throws(exception: &DomException) -> Map<String, Value> {
    let throws = json!({"name": exception.name(), "message": exception.message()});
    Map::from_iter([("throws".to_owned(), throws)])
}

fn event(socket: u64, event: &Event) -> Value {
    let mut told = json!({"socket": socket, "type": event.event_type().as_str()});
    match event {
        Event::Open | Event::Error => {}
        Event::Message(message) => {
            told["origin"] = message.origin.as_str().into();
            let (kind, data) = match &message.data {
                Data::Text(text) => ("text", text.to_string()),
                Data::Blob(bytes) => ("blob", STANDARD.encode(bytes)),
                Data::ArrayBuffer(bytes) => ("arraybuffer", STANDARD.encode(bytes)),
            };
            told[kind] = data.into();
        }
        Event::Close(close) => {
            told["wasClean"] = close.was_clean.into();
            told["code"] = close.code.0.into();
            told["reason"] = close.reason.as_str().into();
        }
    }
    told
}
