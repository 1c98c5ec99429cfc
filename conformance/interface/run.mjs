// newswire::event behind a JavaScript class: scripts as web pages have them, and what they must see.
// See README.md.
//   node run.mjs path/to/event_bridge
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { serve } from "./server.mjs";
import { Bridge, interfaces } from "./websocket.mjs";

const WAIT_MS = 10_000;
const RUN_MS = 120_000;

const [program] = process.argv.slice(2);
if (!program) {
  console.error("usage: node run.mjs path/to/event_bridge");
  process.exit(2);
}
setTimeout(() => {
  console.error(`FAIL the run took longer than ${RUN_MS / 1000} s`);
  process.exit(1);
}, RUN_MS).unref();

const server = await serve();
const host = `127.0.0.1:${server.port}`;
const URL_BASE = `ws://${host}`;
const ORIGIN = "http://page.example";
const bridge = new Bridge(program, { base: `http://${host}/page/index.html`, origin: ORIGIN });
const { WebSocket, CloseEvent } = interfaces(bridge);

/** What has happened to a socket, in its order, with the state at that moment. */
function journal(socket) {
  const entries = [];
  for (const type of ["open", "message", "error", "close"]) {
    socket.addEventListener(type, (event) => {
      const said = type === "message" ? event.data : type === "close" ? event.code : undefined;
      entries.push([type, socket.readyState, ...(said === undefined ? [] : [said])]);
    });
  }
  return entries;
}

/** The next event of this type. */
function until(socket, type) {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`no ${type} event`)), WAIT_MS);
    socket.addEventListener(type, (event) => {
      clearTimeout(late);
      resolve(event);
    }, { once: true });
  });
}

const throws = (name, body) => assert.throws(body, (error) => {
  assert(error instanceof DOMException, error);
  assert.equal(error.name, name);
  return true;
});

