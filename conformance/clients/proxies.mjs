// nginx and HAProxy in front of `newswire serve`: what a client can do is the same through them, and
// the server knows whom it talks to. See README.md.
//   node proxies.mjs path/to/newswire
// The proxies connect from 127.0.0.1, which is trusted; the clients are at 127.0.0.5, which is not.
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createConnection, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Program, Report, Server, boundTheRun, eventually, within } from "../browser/harness.mjs";
import { certificate } from "./certificate.mjs";
import { bytes, echoes, same } from "./echo.mjs";
import { haproxy, nginx } from "./fronts.mjs";
import { ws } from "./kinds.mjs";

const CLIENT = "127.0.0.5";
const PROXY = "127.0.0.1";
const INVENTED = "192.0.2.66";

const [newswire] = process.argv.slice(2);
if (!newswire) {
  console.error("usage: node proxies.mjs path/to/newswire");
  process.exit(2);
}
process.env.PATH += ":/usr/sbin"; // where Debian has them
boundTheRun();
const report = new Report();
const trust = certificate();
const folder = mkdtempSync(join(tmpdir(), "newswire-proxies-"));
process.once("exit", () => rmSync(folder, { recursive: true, force: true }));

/** Ports that were free a moment ago. */
async function freePorts(count) {
  const servers = await Promise.all(Array.from({ length: count }, () => new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject).listen(0, PROXY, () => resolve(server));
  })));
  const ports = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => new Promise((resolve) => { server.close(resolve); })));
  return ports;
}

function listens(port) {
  return new Promise((resolve, reject) => {
    const socket = createConnection({ host: PROXY, port }, () => {
      socket.destroy();
      resolve();
    });
    socket.once("error", reject);
  });
}

async function start(kind, target, speaksProxyProtocol) {
  const names = kind.ways.filter((way) => way.proxyProtocol === speaksProxyProtocol);
  const ports = await freePorts(names.length);
  const ways = names.map((way, index) => ({ ...way, port: ports[index] }));
  const file = join(folder, `${kind.name}-${target}.conf`);
  writeFileSync(file, kind.configuration({ folder, target, trust, ways }));
  const program = new Program(kind.name, kind.arguments(file));
  program.ended.then(() => { program.isOver = true; });
  await eventually(async () => {
    if (program.isOver) return;
    for (const { port } of ways) await listens(port);
  });
  if (program.isOver) throw new Error(`${kind.name} ended at once: ${program.output}`);
  return { program, ways };
}

// --- what is true through each of them ------------------------------------------------------------------

/** The log of a server, read on: what was found once is not found again. */
class Log {
  text = "";
  read = 0;

  constructor(server) {
    server.child.stderr.on("data", (data) => { this.text += data; });
  }

  /** A line of this kind comes, whose peer is `peer`: a client as the server should see it. */
  async tells(what, peer) {
    const line = new RegExp(`${what}.* peer=${peer.replaceAll(".", "\\.")}( .*)?$`, "m");
    await eventually(() => {
      const fresh = this.text.slice(this.read, this.text.lastIndexOf("\n") + 1);
      const match = line.exec(fresh);
      assert.ok(match, `${line} in ${fresh || "(nothing)"}`);
      this.read += match.index + match[0].length;
    });
  }
}

