//! Run it: `newswire serve`, then
//! `cargo run --features event --example javascript_twin -- ws://127.0.0.1:9998/echo`.
//!
//! The twin of the page that introductions to WebSocket begin with. A line of the page's script is a
//! comment, and what it is here stands below. No runtime, no `async`: the interface is that of web pages.
//! `docs/guide/from-javascript.md` shows both beside each other, made from this file.

#![allow(clippy::print_stdout, reason = "the example tells what it does")]

use newswire::event::{CloseEvent, DomException, MessageEvent, WebSocket};

// window.addEventListener("load", init, false);
fn main() -> Result<(), DomException> {
    let argument = std::env::args().nth(1);
    // var wsUri = "ws://echo.websocket.org/";
    let ws_uri = argument.as_deref().unwrap_or("ws://127.0.0.1:9998/echo");
    // testWebSocket();
    test_web_socket(ws_uri)?.run();
    Ok(())
}

// function testWebSocket() {
fn test_web_socket(ws_uri: &str) -> Result<WebSocket, DomException> {
    // websocket = new WebSocket(wsUri);
    let websocket = WebSocket::new(ws_uri, ())?;
    // websocket.onopen = function(evt) { onOpen(evt) };
    websocket.set_onopen(Some(Box::new(on_open)));
    // websocket.onclose = function(evt) { onClose(evt) };
    websocket.set_onclose(Some(Box::new(on_close)));
    // websocket.onmessage = function(evt) { onMessage(evt) };
    websocket.set_onmessage(Some(Box::new(on_message)));
    // websocket.onerror = function(evt) { onError(evt) };
    websocket.set_onerror(Some(Box::new(on_error)));
    Ok(websocket)
}

// function onOpen(evt) {
fn on_open(websocket: &WebSocket) {
    // writeToScreen("CONNECTED");
    write_to_screen("CONNECTED");
    // doSend("WebSocket rocks");
    do_send(websocket, "WebSocket rocks");
}

// function onClose(evt) {
fn on_close(_: &WebSocket, _: &CloseEvent) {
    // writeToScreen("DISCONNECTED");
    write_to_screen("DISCONNECTED");
}

// function onMessage(evt) {
fn on_message(websocket: &WebSocket, evt: &MessageEvent) {
    // writeToScreen("RESPONSE: " + evt.data);
    write_to_screen(&format!("RESPONSE: {}", text(evt)));
    // websocket.close();
    websocket.close(None, None).unwrap_or_else(uncaught);
}

// function onError(evt) {
fn on_error(websocket: &WebSocket) {
    // writeToScreen("ERROR: " + evt.data);
    write_to_screen(&format!("ERROR: {}", why(websocket)));
}

// function doSend(message) {
fn do_send(websocket: &WebSocket, message: &str) {
    // writeToScreen("SENT: " + message);
    write_to_screen(&format!("SENT: {message}"));
    // websocket.send(message);
    websocket.send(message).unwrap_or_else(uncaught);
}

// function writeToScreen(message) {
fn write_to_screen(message: &str) {
    // output.appendChild(pre);
    println!("{}", message.escape_debug());
}

/// A message is text or bytes, and which of them the type says.
fn text(evt: &MessageEvent) -> &str {
    evt.data.as_text().unwrap_or("(bytes)")
}

/// An error event has no data: a page must not learn why. A program may.
fn why(websocket: &WebSocket) -> String {
    websocket.failure().unwrap_or_default()
}

/// What a handler throws goes to the console, and the next event comes all the same.
fn uncaught(exception: DomException) {
    write_to_screen(&format!("Uncaught {exception}"));
}
