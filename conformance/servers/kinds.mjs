// The servers of others, and newswire's own, each in the same clothes. What is said to them is not
// known here.
//   const server = await kind.start({ newswire, python, trust });
//   server.url(path, tls); await server.saw(); await server.end();
// What they do is decided by the path: /echo sends everything back, /silent nothing; /close?code=C&reason=R
// closes when a message comes, /vanish ends the connection then without a word; /ping sends a ping, and a
// message once it is answered; /refuse answers 403. newswire's own has the echo only.
// `saw` gives, when the connection of the scene has ended, what the server saw of it: headers, protocol,
// compressed, messages, pings, and the code and reason of the Close frame that came.
import { createServer as createHttp } from "node:http";
import { createServer as createHttps } from "node:https";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { Program, eventually, within } from "../browser/harness.mjs";

const { WebSocketServer } = createRequire(new URL("../peers/package.json", import.meta.url))("ws");
const HEADERS = ["authorization", "cookie", "origin", "x-test"];

/** What ended connections were like, in their order, for those who wait for the next. */
class Seen {
  items = [];
  waiting = [];

  put(item) {
    const next = this.waiting.shift();
    if (next) next(item);
    else this.items.push(item);
  }

  take() {
    const item = this.items.length > 0
      ? this.items.shift()
      : new Promise((resolve) => { this.waiting.push(resolve); });
    return within(Promise.resolve(item), "what the server saw");
  }
}

const url = ({ plain, tls }) => (path, secure) => (secure ? `wss://127.0.0.1:${tls}${path}` : `ws://127.0.0.1:${plain}${path}`);

// --- npm's ws -----------------------------------------------------------------------------------------

function behave(socket, request, seen) {
  const { pathname, searchParams } = new URL(request.url, "ws://localhost");
  const headers = Object.fromEntries(Object.entries(request.headers).filter(([name]) => HEADERS.includes(name)));
  const compressed = socket.extensions.includes("permessage-deflate");
  const saw = { path: request.url, headers, protocol: socket.protocol || null, compressed, messages: [], pings: [], close: null };
  socket.on("error", () => {}); // it shows in what was not seen
  socket.on("ping", (payload) => saw.pings.push(payload.toString()));
  socket.on("pong", (payload) => { if (String(payload) === "are you there?") socket.send("the ping was answered"); });
  socket.on("message", (data, binary) => {
    saw.messages.push(binary ? { base64: data.toString("base64") } : { text: data.toString() });
    if (pathname === "/echo") socket.send(data, { binary });
    if (pathname === "/close") socket.close(Number(searchParams.get("code")), searchParams.get("reason") ?? "");
    if (pathname === "/vanish") socket._socket.end();
  });
  socket.once("close", (code, reason) => {
    // 1006 stands for a Close frame that did not come, 1005 for one without a code.
    if (code !== 1006) saw.close = { code, reason: reason.toString() };
    seen.put(saw);
  });
  if (pathname === "/ping") socket.ping("are you there?");
}

const ws = {
  name: "ws",
  async start({ trust }) {
    const seen = new Seen();
    const sockets = new WebSocketServer({
      noServer: true,
      perMessageDeflate: true,
      handleProtocols: (offered) => (offered.has("echo-protocol") ? "echo-protocol" : false),
    });
    const upgrade = (request, socket, head) => {
      if (request.url === "/refuse") {
        socket.end("HTTP/1.1 403 Forbidden\r\nContent-Length: 12\r\nConnection: close\r\n\r\nnot for you\n");
        return;
      }
      sockets.handleUpgrade(request, socket, head, (open) => behave(open, request, seen));
    };
    const listen = (listener) => new Promise((resolve, reject) => {
      listener.on("upgrade", upgrade).once("error", reject).on("tlsClientError", () => {});
      listener.listen(0, "127.0.0.1", () => resolve(listener));
    });
    const plain = await listen(createHttp());
    const tls = await listen(createHttps({ cert: readFileSync(trust.cert), key: readFileSync(trust.key) }));
    return {
      url: url({ plain: plain.address().port, tls: tls.address().port }),
      saw: () => seen.take(),
      async end() {
        for (const listener of [plain, tls]) {
          listener.close();
          listener.closeAllConnections();
        }
      },
    };
  },
};

// --- Python's websockets, in a process of its own -------------------------------------------------------

const websockets = {
  name: "websockets",
  async start({ python, trust }) {
    const script = fileURLToPath(new URL("websockets_server.py", import.meta.url));
    const program = new Program(python, [script, trust.cert, trust.key], { stdin: "pipe" });
    const seen = new Seen();
    createInterface({ input: program.child.stdout }).on("line", (line) => seen.put(JSON.parse(line)));
    const ended = program.ended.then(() => { throw new Error(`websockets ended: ${program.output}`); });
    ended.catch(() => {}); // whoever waits is told
    const ports = await Promise.race([seen.take(), ended]);
    return {
      url: url(ports),
      saw: () => Promise.race([seen.take(), ended]),
      async end() {
        program.child.stdin.end();
        await program.succeeds(10_000);
      },
    };
  },
};

// --- newswire serve: it tells numbers -------------------------------------------------------------------

const own = {
  name: "newswire serve",
  tellsNumbers: true, // and has the echo only,
  async start({ newswire, trust }) {
    const start = async (...flags) => {
      const program = new Program(newswire, ["serve", "--port", "0", "--metrics", "127.0.0.1:0", ...flags]);
      const [, metrics, port] = await program.says(/metrics +(http\S+)[^]*echo +wss?:\/\/[^:]+:(\d+)/);
      return { program, metrics, port };
    };
    const plain = await start();
    const tls = await start("--tls-cert", trust.cert, "--tls-key", trust.key);
    const metrics = async () => {
      const texts = await Promise.all([plain, tls].map(async ({ metrics }) => (await fetch(metrics)).text()));
      const sum = (pattern) => [...texts.join("").matchAll(pattern)].reduce((total, [, value]) => total + Number(value), 0);
      return {
        messages: sum(/^newswire_messages_received_total (\d+)$/gm),
        closed: sum(/^newswire_websockets_closed_total\{.*\} (\d+)$/gm),
        normally: sum(/^newswire_websockets_closed_total\{.*code="1000".*\} (\d+)$/gm),
      };
    };
    let before = await metrics();
    return {
      url: url({ plain: plain.port, tls: tls.port }),
      async counted() {
        const now = await eventually(async () => {
          const now = await metrics();
          if (now.closed === before.closed) throw new Error("newswire serve counted no connection that was closed");
          return now;
        });
        const since = { messages: now.messages - before.messages, normally: now.normally - before.normally };
        before = now;
        return since;
      },
      async end() {
        for (const { program } of [plain, tls]) {
          const how = await program.stop();
          if (how?.code !== 0) await program.fail(how, "it did not end when it was told to");
        }
      },
    };
  },
};

export const KINDS = [ws, websockets, own];
