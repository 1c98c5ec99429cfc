// `newswire connect` and the servers of others. See README.md.
//   node run.mjs path/to/newswire path/to/python
// Every scene is one run of the command, judged by what it writes, by its exit code and by what the
// server saw.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { Report, boundTheRun } from "../browser/harness.mjs";
import { certificate } from "../clients/certificate.mjs";
import { KINDS } from "./kinds.mjs";

const [newswire, python] = process.argv.slice(2);
if (!python) {
  console.error("usage: node run.mjs path/to/newswire path/to/python");
  process.exit(2);
}
boundTheRun();
const report = new Report();
const trust = certificate();
const LARGE = "newswire ✓012\n".repeat(4096); // 64 KiB
const BYTES = Buffer.from(Array.from({ length: 64 * 1024 + 1 }, (_, index) => (index * 7) % 256));
const largeFile = join(dirname(trust.ca), "large.txt");
writeFileSync(largeFile, LARGE);

/** Runs `newswire connect` with this standard input; its exit code and what it wrote. */
function connect(args, input = "") {
  return new Promise((resolve, reject) => {
    const options = { encoding: "utf8", timeout: 30_000, killSignal: "SIGKILL", maxBuffer: 64 * 1024 * 1024 };
    const child = execFile(newswire, ["connect", ...args], options, (error, stdout, stderr) => {
      if (error && typeof error.code !== "number") reject(error);
      else resolve({ code: error?.code ?? 0, stdout, stderr, events: () => stdout.trimEnd().split("\n").map((line) => JSON.parse(line)) });
    });
    child.stdin.on("error", () => {}); // it does not read all of it
    child.stdin.end(input);
  });
}

/** That it ended well, having written this and nothing about errors. */
function wrote({ code, stdout, stderr }, expected) {
  assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
  assert.ok(stdout === expected, `it wrote ${JSON.stringify(stdout.slice(0, 300))}, ${stdout.length} characters`);
}

/** That it ended with this code, and said why in one line. */
function failed({ code, stderr }, expected, why) {
  assert.equal(code, expected, stderr);
  assert.match(stderr, /^newswire: [^\n]+\n$/);
  assert.match(stderr, why);
}

const text = (text) => ({ text });
const binary = (buffer) => ({ base64: buffer.toString("base64") });
const lines = (count) => Array.from({ length: count }, (_, number) => `line ${number} ${"ö".repeat(number % 90)}`);

// --- scenes with an echo: `at` makes a URL, `saw` says what the server must have seen -----------------

