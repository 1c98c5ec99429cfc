// The server that scripts talk to: each path is a way to behave, right or wrong, byte by byte. It
// uses nothing of newswire's.
import { createHash } from "node:crypto";
import { createServer } from "node:net";
import { createServer as createSecureServer } from "node:tls";
import { setTimeout as sleep } from "node:timers/promises";

const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const TLS_HANDSHAKE = 22;
export const [TEXT, CLOSE] = [1, 8];

/** Serves these paths on a free port, over TLS with `identity`; gives it, and what ends it. */
export async function serve({ paths = ownPaths, identity } = {}) {
  const meet = (socket) => {
    socket.on("error", () => {}); // a client may be gone
    new Peer(socket).run(paths);
  };
  const server = identity ? createSecureServer(identity, meet).on("tlsClientError", () => {}) : createServer(meet);
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { port: server.address().port, close: () => server.close() };
}

class Peer {
  #input = Buffer.alloc(0);
  #changed = () => {};
  #ended = false;

  constructor(socket) {
    this.socket = socket;
    socket.on("data", (data) => {
      this.#input = Buffer.concat([this.#input, data]);
      this.#changed();
    });
    socket.on("close", () => {
      this.#ended = true;
      this.#changed();
    });
  }

  async run(paths) {
    try {
      const head = await this.#until(() => {
        if (this.#input[0] === TLS_HANDSHAKE) return "TLS";
        const end = this.#input.indexOf("\r\n\r\n");
        return end >= 0 && this.#take(end + 4).toString();
      });
      if (head === "TLS") return this.socket.destroy(); // to a server that has none
      const [, target] = head.split(" ", 2);
      this.url = new URL(target, "ws://localhost");
      this.headers = new Headers(head.split("\r\n").slice(1).filter(Boolean).map((line) => {
        const at = line.indexOf(":");
        return [line.slice(0, at), line.slice(at + 1).trim()];
      }));
      await (paths[this.url.pathname] ?? refuse)(this);
    } catch (error) {
      if (!this.#ended) console.error(`server: ${error.stack}`);
    }
    this.socket.end();
  }

  /** Waits until `probe` gives something; throws when the client is gone before. */
  async #until(probe) {
    for (;;) {
      const found = probe();
      if (found) return found;
      if (this.#ended) throw new Error("the client is gone");
      await new Promise((resolve) => { this.#changed = resolve; });
    }
  }

  #take(length) {
    const taken = this.#input.subarray(0, length);
    this.#input = this.#input.subarray(length);
    return taken;
  }

  raw(bytes) {
    this.socket.write(bytes);
  }

  accept(lines = [], key = this.headers.get("sec-websocket-key")) {
    const accept = createHash("sha1").update(key + GUID).digest("base64");
    this.raw([
      "HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade",
      `Sec-WebSocket-Accept: ${accept}`, ...lines, "", "",
    ].join("\r\n"));
  }

  send(opcode, payload = "") {
    const bytes = Buffer.from(payload);
    const length = bytes.length < 126 ? [bytes.length]
      : bytes.length < 65536 ? [126, bytes.length >> 8, bytes.length & 255]
      : [127, 0, 0, 0, 0, ...new Uint8Array(new Uint32Array([bytes.length]).buffer).reverse()];
    this.raw(Buffer.concat([Buffer.from([0x80 | opcode, ...length]), bytes]));
  }

  close(code, reason = "") {
    const head = code === undefined ? [] : [code >> 8, code & 255];
    this.send(CLOSE, Buffer.concat([Buffer.from(head), Buffer.from(reason)]));
  }

  /** The next frame: opcode and payload. */
  async next() {
    return this.#until(() => {
      const input = this.#input;
      if (input.length < 6) return undefined;
      const short = input[1] & 127;
      const extended = short === 126 ? 2 : short === 127 ? 8 : 0;
      if (input.length < 6 + extended) return undefined;
      const length = short === 126 ? input.readUInt16BE(2)
        : short === 127 ? Number(input.readBigUInt64BE(2)) : short;
      if (input.length < 6 + extended + length) return undefined;
      const frame = Buffer.from(this.#take(6 + extended + length));
      const key = frame.subarray(2 + extended, 6 + extended);
      const payload = frame.subarray(6 + extended);
      for (let at = 0; at < payload.length; at += 1) payload[at] ^= key[at & 3];
      return { opcode: frame[0] & 15, payload };
    });
  }
}

