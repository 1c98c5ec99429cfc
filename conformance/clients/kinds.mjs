// The clients of others, each in the same clothes. What is said with them is not known here.
//   const client = await kind.start(shared); const open = await client.connect({ url, protocols, origin });
//   await open.send(textOrBuffer); await open.sendFragments([…]); await open.receive(); await open.ping();
//   await open.close(code, reason); await open.closed(); await client.end();
// `connect` fails with an error whose `status` is the HTTP status of the refusal, where the client
// tells it; `closed` gives the code and the reason that came.
import { once } from "node:events";
import { createInterface } from "node:readline";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { Program } from "../browser/harness.mjs";

const require = createRequire(new URL("../peers/package.json", import.meta.url));
const { WebSocket } = require("ws");
const { client: WebSocketClient } = require("websocket");
const BIG = 64 * 1024 * 1024;

/** Things that come, and those who wait for them. */
class Queue {
  items = [];
  waiting = [];

  put(item) {
    const next = this.waiting.shift();
    if (next) next(item);
    else this.items.push(item);
  }

  take() {
    return this.items.length > 0 ? this.items.shift() : new Promise((resolve) => { this.waiting.push(resolve); });
  }
}

function refused(status, why) {
  return Object.assign(new Error(why), { status });
}

// --- npm's ws -----------------------------------------------------------------------------------------

/** Its `connect` also takes what Node's `http.request` does, such as `headers` and `localAddress`. */
export const ws = {
  name: "ws",
  async start({ ca }) {
    return {
      async connect({ url, protocols = [], ...options }) {
        const socket = new WebSocket(url, protocols, { ca, maxPayload: BIG, ...options });
        const messages = new Queue();
        socket.on("message", (data, binary) => messages.put(binary ? data : data.toString()));
        const closed = new Promise((resolve) => {
          socket.once("close", (code, reason) => resolve({ code, reason: reason.toString() }));
        });
        await new Promise((resolve, reject) => {
          socket.once("open", resolve);
          socket.once("unexpected-response", (_, response) => {
            reject(refused(response.statusCode, "ws: refused"));
            socket.terminate();
          });
          socket.on("error", reject);
        });
        return {
          protocol: socket.protocol,
          localPort: socket._socket.localPort,
          send: async (message) => socket.send(message, { binary: typeof message !== "string" }),
          sendFragments: async (parts) => parts.forEach((part, index) => {
            socket.send(part, { binary: typeof part !== "string", fin: index === parts.length - 1 });
          }),
          receive: () => messages.take(),
          ping: async () => {
            const pong = once(socket, "pong");
            socket.ping("are you there?");
            return String((await pong)[0]) === "are you there?";
          },
          close: async (code, reason) => socket.close(code, reason),
          closed: () => closed,
        };
      },
      async end() {},
    };
  },
};

// --- npm's websocket (WebSocket-Node) -------------------------------------------------------------------

const webSocketNode = {
  name: "WebSocket-Node",
  async start({ ca }) {
    return {
      async connect({ url, protocols = [], origin }) {
        const client = new WebSocketClient({
          maxReceivedFrameSize: BIG, maxReceivedMessageSize: BIG, fragmentOutgoingMessages: false, tlsOptions: { ca },
        });
        const connection = await new Promise((resolve, reject) => {
          client.once("connect", resolve);
          client.once("httpResponse", (response) => {
            reject(refused(response.statusCode, "WebSocket-Node: refused"));
            response.destroy();
          });
          client.once("connectFailed", (error) => reject(new Error(`WebSocket-Node: ${String(error).split("\n")[0]}`)));
          client.connect(url, protocols, origin);
        });
        const messages = new Queue();
        connection.on("error", () => {}); // it is seen by what does not come
        connection.on("message", (message) => messages.put(message.type === "utf8" ? message.utf8Data : message.binaryData));
        const closed = new Promise((resolve) => {
          connection.once("close", (code, reason) => resolve({ code, reason }));
        });
        return {
          protocol: connection.protocol,
          send: async (message) => (typeof message === "string" ? connection.sendUTF(message) : connection.sendBytes(message)),
          sendFragments: async (parts) => sendAsFrames(connection, parts),
          receive: () => messages.take(),
          ping: async () => {
            const pong = once(connection, "pong");
            connection.ping("are you there?");
            return String((await pong)[0]) === "are you there?";
          },
          close: async (code, reason) => connection.close(code, reason),
          closed: () => closed,
        };
      },
      async end() {},
    };
  },
};

/** It cuts messages by their length; frames of given contents are sent by what it does that with. */
function sendAsFrames(connection, parts) {
  const Frame = require("websocket").frame;
  parts.forEach((part, index) => {
    const frame = new Frame(Buffer.alloc(4), Buffer.alloc(10), connection.config);
    const first = typeof part === "string" ? 1 : 2;
    frame.opcode = index === 0 ? first : 0;
    frame.fin = index === parts.length - 1;
    frame.mask = true;
    frame.binaryPayload = Buffer.from(part);
    connection.sendFrame(frame);
  });
}

