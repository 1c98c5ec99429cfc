// The pages of the library's examples, each served by its example, in a real Chromium. See README.md.
//   node examples.mjs path/to/the/examples [folder for the screenshots]
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { Program, Report, WAIT_MS, boundTheRun, eventually, launchBrowser } from "./harness.mjs";
import { faultsOfForm, lowContrast, overflow, watch } from "./page-checks.mjs";

const DESKTOP = { viewport: { width: 1000, height: 800 }, colorScheme: "light" };
const PHONE = { viewport: { width: 360, height: 740 }, deviceScaleFactor: 2, colorScheme: "dark", hasTouch: true, isMobile: true };
const TABBING_ORDER = ["connect", "message", "send", "log"];
const TEXTS = 6; // that a page has at least

const given = process.argv[2];
if (!given) {
  console.error("usage: node examples.mjs path/to/the/examples [folder for the screenshots]");
  process.exit(2);
}
const folder = resolve(given);
const output = resolve(process.argv[3] ?? fileURLToPath(new URL("../../output/browser", import.meta.url)));
mkdirSync(output, { recursive: true });

boundTheRun();
const report = new Report();
const browser = await launchBrowser();

/** An example that serves, and the pages that were opened from it. */
class Example extends Program {
  static async start(name, ...args) {
    const example = new Example(join(folder, name), ["127.0.0.1:0", ...args]);
    example.url = new URL((await example.says(/http:\/\/\S+/))[0]);
    example.watched = watch(example.url.host);
    example.contexts = [];
    return example;
  }

  /** Opens its page, and waits until that is connected. */
  async visit(options = DESKTOP) {
    const context = await browser.newContext(options);
    context.setDefaultTimeout(WAIT_MS);
    this.contexts.push(context);
    const page = await context.newPage();
    await this.watched.follow(page);
    const response = await page.goto(this.url.href);
    assert.equal(response.status(), 200);
    assert.match(response.headers()["content-security-policy"] ?? "(no header)", /^default-src 'self'/);
    await sees(page, "#state", "Connected");
    return page;
  }

  /** It says so in a line of its output. */
  async prints(pattern) {
    await eventually(() => assert.match(this.output, pattern));
  }
}

async function sees(page, selector, expected) {
  await eventually(async () => assert.equal((await page.locator(selector).innerText()).trim(), expected));
}

const lines = (page) => page.locator("#log li").allInnerTexts();

async function seesLine(page, expected) {
  await eventually(async () => {
    const found = await lines(page);
    const there = found.some((line) => (expected instanceof RegExp ? expected.test(line) : line === expected));
    assert.ok(there, `${expected} is among ${JSON.stringify(found)}`);
  });
}

/** Types a message and presses Enter. */
async function say(page, text) {
  await page.fill("#message", text);
  await page.press("#message", "Enter");
  await seesLine(page, `You: ${text}`);
  assert.equal(await page.inputValue("#message"), "", "the field is empty after sending");
}

/** Opens a WebSocket from a page; gives `open`, or the code of the close. */
function outcome(page, url) {
  return page.evaluate((url) => new Promise((resolve) => {
    const socket = new WebSocket(url, ["echo-protocol"]);
    socket.addEventListener("open", () => resolve("open"));
    socket.addEventListener("close", ({ code }) => resolve(code));
  }), url);
}

// --- what each of them does -------------------------------------------------------------------------

const EXAMPLES = {
  async echo_origin(example) {
    const page = await example.visit();
    await say(page, "WebSocket rocks 🚀 <b>你好</b>");
    await seesLine(page, "WebSocket rocks 🚀 <b>你好</b>");
    await example.prints(/received a message: WebSocket rocks/);
    await page.click("#connect");
    await sees(page, "#state", "Closed with 1000");
    await example.prints(/is disconnected/);
  },

  async clock(example) {
    const page = await example.visit();
    await eventually(async () => {
      const times = (await lines(page)).filter((line) => /^It is \d\d:\d\d:\d\d UTC here\.$/.test(line));
      assert.ok(new Set(times).size >= 3, `it pushes: ${times}`);
    });
    await say(page, "and echoes");
    await seesLine(page, "and echoes");
    await page.click("#connect");
    await sees(page, "#state", "Closed with 1000");
    await example.prints(/is disconnected, its timer with it/);
  },

  async terminals(example) {
    const one = await example.visit();
    const other = await example.visit();
    await seesLine(one, "Terminal 2 is here.");
    await say(one, "is anybody there?");
    await seesLine(other, "Terminal 1: is anybody there?");
    await say(other, "yes");
    await seesLine(one, "Terminal 2: yes");
    await seesLine(one, "Terminal 1: is anybody there?");
    await other.click("#connect");
    await seesLine(one, "Terminal 2 has left.");
  },

  async python_twin(example) {
    const page = await example.visit();
    await say(page, "Hello, server!");
    await seesLine(page, "Replying to: Hello, server!");
    await example.prints(/Received message: Hello, server!/);
    await page.click("#connect");
    await sees(page, "#state", "Closed with 1000");
    await example.prints(/Connection closed/);
  },
};