/** Sends back what comes; closes itself behind "Goodbye". */
export async function echo(peer) {
  for (;;) {
    const { opcode, payload } = await peer.next();
    peer.send(opcode, payload);
    if (opcode === CLOSE) return;
    if (payload.toString() === "Goodbye") {
      peer.close(1000);
      await peer.next();
      return;
    }
  }
}

export const offered = (peer) => (peer.headers.get("sec-websocket-protocol") ?? "").split(/, */).filter(Boolean);

/** What the scripts of run.mjs ask for. */
export const ownPaths = {
  async "/echo"(peer) {
    const [first] = offered(peer);
    peer.accept(first ? [`Sec-WebSocket-Protocol: ${first}`] : []);
    await echo(peer);
  },
  /** Chooses what it is told to, or the first that is offered, and says that. */
  async "/protocol"(peer) {
    const [first] = offered(peer);
    const told = peer.url.searchParams.get("is");
    peer.accept([`Sec-WebSocket-Protocol: ${told ?? first}`]);
    if (told === null) peer.send(TEXT, first);
    await echo(peer);
  },
  async "/no-protocol"(peer) {
    peer.accept();
    await echo(peer);
  },
  async "/extension"(peer) {
    peer.accept(["Sec-WebSocket-Extensions: x-unknown"]);
    await peer.next();
  },
  async "/wrong-key"(peer) {
    peer.accept([], "another");
    await peer.next();
  },
  async "/invalid"(peer) {
    peer.raw("no HTTP at all\r\n\r\n");
  },
  async "/redirect"(peer) {
    peer.raw("HTTP/1.1 302 Found\r\nLocation: /echo\r\nContent-Length: 0\r\n\r\n");
  },
  async "/slow-start"(peer) {
    await sleep(300);
    peer.accept();
    await echo(peer);
  },
  async "/sleep"(peer) {
    await sleep(2000);
    peer.accept();
    await echo(peer);
  },
  /** Says who asks: origin, authorization, query. */
  async "/request"(peer) {
    peer.accept();
    const { origin, authorization } = Object.fromEntries(peer.headers);
    peer.send(TEXT, JSON.stringify({ origin, authorization, query: peer.url.search }));
    await echo(peer);
  },
  async "/close"(peer) {
    const code = peer.url.searchParams.get("code");
    peer.accept();
    peer.close(code ? Number(code) : undefined, peer.url.searchParams.get("reason") ?? "");
    await peer.next();
  },
  async "/delayed-close"(peer) {
    peer.accept();
    const { payload } = await peer.next();
    await sleep(300);
    peer.send(CLOSE, payload);
  },
  async "/data-around-close"(peer) {
    peer.accept();
    await peer.next();
    peer.send(TEXT, "before");
    peer.close(1000);
    peer.send(TEXT, "behind");
    await sleep(50);
  },
  async "/abrupt"(peer) {
    peer.accept();
    peer.send(TEXT, "last words");
    await sleep(50);
    peer.socket.destroy();
  },
  async "/broken"(peer) {
    peer.accept();
    peer.raw(Buffer.from([0x83, 0]));
    await peer.next();
  },
  async "/slow-reader"(peer) {
    peer.accept();
    peer.socket.pause();
    await sleep(500);
    peer.socket.resume();
    await echo(peer);
  },
};

export async function refuse(peer) {
  peer.raw("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
}
