// The public web-platform-tests for WebSocket, from a checkout of one's own, with the class over
// newswire::event: the .any.js files, which need no document. See README.md.
//   node wpt.mjs path/to/event_bridge path/to/wpt/websockets [NAME…]
import { spawn } from "node:child_process";
import { readFileSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { runInThisContext } from "node:vm";
import { serve } from "./server.mjs";
import { Bridge, interfaces } from "./websocket.mjs";

const FILE_MS = 120_000;
const [program, folder, ...names] = process.argv.slice(2);

if (process.env.WPT_FILE) await runFile(process.env.WPT_FILE, Number(process.env.WPT_PORT));
else await runAll();

async function runAll() {
  if (!folder) {
    console.error("usage: node wpt.mjs path/to/event_bridge path/to/wpt/websockets [NAME…]");
    process.exit(2);
  }
  const server = await serve();
  const score = { passed: 0, failed: 0, "not run": 0 };
  const files = readdirSync(folder).filter((name) => name.endsWith(".any.js"));
  for (const name of files.filter((file) => names.length === 0 || names.some((part) => file.includes(part)))) {
    for (const { subtest, error, why } of await run(join(folder, name), server.port)) {
      const verdict = why ? "not run" : error ? "failed" : "passed";
      score[verdict] += 1;
      if (verdict !== "passed") console.log(`${verdict.padEnd(7)} ${name}: ${subtest ?? ""}\n     ${why ?? error.split("\n").slice(0, 3).join("\n     ")}`);
    }
  }
  server.close();
  console.log(Object.entries(score).map(([verdict, count]) => `${count} ${verdict}`).join(", "));
  process.exit(score.failed === 0 && score.passed > 0 ? 0 : 1);
}

/** Runs a file in a process of its own, since it uses the global scope as it likes. */
function run(file, port) {
  const child = spawn(process.execPath, [fileURLToPath(import.meta.url), program], {
    env: { ...process.env, WPT_FILE: file, WPT_PORT: String(port) },
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

async function runFile(file, port) {
  const host = `127.0.0.1:${port}`;
  const bridge = new Bridge(program, { base: `http://${host}/websockets/test.html`, origin: `http://${host}` });
  Object.assign(globalThis, interfaces(bridge), { location: new URL(`http://${host}/websockets/test.html?default`) });
  const { load, results } = await import("./testharness.mjs");
  const source = readFileSync(file, "utf8");
  const scripts = [...source.matchAll(/^\/\/ META: script=(.*)$/gm)].map(([, name]) => name);
  const tell = (result) => console.log(JSON.stringify(result));
  try {
    for (const name of scripts) {
      if (name.startsWith("/")) throw new Error(`it needs ${name}`);
      runInThisContext(substitute(readFileSync(join(dirname(file), name.split("?")[0]), "utf8"), port), { filename: name });
    }
    runInThisContext(substitute(source, port), { filename: file });
    load();
    for (const { name, error } of await results) tell({ subtest: name, error });
  } catch (error) {
    tell({ why: String(error.message) });
  }
  bridge.end();
  process.exit(0);
}

/** What the tests' own server replaces in files that are called .sub. */
function substitute(text, port) {
  return text.replaceAll(/\{\{host\}\}/g, "127.0.0.1").replaceAll(/\{\{ports\[\w+\]\[\d\]\}\}/g, String(port));
}