async function through(name, way, log, client) {
  const scheme = way.tls ? "s" : "";
  const [url, own] = [`ws${scheme}://${PROXY}:${way.port}/echo`, `http${scheme}://${PROXY}:${way.port}`];
  const check = (what, body) => report.check(`${name}, ${way.name}: ${what}`, () => within(body(), what, 30_000));
  const connect = (options = {}) => client.connect({ url, localAddress: CLIENT, ...options });
  const seen = (open) => (way.proxyProtocol ? `${CLIENT}:${open.localPort}` : CLIENT);

  await check("an echo, and the client's address is known", async () => {
    const open = await connect({ protocols: ["echo-protocol"] });
    assert.equal(open.protocol, "echo-protocol");
    await echoes(open, ["WebSocket rocks 🚀", "", bytes(1024 * 1024 + 1)]);
    await open.sendFragments(["Web", "", "Socket"]);
    same(await open.receive(), "WebSocket", "three fragments");
    assert.ok(await open.ping());
    await open.close(3001, "that is all");
    assert.deepEqual(await open.closed(), { code: 3001, reason: "that is all" });
    await log.tells("connection ended", seen(open));
  });

  await check("a client cannot invent its address", async () => {
    const open = await connect({ headers: { "X-Forwarded-For": INVENTED, Forwarded: `for=${INVENTED}` } });
    await open.close(1000, "");
    await open.closed();
    await log.tells("connection ended", seen(open));
    assert.ok(!log.text.includes(INVENTED), log.text);
  });

  await check("a page of its own may connect, one of another origin may not, and the log says whose", async () => {
    const open = await connect({ origin: own });
    await open.close(1000, "");
    await open.closed();
    await log.tells("connection ended", seen(open));
    const others = ["https://evil.example", `http${scheme}://${PROXY}:${way.port + 1}`];
    if (way.tls) others.push(own.replace("https:", "http:"));
    for (const origin of others) {
      const refusal = await connect({ origin }).then(() => assert.fail(`${origin} was accepted`), (error) => error);
      assert.equal(refusal.status, 403, `${origin}: ${refusal.message}`);
      await log.tells("handshake refused: 403", way.proxyProtocol ? `${CLIENT}:\\d+` : CLIENT);
    }
  });

  const last = await connect();
  return () => check("when the server goes the client is told with 1001", async () => {
    assert.equal((await last.closed()).code, 1001);
  });
}

// --- what is true without them --------------------------------------------------------------------------

async function direct(port, log, client, speaksProxyProtocol) {
  const url = `ws://${PROXY}:${port}/echo`;
  const check = (what, body) => report.check(`directly${speaksProxyProtocol ? ", with the PROXY protocol" : ""}: ${what}`, () => within(body(), what));

  await check("who is not trusted is not believed", async () => {
    const open = await client.connect({ url, localAddress: CLIENT, headers: { "X-Forwarded-For": INVENTED, Forwarded: `for=${INVENTED}` } });
    await open.close(1000, "");
    await open.closed();
    await log.tells("connection ended", `${CLIENT}:${open.localPort}`);
  });
  if (!speaksProxyProtocol) return;

  await check("a PROXY header of who is not trusted is no request", async () => {
    const answer = await raw(port, CLIENT, `PROXY TCP4 ${INVENTED} ${PROXY} 1 2\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n`);
    assert.match(answer, /^HTTP\/1\.1 400 /);
  });
  await check("who is trusted must send a PROXY header, and is cut without an answer", async () => {
    assert.equal(await raw(port, PROXY, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"), "");
    await log.tells("no PROXY protocol header", `${PROXY}:\\d+`);
  });
}

/** What comes back for these bytes, until the end. */
function raw(port, localAddress, text) {
  return new Promise((resolve) => {
    let answer = "";
    const socket = createConnection({ host: PROXY, port, localAddress }, () => socket.write(text));
    socket.on("data", (data) => { answer += data; });
    socket.on("error", () => {}); // a reset is an end, too
    socket.once("close", () => resolve(answer));
  });
}

// --- the run ---------------------------------------------------------------------------------------------

async function behind(kinds, flags, speaksProxyProtocol) {
  const how = `newswire serve ${flags.join(" ")}`;
  let server;
  await report.check(how, async () => { server = await Server.start(newswire, 0, ["--verbose", ...flags]); });
  if (!server?.address) return;
  const log = new Log(server);
  const client = await ws.start({ ca: readFileSync(trust.ca) });
  const started = [];
  const farewells = [];
  for (const kind of kinds) {
    await report.check(`${kind.name} starts`, async () => {
      const { program, ways } = await start(kind, server.address.port, speaksProxyProtocol);
      started.push(program);
      for (const way of ways) farewells.push(await through(kind.name, way, log, client));
    });
  }
  await direct(Number(server.address.port), log, client, speaksProxyProtocol);
  const stopping = server.stop();
  for (const farewell of farewells) await farewell();
  await report.check(`${how}: it ends when it is told to`, async () => {
    assert.deepEqual(await stopping, { code: 0, signal: null }, server.output);
    assert.doesNotMatch(server.output, /panicked/);
  });
  for (const program of [server, ...started]) await program.kill();
}

await behind([nginx, haproxy], ["--trusted-proxy", PROXY], false);
await behind([haproxy], ["--trusted-proxy", PROXY, "--proxy-protocol"], true);
trust.remove();
console.log(`${report.passed} passed, ${report.failed} failed`);
process.exit(report.failed > 0 ? 1 : 0);