const ECHOES = {
  "text comes back, the empty one too": async (at, saw) => {
    const messages = ["WebSocket rocks", "🚀 你好 ✓", "", "last"];
    wrote(await connect([at("/echo"), ...messages.flatMap((message) => ["-x", message]), "-n", "4"]), `${messages.join("\n")}\n`);
    await saw({ messages: messages.map(text), close: { code: 1000, reason: "" } });
  },

  "bytes come back, in hexadecimal digits and in Base64": async (at, saw) => {
    wrote(await connect([at("/echo"), "--hex", "-x", "00ff7f80", "-n", "1"]), "00ff7f80\n");
    await saw({ messages: [binary(Buffer.from([0, 255, 127, 128]))] });
    wrote(await connect([at("/echo"), "--base64", "-n", "2"], "AP9/\n\n"), "AP9/\n\n");
    await saw({ messages: [binary(Buffer.from([0, 255, 127])), binary(Buffer.alloc(0))] });
  },

  "64 KiB come back, as text from a file and as bytes from a pipe": async (at, saw) => {
    assert.equal(Buffer.byteLength(LARGE), 64 * 1024);
    wrote(await connect([at("/echo"), "--file", largeFile, "-n", "1"]), `${LARGE}\n`);
    await saw({ messages: [text(LARGE)] });
    const digits = BYTES.toString("hex");
    wrote(await connect([at("/echo"), "--hex", "-n", "1"], digits), `${digits}\n`);
    await saw({ messages: [binary(BYTES)] });
  },

  "a pipe is sent to its end, all of it comes back in order, and then it is closed": async (at, saw) => {
    const all = lines(1000);
    wrote(await connect([at("/echo")], all.join("\n")), `${all.join("\n")}\n`);
    await saw({ messages: all.map(text), close: { code: 1000, reason: "" } });
  },

  "the subprotocol that both speak is chosen": async (at, saw) => {
    const ended = await connect([at("/echo"), "-s", "other", "-s", "echo-protocol", "--json", "-n", "1"], '{"type":"message","text":"a"}\n');
    assert.equal(ended.code, 0, ended.stderr);
    assert.equal(ended.events()[0].subprotocol, "echo-protocol");
    await saw({ protocol: "echo-protocol", messages: [text("a")] });
  },

  "a subprotocol that the server does not speak is not agreed on": async (at, saw) => {
    const ended = await connect([at("/echo"), "-s", "other", "--json", "-n", "1"], '{"type":"message","text":"a"}\n');
    assert.equal(ended.code, 0, ended.stderr);
    assert.equal(ended.events()[0].subprotocol, null);
    await saw({ protocol: null, messages: [text("a")] });
  },

  "compression is agreed on, unless it is off": async (at, saw) => {
    for (const [flags, compressed] of [[[], true], [["--compression", "off"], false]]) {
      const message = JSON.stringify({ type: "message", text: LARGE });
      const ended = await connect([at("/echo"), "--json", "-n", "1", ...flags], message);
      assert.equal(ended.code, 0, ended.stderr);
      const [open, echo] = ended.events();
      assert.equal(open.extensions?.split(";")[0] ?? null, compressed ? "permessage-deflate" : null);
      assert.equal(echo.text, LARGE);
      await saw({ compressed, messages: [text(LARGE)] });
    }
  },

  "JSON in and out: messages, a ping, a close with code and reason": async (at, saw) => {
    const input = [
      { type: "message", text: "one\ntwo" },
      { type: "message", base64: "AP9/" },
      { type: "ping", text: "there?" },
      { type: "close", code: 4000, reason: "done ✓" },
    ];
    const { code, stderr, events } = await connect([at("/echo"), "--json"], input.map((line) => `${JSON.stringify(line)}\n`).join(""));
    assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
    const [open, ...rest] = events();
    assert.deepEqual([open.type, open.url], ["open", at("/echo")]);
    // Messages that were under way when it closed may have come or not; what came is in order.
    const close = rest.at(-1);
    assert.deepEqual({ type: close.type, code: close.code, reason: close.reason, by: close.by }, { type: "close", code: 4000, reason: "done ✓", by: "client" });
    const sent = input.slice(0, 2);
    const came = rest.filter(({ type }) => type === "message");
    assert.deepEqual(came, sent.slice(0, came.length));
    await saw({ messages: sent.map(({ type, ...message }) => message), pings: ["there?"], close: { code: 4000, reason: "done ✓" } });
  },

  "what is expected comes": async (at, saw) => {
    const args = ["-x", "WebSocket rocks", "-x", "second", "--expect", "/r[ao]cks$/", "--expect", "second", "--timeout", "20s"];
    wrote(await connect([at("/echo"), ...args]), "WebSocket rocks\nsecond\n");
    await saw({ messages: [text("WebSocket rocks"), text("second")], close: { code: 1000, reason: "" } });
  },

  "what is expected does not come in time: 13": async (at, saw) => {
    const began = Date.now();
    failed(await connect([at("/echo"), "-x", "a", "--expect", "b", "--timeout", "700ms"]), 13, /"b".*--timeout/);
    assert.ok(Date.now() - began >= 690, "not before the time");
    await saw({ messages: [text("a")] });
  },

  "TLS with an authority of its own; without it, 8": async (at, saw) => {
    const url = at("/echo", true);
    wrote(await connect([url, "--ca", trust.ca, "-x", "over TLS", "-n", "1"]), "over TLS\n");
    await saw({ messages: [text("over TLS")], close: { code: 1000, reason: "" } });
    wrote(await connect([url, "--insecure", "-x", "taken as it is", "-n", "1"]), "taken as it is\n");
    await saw({ messages: [text("taken as it is")] });
    failed(await connect([url, "-x", "not sent", "-n", "1"]), 8, /certificate/);
  },
};

// --- scenes with servers that do other things, too -------------------------------------------------------