const checks = {
  "the constructor throws what and when it must"() {
    for (const url of ["ws://foo bar.com/", "ftp://example.com/", "mailto:a@example.org", "about:blank",
      `${URL_BASE}/#`, `${URL_BASE}/#test`, "#test", "ws://"]) {
      throws("SyntaxError", () => new WebSocket(url));
    }
    for (const names of ["", "/echo", "a b", "ä", "\u{80}", "a\0", ["echo", "echo"], ["echo", "eCho"], ["a", "b,c"]]) {
      throws("SyntaxError", () => new WebSocket(`${URL_BASE}/echo`, names));
    }
    assert.throws(() => new WebSocket(), TypeError);
  },
  "url is parsed, mapped and serialised"() {
    for (const [given, url] of [
      [URL_BASE, `${URL_BASE}/`], ["echo", `${URL_BASE}/page/echo`], ["/echo?a", `${URL_BASE}/echo?a`],
      [`http://${host}/echo`, `${URL_BASE}/echo`], ["https://example.invalid/", "wss://example.invalid/"],
      [`WS://${host}/a b`, `${URL_BASE}/a%20b`], ["ws://localhost:80/", "ws://localhost/"],
      [{ toString: () => `${URL_BASE}/echo` }, `${URL_BASE}/echo`], ["/\uD800", `${URL_BASE}/%EF%BF%BD`],
    ]) assert.equal(new WebSocket(given).url, url);
  },
  "a new socket is connecting"() {
    const socket = new WebSocket(`${URL_BASE}/echo`);
    assert.equal(socket.readyState, WebSocket.CONNECTING);
    assert.deepEqual([socket.protocol, socket.extensions, socket.bufferedAmount], ["", "", 0]);
    assert.equal(socket.binaryType, "blob");
    assert.deepEqual([socket.onopen, socket.onmessage, socket.onerror, socket.onclose], [null, null, null, null]);
    throws("InvalidStateError", () => socket.send("early"));
    assert.equal(socket.bufferedAmount, 0);
    for (const [name, value] of Object.entries({ CONNECTING: 0, OPEN: 1, CLOSING: 2, CLOSED: 3 })) {
      assert.equal(WebSocket[name], value);
      assert.equal(socket[name], value);
    }
  },
  async "it stays connecting as long as the script runs"() {
    const socket = new WebSocket(`${URL_BASE}/echo`);
    const end = Date.now() + 50;
    while (Date.now() < end) assert.equal(socket.readyState, 0);
    await until(socket, "open");
    assert.equal(socket.readyState, 1);
  },
  async "bufferedAmount grows in send and sinks between tasks"() {
    const socket = new WebSocket(`${URL_BASE}/echo`);
    await until(socket, "open");
    let sum = 0;
    for (const [text, bytes] of [["x", 1], ["\u00E5", 2], ["\u5336", 3], ["\uD801\uDC7E", 4], ["\uD801", 3]]) {
      socket.send(text);
      sum += bytes;
      assert.equal(socket.bufferedAmount, sum);
    }
    const end = Date.now() + 30;
    while (Date.now() < end) assert.equal(socket.bufferedAmount, sum);
    for (const text of ["x", "\u00E5", "\u5336", "\uD801\uDC7E", "\uFFFD"]) {
      assert.equal((await until(socket, "message")).data, text);
    }
    assert.equal(socket.bufferedAmount, 0);
  },
  async "bufferedAmount sinks without an event"() {
    const socket = new WebSocket(`${URL_BASE}/slow-reader`);
    await until(socket, "open");
    const large = new ArrayBuffer(20 << 20);
    socket.send(large);
    assert.equal(socket.bufferedAmount, 20 << 20);
    await sleep(200);
    const left = socket.bufferedAmount;
    assert(left > 0 && left <= 20 << 20, String(left));
    socket.binaryType = "arraybuffer";
    const { data } = await until(socket, "message");
    assert.equal(data.byteLength, 20 << 20);
    assert.equal(socket.bufferedAmount, 0);
  },
  async "all kinds of data are sent, in their order"() {
    const socket = new WebSocket(`${URL_BASE}/echo`);
    await until(socket, "open");
    const bytes = Uint8Array.from({ length: 300 }, (_, at) => at);
    socket.send(new Blob([bytes]));
    assert.equal(socket.bufferedAmount, 300);
    socket.send("behind");
    socket.send(bytes.buffer);
    socket.send(new Uint16Array(bytes.buffer, 2, 3));
    socket.send(null);
    assert.equal(socket.bufferedAmount, 300 + 6 + 300 + 6 + 4);
    const first = (await until(socket, "message")).data;
    assert(first instanceof Blob);
    assert.deepEqual(new Uint8Array(await first.arrayBuffer()), bytes);
    socket.binaryType = "arraybuffer";
    const rest = journal(socket);
    while (rest.length < 4) await sleep(5);
    assert.deepEqual(rest.map(([, , data]) => (typeof data === "string" ? data : data.byteLength ?? data.size)),
      ["behind", 300, 6, "null"]);
  },
  async "message events have the origin of the URL"() {
    const socket = new WebSocket(`http://user:pa%20ss@${host}/request?a%20b`);
    const event = await until(socket, "message");
    assert.equal(event.origin, URL_BASE);
    assert.deepEqual(JSON.parse(event.data), {
      origin: ORIGIN, authorization: `Basic ${btoa("user:pa ss")}`, query: "?a%20b",
    });
  },
  async "binaryType ignores what it does not know"() {
    const socket = new WebSocket(`${URL_BASE}/echo`);
    socket.binaryType = "notBlobOrArrayBuffer";
    assert.equal(socket.binaryType, "blob");
    socket.binaryType = "arraybuffer";
    assert.equal(socket.binaryType, "arraybuffer");
  },
  async "a protocol is chosen among those asked for, and must be"() {
    for (const [path, protocols, chosen] of [
      ["/echo", "chat", "chat"], ["/protocol?is=b", ["a", "b"], "b"], ["/no-protocol", [], ""],
    ]) {
      const socket = new WebSocket(URL_BASE + path, protocols);
      await until(socket, "open");
      assert.equal(socket.protocol, chosen);
    }
    for (const [path, protocols] of [
      ["/no-protocol", "chat"], ["/protocol?is=c", ["a", "b"]], ["/protocol?is=a", []], ["/protocol?is=A", "a"],
    ]) await failing(new WebSocket(URL_BASE + path, protocols));
  },
  async "what fails looks the same whatever it was"() {
    for (const url of ["/extension", "/wrong-key", "/redirect", "/missing", "/invalid"].map((path) => URL_BASE + path)
      .concat("ws://127.0.0.1:1/", "ws://127.0.0.1:6667/", "ws://name.invalid/", `wss://${host}/echo`)) {
      await failing(new WebSocket(url));
    }
  },
  async "a lost connection and a broken protocol are errors"() {
    const lost = new WebSocket(`${URL_BASE}/abrupt`);
    const entries = journal(lost);
    const { wasClean } = await until(lost, "close");
    assert.equal(wasClean, false);
    assert.deepEqual(entries, [["open", 1], ["message", 1, "last words"], ["error", 3], ["close", 3, 1006]]);
    const broken = new WebSocket(`${URL_BASE}/broken`);
    const others = journal(broken);
    await until(broken, "close");
    assert.deepEqual(others, [["open", 1], ["error", 3], ["close", 3, 1006]]);
  },
  async "close judges its arguments first"() {
    const socket = new WebSocket(`${URL_BASE}/echo`);
    const refused = () => {
      for (const code of [0, 500, NaN, "string", null, 0x10000 + 1000, 999, 1001, 2999, 5000, -1, 1000.6]) {
        throws("InvalidAccessError", () => socket.close(code));
      }
      throws("SyntaxError", () => socket.close(1000, "x".repeat(124)));
      throws("SyntaxError", () => socket.close(undefined, "é".repeat(62)));
      throws("InvalidAccessError", () => socket.close(1, "x".repeat(124)));
    };
    refused();
    await until(socket, "open");
    refused();
    assert.equal(socket.readyState, 1);
    socket.close(1000.5, "\uD807");
    assert.equal(socket.readyState, 2);
    const event = await until(socket, "close");
    assert(event instanceof CloseEvent);
    assert.deepEqual([event.wasClean, event.code, event.reason], [true, 1000, "\uFFFD"]);
    refused();
  },
  async "close without code and reason has neither"() {
    for (const [args, code, reason] of [
      [[], 1005, ""], [[undefined, undefined], 1005, ""], [[3000], 3000, ""], [[4999, "why"], 4999, "why"],
      [[undefined, "why"], 1000, "why"],
    ]) {
      const socket = new WebSocket(`${URL_BASE}/echo`);
      await until(socket, "open");
      socket.close(...args);
      const event = await until(socket, "close");
      assert.deepEqual([event.wasClean, event.code, event.reason], [true, code, reason]);
    }
  },
  async "closing while connecting fails the connection"() {
    for (const delay of [0, 5, 100]) {
      const socket = new WebSocket(`${URL_BASE}/sleep`);
      const entries = journal(socket);
      await sleep(delay);
      assert.equal(socket.readyState, 0);
      socket.close();
      socket.close();
      assert.equal(socket.readyState, 2);
      assert.deepEqual(entries, []);
      const { wasClean } = await until(socket, "close");
      assert.equal(wasClean, false);
      assert.deepEqual(entries, [["error", 3], ["close", 3, 1006]]);
    }
  },
  async "nothing is shown after close"() {
    const socket = new WebSocket(`${URL_BASE}/data-around-close`);
    const entries = journal(socket);
    await until(socket, "open");
    socket.close();
    socket.send("test");
    assert.equal(socket.bufferedAmount, 4);
    await until(socket, "close");
    assert.equal(socket.bufferedAmount, 4);
    socket.send("more");
    assert.equal(socket.bufferedAmount, 8);
    assert.deepEqual(entries, [["open", 1], ["close", 3, 1000]]);
  },
  async "the server closes"() {
    for (const [query, code, reason] of [["", 1005, ""], ["?code=1000", 1000, ""], ["?code=4000&reason=Done", 4000, "Done"]]) {
      const socket = new WebSocket(`${URL_BASE}/close${query}`);
      const entries = journal(socket);
      const event = await until(socket, "close");
      assert.deepEqual([event.wasClean, event.code, event.reason], [true, code, reason]);
      assert.deepEqual(entries, [["open", 1], ["close", 3, code]]);
    }
  },
  async "close comes when the closing handshake is complete"() {
    const socket = new WebSocket(`${URL_BASE}/delayed-close`);
    await until(socket, "open");
    const begun = performance.now();
    socket.close();
    await sleep(100);
    assert.equal(socket.readyState, 2);
    const { wasClean } = await until(socket, "close");
    assert.equal(wasClean, true);
    assert(performance.now() - begun > 280);
  },
  async "handlers are set, replaced and removed"() {
    const socket = new WebSocket(`${URL_BASE}/close`);
    const calls = [];
    socket.onclose = () => calls.push("old");
    socket.addEventListener("close", () => calls.push("listener"));
    socket.onclose = () => {
      calls.push("new");
      socket.close();
      assert.equal(socket.readyState, 3);
    };
    socket.onopen = () => calls.push("never");
    socket.onopen = null;
    socket.onerror = 2;
    assert.deepEqual([socket.onopen, socket.onerror], [null, null]);
    await until(socket, "close");
    await sleep(20);
    assert.deepEqual(calls, ["new", "listener"]);
  },
  "the interfaces look as Web IDL has them"() {
    const socket = new WebSocket(URL_BASE);
    for (const [type, object, length, attributes, operations] of [
      [WebSocket, socket, 1, ["url", "readyState", "bufferedAmount", "extensions", "protocol", "binaryType",
        "onopen", "onmessage", "onerror", "onclose"], { close: 0, send: 1 }],
      [CloseEvent, new CloseEvent("close"), 1, ["wasClean", "code", "reason"], {}],
    ]) {
      const { prototype } = type;
      const described = (name) => Object.getOwnPropertyDescriptor(prototype, name);
      assert.equal(type.length, length);
      assert.equal(String(object), `[object ${type.name}]`);
      assert.throws(() => type("ws://x/"), TypeError);
      for (const name of attributes) {
        const { get, set, enumerable, configurable } = described(name);
        assert.deepEqual([get.name, enumerable, configurable], [`get ${name}`, true, true]);
        assert.equal(typeof set, /^on|Type$/.test(name) ? "function" : "undefined", name);
        assert.throws(() => get.call({}), TypeError);
        assert.equal(Object.hasOwn(object, name), false);
      }
      for (const [name, least] of Object.entries(operations)) {
        const { value, enumerable, configurable, writable } = described(name);
        assert.deepEqual([value.length, enumerable, configurable, writable], [least, true, true, true]);
        assert.throws(() => value.call({}, ""), TypeError);
        if (least > 0) assert.throws(() => object[name](), TypeError);
      }
      const rest = Object.keys(prototype).filter((name) => !attributes.includes(name) && !(name in operations));
      assert.deepEqual(rest, type === WebSocket ? ["CONNECTING", "OPEN", "CLOSING", "CLOSED"] : []);
    }
    for (const holder of [WebSocket, WebSocket.prototype]) {
      assert.deepEqual(Object.getOwnPropertyDescriptor(holder, "CLOSED"),
        { value: 3, writable: false, enumerable: true, configurable: false });
    }
  },
  async "sockets to the same address are established one after the other"() {
    const opened = [];
    const sockets = [1, 2].map(() => new WebSocket(`${URL_BASE}/slow-start`));
    for (const socket of sockets) socket.addEventListener("open", () => opened.push(performance.now()));
    await Promise.all(sockets.map((socket) => until(socket, "open")));
    assert(opened[1] - opened[0] > 280, String(opened));
  },
  async "sockets that are dropped leave the others alone"() {
    const [gone, stays] = [1, 2].map(() => new WebSocket(`${URL_BASE}/echo`));
    await Promise.all([until(gone, "open"), until(stays, "open")]);
    const entries = journal(gone);
    bridge.drop(gone);
    stays.send("still here");
    assert.equal((await until(stays, "message")).data, "still here");
    assert.deepEqual(entries, []);
  },
};

/** That a socket fails: an error and a close event, both closed, nothing else. */
async function failing(socket) {
  const entries = journal(socket);
  assert.equal(socket.readyState, 0);
  const event = await until(socket, "close");
  assert.deepEqual(entries, [["error", 3], ["close", 3, 1006]], socket.url);
  assert.deepEqual([event.wasClean, event.reason], [false, ""]);
  assert.deepEqual([socket.protocol, socket.extensions], ["", ""]);
}

let failed = 0;
for (const [name, check] of Object.entries(checks)) {
  try {
    await check();
    console.log(`ok   ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAIL ${name}\n     ${error.stack.split("\n").slice(0, 20).join("\n     ")}`);
  }
  bridge.clear();
}
bridge.end();
server.close();
console.log(`${Object.keys(checks).length - failed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
