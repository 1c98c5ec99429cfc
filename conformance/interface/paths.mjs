// The paths that the public tests ask for, as their names say: to be served beside server.mjs's own.
// What a path has to do was learnt from the tests' own server; nothing here is newswire's.
import { setTimeout as sleep } from "node:timers/promises";
import { CLOSE, TEXT, echo, offered, ownPaths, refuse } from "./server.mjs";

/** Accepts with these lines, then does what `then` says. */
const accepting = (lines, then) => async (peer) => {
  peer.accept(typeof lines === "function" ? lines(peer) : lines);
  await then(peer);
};

/** Accepts, says something about the request, and echoes. */
const saying = (what) => accepting([], async (peer) => {
  peer.send(TEXT, what(peer));
  await echo(peer);
});

/** Accepts after a while, and closes at once. */
const sleeping = (ms) => async (peer) => {
  await sleep(ms);
  peer.accept();
  peer.close(1000);
  await peer.next();
};

/** Reads until the client closes, and answers that after a while. */
const closing = (ms) => async (peer) => {
  for (;;) {
    const { opcode, payload } = await peer.next();
    if (opcode !== CLOSE) continue;
    await sleep(ms);
    peer.send(CLOSE, payload);
    return;
  }
};

/** Reads until the client says goodbye, then closes, with what `also` sends behind the Close frame. */
const closingAtGoodbye = (also = () => {}) => async (peer) => {
  while ((await peer.next()).payload.toString() !== "Goodbye");
  peer.close(1000);
  also(peer);
  await peer.next();
};

export const publicPaths = {
  ...ownPaths,
  /** Knows one protocol, "echo". */
  "/echo": accepting((peer) => (offered(peer).includes("echo") ? ["Sec-WebSocket-Protocol: echo"] : []), echo),
  "/echo-query": saying((peer) => peer.url.search.slice(1)),
  /** Sends the bytes that a text spells, with \xHH for each that cannot be written. */
  "/echo_raw": accepting([], async (peer) => {
    for (;;) {
      const { opcode, payload } = await peer.next();
      if (opcode === CLOSE) return peer.send(CLOSE, payload);
      const unescape = (_, hex) => String.fromCharCode(Number.parseInt(hex, 16));
      peer.raw(Buffer.from(payload.toString().replace(/\\x([0-9a-f]{2})/gi, unescape), "latin1"));
    }
  }),
  "/echo_exit": accepting([], closingAtGoodbye()),
  "/echo_close_data": accepting([], closingAtGoodbye((peer) => peer.send(TEXT, "too late"))),
  "/empty-message": accepting([], async (peer) => {
    for (;;) {
      const { opcode, payload } = await peer.next();
      if (opcode === CLOSE) return peer.send(CLOSE, payload);
      peer.send(TEXT, payload.length === 0 ? "pass" : "fail");
    }
  }),
  "/handshake_no_extensions": accepting([], echo),
  "/handshake_no_protocol": accepting([], echo),
  "/handshake_protocol": accepting(["Sec-WebSocket-Protocol: foobar"], echo),
  "/handshake_sleep_2": sleeping(2000),
  "/sleep_10_v13": sleeping(10_000),
  /** Chooses the first that is offered, and says it; nothing when there is none. */
  "/protocol_array": (peer) => (offered(peer).length > 0 ? ownPaths["/protocol"] : accepting([], echo))(peer),
  "/origin": saying((peer) => peer.headers.get("origin") ?? "null"),
  "/referrer": saying((peer) => peer.headers.get("referer") ?? "MISSING AS PER FETCH"),
  "/echo-cookie": saying((peer) => peer.headers.get("cookie") ?? "(none)"),
  "/404": refuse,
  "/wrong_accept_key": ownPaths["/wrong-key"],
  async "/basic_auth"(peer) {
    if (peer.headers.get("authorization") === `Basic ${btoa("foo:bar")}`) {
      peer.accept();
      return echo(peer);
    }
    peer.raw('HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nWWW-Authenticate: Basic realm="a"\r\n\r\n');
  },
  /** The answer, with header lines that nobody asked for, and the Close frame in one piece. */
  "/simple_handshake": accepting(["Set-Cookie: ws_test=test", "X-Unasked: yes"], async (peer) => {
    peer.close(1000);
    await peer.next();
  }),
  async "/remote-close"(peer) {
    if (!peer.url.searchParams.has("abrupt")) return ownPaths["/close"](peer);
    peer.accept();
    peer.send(9, "ping"); // so that it cannot be taken for a failed handshake
    await sleep(20);
    peer.socket.destroy();
  },
  "/delayed-passive-close": accepting([], closing(1000)),
  /** Reads a message each tenth of a second, and says how long it was. */
  "/receive-many-with-backpressure": accepting([], async (peer) => {
    for (;;) {
      peer.socket.pause();
      await sleep(100);
      peer.socket.resume();
      const { opcode, payload } = await peer.next();
      if (opcode === CLOSE) return peer.send(CLOSE, payload);
      peer.send(TEXT, String(payload.length));
    }
  }),
};