const OTHERS = {
  "the server closes with a code: 12, unless it is 1000 or 1001": async (at, saw) => {
    for (const [code, reason, exit] of [[1000, "", 0], [1001, "going", 0], [1008, "not so", 12], [1011, "", 12], [3000, "ö".repeat(61), 12], [4999, "x".repeat(123), 12]]) {
      const url = at(`/close?code=${code}&reason=${encodeURIComponent(reason)}`);
      const ended = await connect([url, "--json"], '{"type":"message","text":"go"}\n');
      assert.equal(ended.code, exit, ended.stderr);
      if (exit > 0) failed(ended, exit, new RegExp(`closed: ${code}.*${reason}`));
      const close = ended.events().find(({ type }) => type === "close");
      assert.deepEqual([close.code, close.reason, close.by], [code, reason, "server"]);
      const { messages, close: answer } = await saw({});
      assert.deepEqual(messages, [text("go")]);
      assert.equal(answer.code, code, "the code of the answer");
    }
  },

  "the server closes before what is expected has come: 4": async (at, saw) => {
    failed(await connect([at("/close?code=1000"), "-x", "a", "--expect", "b"]), 4, /"b"/);
    await saw({ messages: [text("a")] });
  },

  "the server ends without a Close frame: 11": async (at, saw) => {
    failed(await connect([at("/vanish"), "-x", "a", "-n", "1"]), 11, /without a close frame/);
    await saw({ messages: [text("a")], close: null });
  },

  "the server opens no WebSocket: 9, with its answer": async (at) => {
    const ended = await connect([at("/refuse"), "--json"]);
    failed(ended, 9, /403/);
    const [{ type, exit_code: code, answer }] = ended.events();
    assert.deepEqual([type, code, answer.status, answer.body], ["error", 9, 403, "not for you\n"]);
  },

  "headers, origin and credentials arrive": async (at, saw) => {
    const flags = ["-H", "X-Test: one", "-H", "Cookie: a=b", "--origin", "https://example.com", "--auth", "name:pass:word"];
    wrote(await connect([at("/echo"), ...flags, "-x", "a", "-n", "1"]), "a\n");
    const authorization = `Basic ${Buffer.from("name:pass:word").toString("base64")}`;
    await saw({ headers: { "x-test": "one", cookie: "a=b", origin: "https://example.com", authorization } });
    wrote(await connect([at("/echo"), "--bearer", "0123abc", "-x", "a", "-n", "1"]), "a\n");
    await saw({ headers: { authorization: "Bearer 0123abc" } });
  },

  "a ping of the server is answered, with what it carries": async (at, saw) => {
    wrote(await connect([at("/ping"), "--expect", "the ping was answered", "--timeout", "20s"]), "the ping was answered\n");
    await saw({ close: { code: 1000, reason: "" } });
  },

  "pings go out, and a server that answers nothing else is not silent": async (at, saw) => {
    wrote(await connect([at("/silent"), "-x", "a", "--ping-interval", "100ms", "--wait", "1500ms"]), "");
    const { pings } = await saw({ messages: [text("a")], close: { code: 1000, reason: "" } });
    assert.ok(pings.length >= 5 && pings.length <= 15, `${pings.length} pings`);
    // It asks after half of the time, and only the answers keep it open.
    wrote(await connect([at("/silent"), "-x", "a", "--idle-timeout", "600ms", "--wait", "2s"]), "");
    const asked = await saw({ messages: [text("a")], close: { code: 1000, reason: "" } });
    assert.ok(asked.pings.length >= 2, `${asked.pings.length} pings`);
  },
};

for (const kind of KINDS) {
  let server;
  await report.check(`${kind.name}: it listens`, async () => { server = await kind.start({ newswire, python, trust }); });
  if (!server) continue;
  const saw = async (expected) => {
    if (kind.tellsNumbers) {
      const { messages, normally } = await server.counted();
      if (expected.messages) assert.equal(messages, expected.messages.length, "messages that the server counted");
      if (expected.close?.code === 1000) assert.equal(normally, 1, "a normal close that the server counted");
      return {};
    }
    const found = await server.saw();
    const part = Object.fromEntries(Object.keys(expected).map((name) => [name, found[name]]));
    assert.deepEqual(part, expected, "what the server saw");
    return found;
  };
  for (const [what, scene] of Object.entries(kind.tellsNumbers ? ECHOES : { ...ECHOES, ...OTHERS })) {
    await report.check(`${kind.name}: ${what}`, () => scene(server.url, saw));
  }
  await report.check(`${kind.name}: it ends`, () => server.end());
}
trust.remove();
console.log(`${report.passed} passed, ${report.failed} failed`);
process.exit(report.failed > 0 ? 1 : 0);
