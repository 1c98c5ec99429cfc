// The WebSocket class of web pages, in front of the example `event_bridge`: what Web IDL says of
// arguments, attributes and events. What the algorithms do is not decided here: the bridge is asked,
// and answers before the script goes on.
import { spawn, spawnSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const TURN_MS = 1; // how often the event loop comes by
const NEWLINE = 10;
const TYPES = ["open", "message", "error", "close"];

/** The bridge's process, asked through two named pipes, since only those can be waited for. */
export class Bridge {
  #folder = mkdtempSync(join(tmpdir(), "newswire-interface-"));
  #sockets = new Map();
  #attributes = {};
  #lastId = 0;

  constructor(program, { base, origin, ca } = {}) {
    this.page = { base, origin, ca };
    const [ask, answer] = ["ask", "answer"].map((name) => join(this.#folder, name));
    const made = spawnSync("mkfifo", [ask, answer]);
    if (made.status !== 0) throw new Error(`mkfifo failed: ${made.stderr}`);
    const script = 'exec "$0" <"$1" >"$2"';
    this.child = spawn("sh", ["-c", script, program, ask, answer], { stdio: ["ignore", "ignore", "inherit"] });
    process.once("exit", () => this.end());
    this.ask = openSync(ask, "w");
    this.answer = openSync(answer, "r");
    this.turns = setInterval(() => this.turn(), TURN_MS);
  }

  /** Has one thing done, and waits until it is. */
  do(request) {
    writeSync(this.ask, `${JSON.stringify(request)}\n`);
    const parts = [];
    do {
      const chunk = Buffer.alloc(1 << 16);
      const length = readSync(this.answer, chunk);
      if (length === 0) throw new Error("the bridge is gone");
      parts.push(chunk.subarray(0, length));
    } while (parts.at(-1).at(-1) !== NEWLINE); // the answer to one request is one line
    const answer = JSON.parse(Buffer.concat(parts));
    this.#attributes = answer.sockets;
    if (answer.throws) throw new DOMException(answer.throws.message, answer.throws.name);
    return answer;
  }

  open(socket, url, protocols) {
    const id = ++this.#lastId;
    this.do({ do: "open", socket: id, url, protocols, ...this.page });
    this.#sockets.set(id, socket);
    return id;
  }

  attributes(id) {
    return this.#attributes[id];
  }

  /** A turn of the event loop for each event that waits, with promises' turns between. */
  async turn() {
    if (this.turning) return;
    this.turning = true;
    try {
      for (;;) {
        const { event } = this.do({ do: "next" });
        if (!event) return;
        const socket = this.#sockets.get(event.socket);
        if (socket) EventTarget.prototype.dispatchEvent.call(socket, made(event));
        await undefined;
      }
    } finally {
      this.turning = false;
    }
  }

  /** Drops a socket, as nothing in a script can. */
  drop(socket) {
    for (const [id, other] of this.#sockets) {
      if (other !== socket) continue;
      this.do({ do: "drop", socket: id });
      this.#sockets.delete(id);
    }
  }

  /** Drops all sockets. */
  clear() {
    for (const id of this.#sockets.keys()) this.do({ do: "drop", socket: id });
    this.#sockets.clear();
  }

  end() {
    clearInterval(this.turns);
    if (this.ask === undefined) return;
    closeSync(this.ask);
    closeSync(this.answer);
    this.ask = undefined;
    this.child.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

class MessageEvent extends Event {
  #init;

  constructor(type, init = {}) {
    if (arguments.length === 0) throw new TypeError("the type is missing");
    super(type, init);
    const { data = null, origin = "", lastEventId = "", source = null, ports = [] } = init ?? {};
    this.#init = { data, origin: usv(origin), lastEventId: String(lastEventId), source, ports: Object.freeze([...ports]) };
  }

  get data() { return this.#init.data; }
  get origin() { return this.#init.origin; }
  get lastEventId() { return this.#init.lastEventId; }
  get source() { return this.#init.source; }
  get ports() { return this.#init.ports; }
}

class CloseEvent extends Event {
  #wasClean;
  #code;
  #reason;

  constructor(type, init = {}) {
    if (arguments.length === 0) throw new TypeError("the type is missing");
    super(type, init);
    const { wasClean = false, code = 0, reason = "" } = init ?? {};
    this.#wasClean = Boolean(wasClean);
    this.#code = Number(code) & 0xffff;
    this.#reason = usv(reason);
  }

  get wasClean() { return this.#wasClean; }
  get code() { return this.#code; }
  get reason() { return this.#reason; }
}

/** The interfaces, with sockets of this bridge. */
export function interfaces(bridge) {
  class WebSocket extends EventTarget {
    #id;
    #handlers = {};

    constructor(url, protocols = {}) {
      super();
      if (arguments.length === 0) throw new TypeError("the URL is missing");
      this.#id = bridge.open(this, usv(url), names(protocols));
    }

    get #attributes() { return bridge.attributes(this.#id); }
    get url() { return this.#attributes.url; }
    get readyState() { return this.#attributes.readyState; }
    get bufferedAmount() { return this.#attributes.bufferedAmount; }
    get extensions() { return this.#attributes.extensions; }
    get protocol() { return this.#attributes.protocol; }
    get binaryType() { return this.#attributes.binaryType; }

    set binaryType(value) {
      // Web IDL: what is no value of the enumeration is ignored.
      if (["blob", "arraybuffer"].includes(String(value))) {
        bridge.do({ do: "binaryType", socket: this.#id, value: String(value) });
      }
    }

    send(data) {
      if (arguments.length === 0) throw new TypeError("the data is missing");
      const socket = this.#id;
      if (data instanceof Blob) {
        const { blob } = bridge.do({ do: "send", socket, blob: data.size });
        data.arrayBuffer().then((bytes) => bridge.do({ do: "fill", socket, blob, base64: base64(bytes) }));
      } else if (data instanceof ArrayBuffer) {
        bridge.do({ do: "send", socket, base64: base64(data) });
      } else if (ArrayBuffer.isView(data)) {
        bridge.do({ do: "send", socket, base64: base64(data.buffer, data.byteOffset, data.byteLength) });
      } else {
        bridge.do({ do: "send", socket, text: usv(data) });
      }
    }

    close(code = undefined, reason = undefined) {
      const request = { do: "close", socket: this.#id };
      if (code !== undefined) request.code = clamp(code);
      if (reason !== undefined) request.reason = usv(reason);
      bridge.do(request);
    }

    static handler(type) {
      // HTML: a handler is a listener that looks up what it is to call.
      return {
        get [`on${type}`]() { return this.#handlers[type]?.callback ?? null; },
        set [`on${type}`](value) {
          const callback = Object(value) === value ? value : null;
          const standing = this.#handlers[type];
          if (callback && standing) {
            standing.callback = callback;
          } else if (callback) {
            const handler = { callback };
            handler.listener = (event) => {
              if (typeof handler.callback === "function") handler.callback.call(this, event);
            };
            this.#handlers[type] = handler;
            this.addEventListener(type, handler.listener);
          } else if (standing) {
            this.removeEventListener(type, standing.listener);
            delete this.#handlers[type];
          }
        },
      };
    }
  }
  const constants = { CONNECTING: 0, OPEN: 1, CLOSING: 2, CLOSED: 3 };
  for (const [name, value] of Object.entries(constants)) {
    for (const object of [WebSocket, WebSocket.prototype]) {
      Object.defineProperty(object, name, { value, enumerable: true });
    }
  }
  for (const type of TYPES) {
    Object.defineProperties(WebSocket.prototype, Object.getOwnPropertyDescriptors(WebSocket.handler(type)));
  }
  delete WebSocket.handler;
  for (const kind of [WebSocket, CloseEvent, MessageEvent]) exposed(kind);
  return { WebSocket, CloseEvent, MessageEvent };
}

/** Web IDL: members are enumerable, and the prototype knows its interface's name. */
function exposed({ name, prototype }) {
  for (const member of Object.keys(Object.getOwnPropertyDescriptors(prototype))) {
    if (member !== "constructor") Object.defineProperty(prototype, member, { enumerable: true });
  }
  Object.defineProperty(prototype, Symbol.toStringTag, { value: name, configurable: true });
}

/** The constructor's second argument: a name, names, or a dictionary that has either. */
function names(protocols) {
  if (Object(protocols) !== protocols) return protocols === null ? [] : [String(protocols)];
  if (protocols[Symbol.iterator]) return Array.from(protocols, String);
  const { protocols: inside = [] } = protocols;
  return Object(inside) === inside && inside[Symbol.iterator] ? Array.from(inside, String) : [String(inside)];
}

function made({ type, origin, text, blob, arraybuffer, wasClean, code, reason }) {
  if (type === "close") return new CloseEvent(type, { wasClean, code, reason });
  if (type !== "message") return new Event(type);
  let data = text;
  if (blob !== undefined) data = new Blob([Buffer.from(blob, "base64")]);
  if (arraybuffer !== undefined) data = Uint8Array.from(Buffer.from(arraybuffer, "base64")).buffer;
  return new MessageEvent(type, { data, origin });
}

/** Web IDL's USVString. */
function usv(value) {
  return String(value).toWellFormed();
}

/** Web IDL's [Clamp] unsigned short: the nearest, of two the even one. */
function clamp(value) {
  const number = Number(value);
  if (Number.isNaN(number)) return 0;
  const bounded = Math.min(Math.max(number, 0), 0xffff);
  const below = Math.floor(bounded);
  const isTie = bounded - below === 0.5;
  return isTie ? below + (below % 2) : Math.round(bounded);
}

function base64(buffer, offset = 0, length = buffer.byteLength) {
  return Buffer.from(buffer, offset, length).toString("base64");
}