// --- Python's websockets, in a process of its own -------------------------------------------------------

const bytesOrText = ({ text, base64 }) => text ?? Buffer.from(base64, "base64");
const asJson = (message) => (typeof message === "string" ? { text: message } : { base64: Buffer.from(message).toString("base64") });

const websockets = {
  name: "websockets",
  async start({ python, caFile }) {
    const script = fileURLToPath(new URL("websockets_client.py", import.meta.url));
    const program = new Program(python, [script, ...(caFile ? [caFile] : [])], { stdin: "pipe" });
    const answers = new Map();
    let last = 0;
    createInterface({ input: program.child.stdout }).on("line", (line) => {
      const { id, error, status, value } = JSON.parse(line);
      const { resolve, reject } = answers.get(id);
      answers.delete(id);
      if (error === undefined) resolve(value);
      else reject(refused(status, `websockets: ${error}`));
    });
    const ended = program.ended.then(() => { throw new Error(`websockets ended: ${program.output}`); });
    ended.catch(() => {}); // whoever waits is told
    const ask = (command, rest) => {
      last += 1;
      const id = last;
      const answer = new Promise((resolve, reject) => { answers.set(id, { resolve, reject }); });
      program.child.stdin.write(`${JSON.stringify({ id, command, ...rest })}\n`);
      return Promise.race([answer, ended]);
    };
    return {
      async connect({ url, protocols = [], origin }) {
        const { socket, protocol } = await ask("connect", { url, protocols, origin });
        return {
          protocol: protocol ?? "",
          send: (message) => ask("send", { socket, parts: [asJson(message)] }),
          sendFragments: (parts) => ask("send", { socket, parts: parts.map(asJson) }),
          receive: async () => bytesOrText(await ask("receive", { socket })),
          ping: () => ask("ping", { socket }),
          close: (code, reason) => ask("close", { socket, code, reason }),
          closed: () => ask("closed", { socket }),
        };
      },
      async end() {
        program.child.stdin.end();
        const how = await program.ended;
        if (how.code !== 0) throw new Error(`websockets: ${JSON.stringify(how)}: ${program.output}`);
      },
    };
  },
};

// --- Chromium: a page of the server itself, unless the origin is to be another ---------------------------

const chromium = {
  name: "Chromium",
  isBrowser: true, // it has no fragments and no pings, does not tell statuses, and has an origin anyway
  async start({ browser }) {
    const context = await browser.newContext({ ignoreHTTPSErrors: true, bypassCSP: true });
    const open = [];
    return {
      async connect({ url, protocols = [], origin }) {
        const page = await context.newPage();
        open.push(page);
        const { host, protocol } = new URL(url);
        const own = `${protocol === "wss:" ? "https" : "http"}://${host}`;
        await page.goto(`${origin ?? own}/healthz`);
        const chosen = await page.evaluate(openInPage, { url, protocols });
        const ask = (what) => page.evaluate(what.run, what.with);
        return {
          protocol: chosen,
          send: async (message) => ask({ run: sendInPage, with: asJson(message) }),
          receive: async () => bytesOrText(await ask({ run: receiveInPage })),
          close: async (code, reason) => ask({ run: closeInPage, with: { code, reason } }),
          closed: () => ask({ run: () => window.closed_ }),
        };
      },
      async end() {
        await context.close();
      },
    };
  },
};

/* The following run in the page, so they close over nothing. */

function openInPage({ url, protocols }) {
  const socket = new WebSocket(url, protocols);
  socket.binaryType = "arraybuffer";
  Object.assign(window, { socket_: socket, messages_: [], wake_: () => {} });
  socket.addEventListener("message", ({ data }) => {
    window.messages_.push(data);
    window.wake_();
  });
  window.closed_ = new Promise((resolve) => {
    socket.addEventListener("close", ({ code, reason }) => resolve({ code, reason }));
  });
  return new Promise((resolve, reject) => {
    socket.addEventListener("open", () => resolve(socket.protocol));
    socket.addEventListener("close", ({ code }) => reject(new Error(`Chromium: closed with ${code}`)));
  });
}

async function sendInPage({ text, base64 }) {
  if (text !== undefined) window.socket_.send(text);
  else window.socket_.send(Uint8Array.from(atob(base64), (c) => c.charCodeAt(0)));
}

async function receiveInPage() {
  while (window.messages_.length === 0) await new Promise((resolve) => { window.wake_ = resolve; });
  const data = window.messages_.shift();
  if (typeof data === "string") return { text: data };
  const blob = new Blob([data]);
  const url = await new Promise((resolve) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.readAsDataURL(blob);
  });
  return { base64: url.slice(url.indexOf(",") + 1) };
}

function closeInPage({ code, reason }) {
  window.socket_.close(code, reason);
}

export const KINDS = [ws, webSocketNode, websockets, chromium];