// --- what is true of each page ----------------------------------------------------------------------

async function withTheKeyboardAlone(example) {
  const page = await example.visit();
  const order = [];
  for (const expected of TABBING_ORDER) {
    await page.keyboard.press("Tab");
    order.push(await page.evaluate(() => document.activeElement.id));
    const ring = await page.evaluate(() => parseFloat(getComputedStyle(document.activeElement).outlineWidth));
    assert.ok(ring >= 2, `${expected} shows its focus`);
  }
  assert.deepEqual(order, TABBING_ORDER);
  await page.keyboard.press("Shift+Tab");
  await page.keyboard.press("Shift+Tab");
  await page.keyboard.type("typed");
  await page.keyboard.press("Enter");
  await seesLine(page, "You: typed");
  await eventually(async () => assert.ok((await lines(page)).some((line) => line !== "You: typed" && line.endsWith("typed"))));
  assert.equal(await page.evaluate(() => document.activeElement.id), "message", "the focus stays where it was");
}

async function forEverybody(example, name) {
  const page = await example.visit(PHONE);
  await say(page, `${"long".repeat(300)} and 🚀`);
  await seesLine(page, /^(?!You).*long/);
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    assert.deepEqual(await page.evaluate(lowContrast, TEXTS), [], colorScheme);
  }
  assert.deepEqual(await page.evaluate(overflow), []);
  assert.deepEqual(await page.evaluate(faultsOfForm), []);
  await page.screenshot({ path: join(output, `example-${name}.png`) });
}

for (const [name, use] of Object.entries(EXAMPLES)) {
  let example;
  await report.check(`${name}: does on its page what it is there for`, async () => {
    example = await Example.start(name);
    await use(example);
  });
  if (!example?.url) continue;
  await report.check(`${name}: with the keyboard alone`, () => withTheKeyboardAlone(example));
  await report.check(`${name}: on a phone, in light and dark, with labels`, () => forEverybody(example, name));
  await report.check(`${name}: told to stop it says 1001, and exits with 0`, async () => {
    const page = await example.visit();
    const ended = await example.stop(WAIT_MS, "SIGINT");
    assert.deepEqual(ended, { code: 0, signal: null }, example.output);
    await sees(page, "#state", "Closed with 1001");
  });
  await report.check(`${name}: no error in the console, no policy violation, no request elsewhere`, async () => {
    assert.deepEqual(example.watched.complaints, []);
    assert.ok(example.watched.requests > 10, "requests were seen at all");
  });
  for (const context of example.contexts) await context.close();
  await example.kill(); // if it is still there
}

await report.check("echo_origin: pages of other origins are turned away, those that it was told of are not", async () => {
  const other = await Example.start("python_twin"); // any page of another origin will do
  const strict = await Example.start("echo_origin");
  const told = await Example.start("echo_origin", other.url.origin);
  try {
    const context = await browser.newContext({ bypassCSP: true });
    const page = await context.newPage();
    await page.goto(other.url.href);
    assert.equal(await outcome(page, `ws://${strict.url.host}/echo`), 1006);
    await strict.prints(/is turned away: 403/);
    assert.equal(await outcome(page, `ws://${told.url.host}/echo`), "open");
    await page.goto("about:blank"); // as a page that was opened from a file
    assert.equal(await outcome(page, `ws://${told.url.host}/echo`), 1006);
    await context.close();
  } finally {
    for (const example of [other, strict, told]) await example.kill();
  }
});

await browser.close();
console.log(`${report.passed} passed, ${report.failed} failed`);
process.exit(report.failed > 0 ? 1 : 0);
