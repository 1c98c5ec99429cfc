//! Run it: `newswire serve`, then
//! `cargo run --features event --example javascript_twin -- ws://127.0.0.1:9998/echo`.
//!
//! The twin of the page that introductions to WebSocket begin with: what the page's script says is a
//! comment, and what it is here stands below. No runtime, no `async`: the interface is that of web pages.

#![allow(clippy::print_stdout, reason = "the example tells what it does")]

use newswire::event::{CloseEvent, Data, DomException, MessageEvent, WebSocket};

// websocket = new WebSocket(wsUri);
// websocket.onopen = function (evt) { onOpen(evt) };
// websocket.onclose = function (evt) { onClose(evt) };
// websocket.onmessage = function (evt) { onMessage(evt) };
// websocket.onerror = function (evt) { onError(evt) };
fn test_web_socket(ws_uri: &str) -> Result<WebSocket, DomException> {
    let websocket = WebSocket::new(ws_uri, ())?;
    websocket.set_onopen(Some(Box::new(on_open)));
    websocket.set_onclose(Some(Box::new(on_close)));
    websocket.set_onmessage(Some(Box::new(on_message)));
    websocket.set_onerror(Some(Box::new(on_error)));
    Ok(websocket)
}

// function onOpen(evt) { writeToScreen("CONNECTED"); doSend("WebSocket rocks"); }
fn on_open(websocket: &WebSocket) {
    write_to_screen("CONNECTED");
    do_send(websocket, "WebSocket rocks");
}

// function onClose(evt) { writeToScreen("DISCONNECTED"); }
fn on_close(_: &WebSocket, event: &CloseEvent) {
    write_to_screen(&format!("DISCONNECTED: {} {}", event.code, event.reason));
}

// function onMessage(evt) { writeToScreen('RESPONSE: ' + evt.data); websocket.close(); }
fn on_message(websocket: &WebSocket, event: &MessageEvent) {
    match &event.data {
        Data::Text(text) => write_to_screen(&format!("RESPONSE: {text}")),
        Data::Blob(bytes) | Data::ArrayBuffer(bytes) => {
            write_to_screen(&format!("RESPONSE: {} bytes", bytes.len()));
        }
    }
    if let Err(exception) = websocket.close(None, None) {
        write_to_screen(&format!("ERROR: {exception}"));
    }
}

// function onError(evt) { writeToScreen('ERROR: ' + evt.data); }
//
// An error event has no data: scripts must not learn why. A program may.
fn on_error(websocket: &WebSocket) {
    write_to_screen(&format!(
        "ERROR: {}",
        websocket.failure().unwrap_or_default()
    ));
}

// function doSend(message) { writeToScreen("SENT: " + message); websocket.send(message); }
fn do_send(websocket: &WebSocket, message: &str) {
    write_to_screen(&format!("SENT: {message}"));
    if let Err(exception) = websocket.send(message) {
        write_to_screen(&format!("ERROR: {exception}"));
    }
}

// function writeToScreen(message) { … output.appendChild(pre); }
fn write_to_screen(message: &str) {
    println!("{}", message.escape_debug());
}

// window.addEventListener("load", init, false);
fn main() -> Result<(), DomException> {
    let argument = std::env::args().nth(1);
    let ws_uri = argument.as_deref().unwrap_or("ws://127.0.0.1:9998/echo");
    test_web_socket(ws_uri)?.run();
    Ok(())
}
