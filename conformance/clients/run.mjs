// `newswire serve` and the clients of others, plain and over TLS. See README.md.
//   node run.mjs path/to/newswire path/to/python
// Each client says the same things; what is right is said here, once for all of them.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { Report, Server, boundTheRun, launchBrowser, within } from "../browser/harness.mjs";
import { certificate } from "./certificate.mjs";
import { curlChecks } from "./curl.mjs";
import { bytes, echoes, same } from "./echo.mjs";
import { KINDS } from "./kinds.mjs";

const MIB = 1024 * 1024;
const [newswire, python] = process.argv.slice(2);
if (!python) {
  console.error("usage: node run.mjs path/to/newswire path/to/python");
  process.exit(2);
}
boundTheRun();
const report = new Report();
const browser = await launchBrowser();

// --- what is said -----------------------------------------------------------------------------------


/** What every client can say; `connect` opens a connection to the echo. */
const SCENARIOS = {
  "text comes back, the empty one too": async (connect) => {
    const open = await connect();
    await echoes(open, ["WebSocket rocks", "🚀 你好 ✓", "", "a\0b\n"]);
    await open.close(1000, "");
    assert.deepEqual(await open.closed(), { code: 1000, reason: "" });
  },

  "bytes come back": async (connect) => {
    const open = await connect();
    await echoes(open, [bytes(256), Buffer.alloc(0), bytes(70_000)]);
    await open.close(1000, "");
    assert.equal((await open.closed()).code, 1000);
  },

  "large messages come back": async (connect) => {
    const open = await connect();
    await echoes(open, ["newswire ✓012\n".repeat(MIB / 8), bytes(5 * MIB + 1)]);
    await open.close(1000, "");
    assert.equal((await open.closed()).code, 1000);
  },

  "many messages that are sent at once come back in their order": async (connect) => {
    const open = await connect();
    const messages = Array.from({ length: 300 }, (_, number) => {
      return number % 3 === 0 ? bytes((number * 37) % 3000) : `${number} `.repeat((number * 13) % 500);
    });
    await echoes(open, messages);
    await open.close(1000, "");
    assert.equal((await open.closed()).code, 1000);
  },

  "of the subprotocols that are offered the one that is spoken is chosen": async (connect) => {
    const open = await connect({ protocols: ["other", "echo-protocol"] });
    assert.equal(open.protocol, "echo-protocol");
    await echoes(open, ["in the echo protocol"]);
    await open.close(1000, "");
    assert.equal((await open.closed()).code, 1000);
  },

  "codes and reasons of a close are answered as they were": async (connect) => {
    for (const [code, reason] of [[1000, "done"], [3000, "ö".repeat(61)], [4999, "x".repeat(123)], [3001, ""]]) {
      const open = await connect();
      await open.close(code, reason);
      assert.deepEqual(await open.closed(), { code, reason });
    }
  },
};

/** What a page in a browser cannot say. */
const WITHOUT_A_BROWSER = {
  "fragments come back as one message": async (connect) => {
    const open = await connect();
    for (const parts of [["Web", "", "Socket", " 🚀"], ["", ""], [bytes(300), bytes(70_000), Buffer.alloc(0), bytes(1)]]) {
      await open.sendFragments(parts);
      const whole = typeof parts[0] === "string" ? parts.join("") : Buffer.concat(parts);
      same(await open.receive(), whole, `${parts.length} fragments`);
    }
    await open.close(1000, "");
    assert.equal((await open.closed()).code, 1000);
  },

  "a ping is answered, with what it carries": async (connect) => {
    const open = await connect();
    assert.equal(await open.ping(), true);
    await echoes(open, ["after the ping"]);
    await open.close(1000, "");
    assert.equal((await open.closed()).code, 1000);
  },
};

// --- who says it, and how -----------------------------------------------------------------------------

const trust = certificate();

async function against(how, flags, kinds = KINDS) {
  const tls = flags.length > 0;
  const verified = flags.includes(trust.cert);
  let server;
  await report.check(`newswire serve, ${how}`, async () => {
    server = await Server.start(newswire, 0, flags);
    assert.equal(server.address.protocol, tls ? "https:" : "http:");
  });
  if (!server?.address) return;
  const port = Number(server.address.port);
  const host = `127.0.0.1:${port}`;
  const url = `${tls ? "wss" : "ws"}://${host}/echo`;
  const shared = { browser, python, ...(verified ? { ca: readFileSync(trust.ca), caFile: trust.ca } : {}) };
  const last = [];
  const clients = [];
  for (const kind of kinds) {
    const check = (what, body) => report.check(`${kind.name}, ${how}: ${what}`, () => within(body(), what, 30_000));
    let client;
    await check("it is there", async () => { client = await kind.start(shared); });
    if (!client) continue;
    clients.push(client);
    const connect = (options = {}) => client.connect({ url, ...options });
    const scenarios = { ...SCENARIOS, ...(kind.isBrowser ? {} : WITHOUT_A_BROWSER) };
    for (const [what, scenario] of Object.entries(scenarios)) await check(what, () => scenario(connect));
    await check("a page of another origin is refused", async () => {
      // The browser's page is one of this server, but by another name.
      const origin = kind.isBrowser ? `${server.address.protocol}//localhost:${port}` : "https://evil.example";
      const refusal = await connect({ origin }).then(() => assert.fail("it was accepted"), (error) => error);
      if (kind.isBrowser) assert.match(refusal.message, /closed with 1006/);
      else assert.equal(refusal.status, 403, refusal.message);
    });
    await check("a page of its own is not", async () => {
      const open = await connect(kind.isBrowser ? {} : { origin: server.address.origin });
      last.push([check, open]);
    });
  }
  await curlChecks(report, how, { host, tls, caFile: verified && trust.ca });
  let ended;
  const stopping = server.stop().then((how) => { ended = how; });
  for (const [check, open] of last) {
    await check("when the server goes it says 1001", async () => assert.equal((await open.closed()).code, 1001));
  }
  await stopping;
  await server.kill(); // if it is still there
  await report.check(`newswire serve, ${how}: it ends when it is told to`, () => {
    assert.deepEqual(ended, { code: 0, signal: null });
    assert.doesNotMatch(server.output, /panicked/);
  });
  for (const client of clients) await client.end();
}

try {
  await against("plain", []);
  await against("TLS", ["--tls-cert", trust.cert, "--tls-key", trust.key]);
  // Nobody can verify it: Chromium is told to let it pass.
  await against("self-signed", ["--tls-self-signed"], KINDS.filter(({ isBrowser }) => isBrowser));
} finally {
  await browser.close();
  trust.remove();
}
console.log(`${report.passed} passed, ${report.failed} failed`);
process.exit(report.failed > 0 ? 1 : 0);
