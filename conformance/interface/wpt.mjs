// The public web-platform-tests for WebSocket, from a checkout of one's own, with the class over
// newswire::event: scripts, and pages whose script needs little of a page. See README.md.
//   node wpt.mjs path/to/event_bridge path/to/wpt/websockets [NAME…]
// WPT_SERVER, when it is set, says where a server runs that is to be asked in place of server.mjs:
//   {"host": "web-platform.test", "ports": {"http": 8000, "ws": 8666, "wss": 8667}, "ca": "cacert.pem"}
import { spawn } from "node:child_process";
import { readFileSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { runInThisContext } from "node:vm";
import { makeIdentity } from "./identity.mjs";
import { publicPaths } from "./paths.mjs";
import { serve } from "./server.mjs";
import { isTest, testFile } from "./wpt_file.mjs";
import { Bridge, interfaces } from "./websocket.mjs";

const FILE_MS = 120_000;
const [program, folder, ...names] = process.argv.slice(2);

if (process.env.WPT_RUN) await runFile(JSON.parse(process.env.WPT_RUN));
else await runAll();

async function runAll() {
  if (!folder) {
    console.error("usage: node wpt.mjs path/to/event_bridge path/to/wpt/websockets [NAME…]");
    process.exit(2);
  }
  const { close, ...server } = process.env.WPT_SERVER ? JSON.parse(process.env.WPT_SERVER) : await ownServer();
  const score = { passed: 0, failed: 0, "not run": 0 };
  const files = readdirSync(folder, { recursive: true }).filter(isTest).sort();
  for (const path of files.filter((file) => names.length === 0 || names.some((part) => file.includes(part)))) {
    const file = testFile(path, readFileSync(join(folder, path), "utf8"));
    for (const variant of file.variants) {
      const outcomes = file.needs(variant) ? [{ why: file.needs(variant) }]
        : await run({ folder, path, variant, server });
      for (const { subtest, error, why } of outcomes) {
        const verdict = why ? "not run" : error ? "failed" : "passed";
        score[verdict] += 1;
        if (verdict === "passed") continue;
        console.log(`${verdict.padEnd(7)} ${path}${variant}: ${subtest ?? ""}`);
        console.log(`     ${why ?? error.split("\n").slice(0, 3).join("\n     ")}`);
      }
    }
  }
  close?.();
  console.log(Object.entries(score).map(([verdict, count]) => `${count} ${verdict}`).join(", "));
  process.exit(score.failed === 0 && score.passed > 0 ? 0 : 1);
}

async function ownServer() {
  const host = "localhost";
  const identity = makeIdentity(host);
  const plain = await serve({ paths: publicPaths });
  const secure = await serve({ paths: publicPaths, identity });
  const ports = { http: plain.port, ws: plain.port, wss: secure.port };
  const close = () => {
    for (const server of [plain, secure]) server.close();
    identity.remove();
  };
  return { host, ports, ca: identity.caFile, close };
}

/** Runs a file in a process of its own, since it uses the global scope as it likes. */
function run(what) {
  const child = spawn(process.execPath, [fileURLToPath(import.meta.url), program], {
    env: { ...process.env, WPT_RUN: JSON.stringify(what) },
    stdio: ["ignore", "pipe", "inherit"],
    timeout: FILE_MS,
  });
  let output = "";
  child.stdout.on("data", (data) => { output += data; });
  return new Promise((resolve) => {
    child.once("close", () => {
      const lines = output.split("\n").filter((line) => line.startsWith("{"));
      resolve(lines.length > 0 ? lines.map((line) => JSON.parse(line)) : [{ error: "the file has no result" }]);
    });
  });
}

async function runFile({ folder: top, path, variant, server: { host, ports, ca } }) {
  const origin = `http://${host}:${ports.http}`;
  const page = new URL(`/websockets/${path}${variant}`, origin);
  const bridge = new Bridge(program, { base: page.href, origin, ca });
  const read = (name) => substitute(readFileSync(join(top, name), "utf8"), host, ports);
  const file = testFile(path, read(path));
  const tell = (result) => console.log(JSON.stringify(result));
  Object.assign(globalThis, interfaces(bridge), { location: page });
  const { document } = await import("./document.mjs");
  const { limit, load, results } = await import("./testharness.mjs");
  document.title = file.title;
  if (file.isLong) limit(FILE_MS / 2);
  const include = (name) => {
    if (name.startsWith("/resources/testharness")) return;
    if (name.startsWith("/")) throw new Error(`it needs ${name}`);
    runInThisContext(read(join(dirname(path), name.split("?")[0])), { filename: name });
  };
  globalThis.importScripts = (...scripts) => scripts.forEach(include);
  try {
    file.scripts.forEach(include);
    runInThisContext(file.body, { filename: path });
    load();
    for (const { name, error } of await results) tell({ subtest: name, error });
  } catch (error) {
    tell({ why: String(error.message) });
  }
  bridge.end();
  process.exit(0);
}

/** What the tests' own server replaces in files that are called .sub. */
function substitute(text, host, ports) {
  return text.replaceAll("{{host}}", host)
    .replaceAll(/\{\{ports\[(\w+)\]\[\d\]\}\}/g, (_, scheme) => ports[scheme] ?? ports.ws);
}
