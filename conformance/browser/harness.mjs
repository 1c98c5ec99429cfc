// What the browser test stands on: the server as a child process, Chromium, bounded waits, the
// report. Nothing here knows the page.
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

export const WAIT_MS = 10_000;
const RUN_MS = 240_000;
const LAUNCH_ARGS = [
  "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync",
];

/** Ends the whole run, children included, if it takes too long or is interrupted. */
export function boundTheRun() {
  setTimeout(() => die(`the run took longer than ${RUN_MS / 1000} s`), RUN_MS).unref();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => die(`stopped by ${signal}`));
  function die(why) {
    console.error(`FAIL the run: ${why}`);
    process.exit(1); // the exit handlers below end what was started
  }
}

/** Polls `probe` until it returns without throwing; after `within`, throws what it threw last. */
export async function eventually(probe, within = WAIT_MS) {
  const deadline = Date.now() + within;
  for (;;) {
    try {
      return await probe();
    } catch (error) {
      if (Date.now() >= deadline) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

/** Runs checks one by one and keeps the score. */
export class Report {
  passed = 0;
  failed = 0;

  async check(name, body) {
    try {
      await body();
      this.passed += 1;
      console.log(`ok   ${name}`);
    } catch (error) {
      this.failed += 1;
      const why = String(error.message ?? error).replaceAll(/\x1b\[[\d;]*m/g, "").slice(0, 1500);
      console.log(`FAIL ${name}\n     ${why.split("\n").slice(0, 20).join("\n     ")}`);
    }
  }
}

/** `newswire serve` as a child process, ended by its own pid whatever happens. */
export class Server {
  static async start(binary, port = 0) {
    const server = new Server();
    server.output = "";
    const child = spawn(binary, ["serve", "--port", String(port)], { stdio: ["ignore", "pipe", "pipe"] });
    server.child = child;
    server.ended = new Promise((resolve) => {
      child.once("exit", (code, signal) => resolve({ code, signal }));
      child.once("error", (error) => resolve({ error }));
    });
    server.onExit = () => child.kill("SIGKILL");
    process.once("exit", server.onExit);
    server.ended.then(() => process.off("exit", server.onExit));

    let announce;
    const announced = new Promise((resolve) => { announce = resolve; });
    let stdout = "";
    child.stdout.on("data", (data) => {
      server.keep(data);
      stdout += data;
      const address = /http:\/\/\S+/.exec(stdout.slice(0, stdout.lastIndexOf("\n") + 1));
      if (address) announce(address[0]);
    });
    child.stderr.on("data", (data) => server.keep(data));
    const address = await Promise.race([announced, server.ended.then((how) => ({ how })), after(WAIT_MS)]);
    if (typeof address !== "string") {
      await server.kill();
      const what = address ? `it ended, ${JSON.stringify(address.how)}` : `no address to open within ${WAIT_MS / 1000} s`;
      throw new Error(`${binary} serve: ${what}. It said:\n${server.output || "(nothing)"}`);
    }
    server.address = new URL(address);
    return server;
  }

  keep(data) {
    this.output = (this.output + data).slice(-4096);
  }

  /** SIGTERM; how the child ended, or null if it did not in time. */
  async stop(within = WAIT_MS) {
    this.child.kill("SIGTERM");
    return Promise.race([this.ended, after(within)]);
  }

  async kill() {
    this.child.kill("SIGKILL");
    await Promise.race([this.ended, after(WAIT_MS)]);
  }
}

function after(ms) {
  return new Promise((resolve) => { setTimeout(() => resolve(null), ms).unref(); });
}

/** Chromium in a home of its own, which `close` removes. */
export async function launchBrowser() {
  const executablePath = process.env.CHROMIUM
    || spawnSync("sh", ["-c", "command -v chromium || command -v chromium-browser || command -v google-chrome"], { encoding: "utf8" }).stdout.trim();
  if (!executablePath) throw new Error("no Chromium: install one (on Debian, apt-get install chromium) or set CHROMIUM to its path");
  const home = mkdtempSync(join(tmpdir(), "newswire-browser-"));
  const removeHome = () => rmSync(home, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  process.once("exit", removeHome);
  process.env.TMPDIR = home; // the profile and downloads go here
  return chromium.launch({
    executablePath,
    args: LAUNCH_ARGS,
    timeout: 30_000,
    env: { ...process.env, HOME: home, XDG_CONFIG_HOME: home, XDG_CACHE_HOME: home },
  });
}
