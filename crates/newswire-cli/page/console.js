// The console: one WebSocket of the visitor's choice, its live properties, and what may be done with it.
// How messages are shown lives in log.js.
import { Log } from "./log.js";
import { MAX_REASON_BYTES, STATES, closeMeaning, count, exception, utf8Length } from "./wire.js";

const REFRESH_MS = 200; // bufferedAmount has no event

const $ = (id) => document.getElementById(id);

export function startConsole(defaultUrl) {
  const log = new Log();
  let ws = null;
  let opened = false;
  let closedHere = false;
  let reasonSent = "";
  let refresh = 0;

  $("url").value = defaultUrl;
  // What a reload brought back must be counted too.
  countReason();

  on("connect-form", "submit", connect);
  on("disconnect", "click", () => { if (active()) close(); });
  on("send-form", "submit", sendText);
  on("close-form", "submit", closeWithCode);
  on("file", "change", sendFile);
  on("close-reason", "input", countReason);
  on("binary-type", "change", () => { if (ws) ws.binaryType = $("binary-type").value; });
  on("message", "keydown", (event) => {
    // While an input method composes (Chinese, Japanese, Korean), Enter is its own.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
    event.preventDefault();
    sendText();
  });

  function active() {
    return ws !== null && ws.readyState !== WebSocket.CLOSED;
  }

  function connect() {
    if (active()) return;
    const url = $("url").value.trim();
    const protocols = $("protocols").value.split(",").map((name) => name.trim()).filter(Boolean);
    ["connect", "send", "close"].forEach((form) => fail(form, ""));
    $("closed").hidden = true;
    try {
      ws = new WebSocket(url, protocols);
    } catch (error) {
      fail("connect", `Not connected. ${exception(error)} Give a URL such as ${defaultUrl}; a subprotocol is one word, and named once.`);
      return;
    }
    opened = closedHere = false;
    reasonSent = "";
    ws.binaryType = $("binary-type").value;
    ws.addEventListener("open", onOpen);
    ws.addEventListener("message", (event) => log.message("received", event.data));
    ws.addEventListener("error", () => onError(protocols));
    ws.addEventListener("close", onClose);
    log.note("event", `Connecting to ${ws.url}${protocols.length > 0 ? ` and offering ${protocols.join(", ")}` : ""}`);
    clearInterval(refresh);
    refresh = setInterval(showState, REFRESH_MS);
    showState();
  }

  function onOpen() {
    opened = true;
    log.note("event", `Open${ws.protocol && `, protocol ${ws.protocol}`}${ws.extensions && `, extensions ${ws.extensions}`}`);
    showState();
  }

  // WHATWG: the error event says nothing more, so that a page cannot probe a network. Help instead of a cause.
  function onError(protocols) {
    if (closedHere) return;
    if (opened) {
      log.note("failure", "The connection failed.");
      return;
    }
    const offered = protocols.length > 0
      ? " A browser also fails the connection when the server selects none of the offered subprotocols; this page’s server selects echo-protocol only."
      : "";
    fail("connect", `Could not connect. Is a server running there, and is the path right? A browser does not tell the page why; its developer tools may (F12).${offered}`);
    log.note("failure", "Could not connect.");
  }

  function onClose(event) {
    clearInterval(refresh);
    showState();
    const [name, meaning] = closeMeaning(event.code);
    $("closed").hidden = false;
    $("closed").dataset.clean = String(event.wasClean);
    $("closed-code").textContent = event.code;
    $("closed-name").textContent = `${name}.`;
    $("closed-meaning").textContent = meaning;
    // The event has the server's reason; many servers answer a close with its code alone.
    $("closed-reason").textContent = event.reason || (reasonSent && event.wasClean ? "(none: the server answered with the code alone)" : "(none)");
    $("closed-clean").textContent = String(event.wasClean);
    $("closed-by").textContent = closedHere ? "this page" : event.wasClean ? "the server" : "neither side";
    log.note("event", `Closed: ${event.code} ${name}${event.reason && `, reason “${event.reason}”`}, wasClean ${event.wasClean}`);
  }

  function showState() {
    const { readyState } = ws;
    $("ready-state").textContent = `${readyState} ${STATES[readyState]}`;
    $("ready-state").dataset.state = STATES[readyState].toLowerCase();
    $("buffered-amount").textContent = count(ws.bufferedAmount);
    $("protocol").textContent = ws.protocol || "(none)";
    $("extensions").textContent = ws.extensions || "(none)";
    // aria-disabled, not disabled, which would take the keyboard's focus away.
    $("connect").setAttribute("aria-disabled", String(active()));
    $("disconnect").setAttribute("aria-disabled", String(!active()));
    $("url").readOnly = $("protocols").readOnly = active();
  }

  /** Whether a message can go out now; says so if not. Out of OPEN, send() would drop it in silence or throw. */
  function ready() {
    const open = ws?.readyState === WebSocket.OPEN;
    fail("send", open ? "" : `Not sent: ${ws ? `the connection is ${STATES[ws.readyState]}` : "there is no connection yet"}. Connect first.`);
    return open;
  }

  function sendText() {
    if (!ready()) return;
    const text = $("message").value;
    ws.send(text);
    log.message("sent", text);
    $("message").value = "";
    showState();
  }

  function sendFile() {
    const [file] = $("file").files;
    if (!file) return;
    if (ready()) {
      ws.send(file);
      log.message("sent", file, file.name);
      showState();
    }
    $("file").value = ""; // so that the same file can be chosen again
  }

  function closeWithCode() {
    const code = $("close-code").value.trim();
    const reason = $("close-reason").value;
    fail("close", "");
    if (!active()) return fail("close", "Nothing to close: there is no connection.");
    if (!/^\d*$/.test(code)) return fail("close", `The close code must be a whole number; “${code}” is not.`);
    if (code === "" && reason !== "") return fail("close", "A reason needs a code: use 1000 if no other fits.");
    try {
      close(code === "" ? undefined : Number(code), reason);
    } catch (error) {
      // The browser is the judge of code and reason.
      fail("close", `Not closed. ${exception(error)}`);
    }
  }

  function close(code, reason = "") {
    const first = ws.readyState < WebSocket.CLOSING;
    if (code === undefined) ws.close();
    else ws.close(code, reason);
    if (first) {
      closedHere = true;
      reasonSent = reason;
    }
    log.note("event", `Closing${code === undefined ? "" : ` with ${code}`}${reason && `, reason “${reason}”`}`);
    showState();
  }

  function countReason() {
    const size = utf8Length($("close-reason").value);
    const over = size - MAX_REASON_BYTES;
    $("reason-bytes").textContent = `${size} of ${MAX_REASON_BYTES} bytes${over > 0 ? `, ${over} too many` : ""}`;
    $("reason-bytes").classList.toggle("over", over > 0);
  }
}

function on(id, type, listener) {
  $(id).addEventListener(type, (event) => {
    if (type === "submit") event.preventDefault();
    listener(event);
  });
}

function fail(form, text) {
  $(`${form}-error`).textContent = text;
}
