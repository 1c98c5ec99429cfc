// What the browser tests, ../peers and ../clients stand on: child processes, Chromium, bounded waits, the report.
// Nothing here knows the page or what is said.
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

export const WAIT_MS = 10_000;
const RUN_MS = 900_000;
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

/** A child process with bounded waits, ended by its own pid whatever happens. */
export class Program {
  output = ""; // the last of what it said

  constructor(command, args, { stdin = "ignore" } = {}) {
    this.name = [command, ...args.slice(0, 2)].join(" ");
    this.child = spawn(command, args, { stdio: [stdin, "pipe", "pipe"] });
    this.ended = new Promise((resolve) => {
      this.child.once("close", (code, signal) => resolve({ code, signal }));
      this.child.once("error", (error) => resolve({ error }));
    });
    const onExit = () => this.child.kill("SIGKILL");
    process.once("exit", onExit);
    this.ended.then(() => process.off("exit", onExit));
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream.on("data", (data) => { this.output = (this.output + data).slice(-4096); });
    }
  }

  /** The match of `pattern` in a whole line of its standard output; ends the program without one. */
  async says(pattern, within = WAIT_MS) {
    let found;
    const said = new Promise((resolve) => { found = resolve; });
    let stdout = "";
    this.child.stdout.on("data", (data) => {
      stdout += data;
      const match = pattern.exec(stdout.slice(0, stdout.lastIndexOf("\n") + 1));
      if (match) found({ match });
    });
    const { match, how } = await Promise.race([said, this.ended.then((how) => ({ how })), after(within, {})]);
    return match ?? this.fail(how, `nothing that matches ${pattern} within ${within / 1000} s`);
  }

  /** Waits for its end, which must be exit code 0. */
  async succeeds(within) {
    const how = await Promise.race([this.ended, after(within)]);
    if (how?.code !== 0) await this.fail(how, `it had not come to an end after ${within / 1000} s`);
  }

  async fail(how, otherwise) {
    await this.kill();
    const what = how ? `it ended, ${JSON.stringify(how)}` : otherwise;
    throw new Error(`${this.name}: ${what}. It said:\n${this.output || "(nothing)"}`);
  }

  /** Tells it to end; how the child ended, or null if it did not in time. */
  async stop(within = WAIT_MS, signal = "SIGTERM") {
    this.child.kill(signal);
    return Promise.race([this.ended, after(within)]);
  }

  async kill() {
    this.child.kill("SIGKILL");
    await Promise.race([this.ended, after(WAIT_MS)]);
  }
}

/** `newswire serve`, and the `address` of its page. */
export class Server extends Program {
  static async start(binary, port = 0, flags = []) {
    const server = new Server(binary, ["serve", "--port", String(port), ...flags]);
    server.address = new URL((await server.says(/https?:\/\/\S+/))[0]);
    return server;
  }
}

/** What `promise` gives, or an error when it takes too long. */
export function within(promise, what, ms = WAIT_MS) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: not done within ${ms / 1000} s`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

function after(ms, value = null) {
  return new Promise((resolve) => { setTimeout(() => resolve(value), ms).unref(); });
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
