// The page of `newswire serve` as a person meets it, in a real Chromium. See README.md.
//   node run.mjs path/to/newswire [folder for the screenshots]
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { accessSync, constants, mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { Report, Server, WAIT_MS, boundTheRun, eventually, launchBrowser } from "./harness.mjs";
import { faultsOfForm, lowContrast, overflow, watch } from "./page-checks.mjs";
import { Visitor } from "./visitor.mjs";

const MIB = 1024 * 1024;
const DESKTOP = { viewport: { width: 1440, height: 1080 }, colorScheme: "light" };
const PHONE = { viewport: { width: 360, height: 740 }, deviceScaleFactor: 2, colorScheme: "dark", hasTouch: true, isMobile: true };
const DEMONSTRATION = ["CONNECTED", "SENT: WebSocket rocks", "RESPONSE: WebSocket rocks", "DISCONNECTED"];
const TABBING_ORDER = [
  "demo-run", "snippet-copy", "health", "url", "protocols", "connect", "disconnect", "binary-type",
  "message", "send", "file", "close-code", "close-reason", "close", "log-clear", "log",
];
const FAILED = { code: "1006", name: "Abnormal closure.", reason: "(none)", clean: "false", by: "neither side" };
const LIBRARY = { code: "3001", name: "Library code.", clean: "true", by: "this page" };
const PRIVATE = { name: "Private code.", clean: "true", by: "this page" };

const given = process.argv[2] ?? process.env.NEWSWIRE;
if (!given) {
  console.error("usage: node run.mjs path/to/newswire [folder for the screenshots]");
  process.exit(2);
}
const binary = resolve(given);
try {
  accessSync(binary, constants.X_OK);
} catch {
  console.error(`no program at ${binary}; build it first (cargo build --release)`);
  process.exit(2);
}
const output = resolve(process.argv[3] ?? fileURLToPath(new URL("../../output/browser", import.meta.url)));
mkdirSync(output, { recursive: true });

boundTheRun();
const report = new Report();
const check = (name, body) => report.check(name, body);
let server = await begin("the server starts", Server.start(binary));
const browser = await begin("the browser starts", launchBrowser());
const { origin, host, port } = server.address;
const echo = `ws://${host}/echo`;
const watched = watch(host);
const visitor = new Visitor(browser, watched, origin);

async function begin(name, starting) {
  try {
    return await starting;
  } catch (error) {
    await check(name, () => { throw error; });
    console.log(`${report.passed} passed, ${report.failed} failed`);
    process.exit(1); // ends what was started
  }
}

async function theDemonstration() {
  await check("the page comes under a Content-Security-Policy without holes", async () => {
    const response = await visitor.arrive(DESKTOP);
    assert.equal(response.status(), 200);
    const policy = response.headers()["content-security-policy"] ?? "(no header)";
    assert.match(policy, /default-src '(none|self)'/);
    assert.doesNotMatch(policy, /unsafe|\*|data:|blob:/);
  });

  await check("the demonstration shows its four lines, each time", async () => {
    for (let run = 1; run <= 2; run += 1) assert.deepEqual(await visitor.runDemonstration(), DEMONSTRATION, `run ${run}`);
  });

  await check("beside them it shows what was agreed on for compression", async () => {
    const notes = await visitor.page.locator("#demo-output .demo-note").allInnerTexts();
    assert.deepEqual(notes, ["compression: permessage-deflate; client_max_window_bits=11"]);
  });

  await check("the three lines offered for one's own page do the same", async () => {
    const snippet = await visitor.page.locator("#snippet").innerText();
    assert.equal(snippet.trim().split("\n").length, 3);
    assert.ok(snippet.includes(`"${echo}"`), "they name this server's own address");
    const [message] = await Promise.all([
      visitor.page.waitForEvent("console", (entry) => entry.type() === "log"),
      visitor.page.evaluate(`(() => { ${snippet} })()`),
    ]);
    assert.equal(message.text(), "WebSocket rocks");
  });
}

async function messages() {
  await check("the console connects and shows the WebSocket's properties", async () => {
    await visitor.sees("#ready-state", "none yet");
    assert.equal(await visitor.page.inputValue("#url"), echo);
    await visitor.connect("echo-protocol");
    await visitor.sees("#protocol", "echo-protocol");
    await visitor.sees("#buffered-amount", "0");
    await visitor.sees("#extensions", "permessage-deflate; client_max_window_bits=11");
    assert.equal(await visitor.page.inputValue("#binary-type"), "blob");
  });

  await check("a text comes back as it went, with its direction, time and size", async () => {
    const { sent, received } = await visitor.say("WebSocket rocks 🚀 你好");
    assert.equal(sent.text, "WebSocket rocks 🚀 你好");
    assert.equal(received.text, sent.text);
    assert.match(received.time, /^\d\d:\d\d:\d\d\.\d{3}$/);
  });

  await check("markup is shown as text and runs nothing", async () => {
    const markup = `<img src=x onerror="window.ran = true"><b>bold</b><script>window.ran = true</script>`;
    const { received } = await visitor.say(markup);
    assert.equal(received.text, markup);
    assert.equal(await visitor.page.locator("#log-entries :is(img, b, script)").count(), 0);
    assert.equal(await visitor.page.evaluate(() => window.ran), undefined);
  });

  await check("Shift+Enter starts a new line; an empty message goes out too", async () => {
    await visitor.page.fill("#message", "one");
    await visitor.page.press("#message", "Shift+Enter");
    await visitor.page.keyboard.type("two");
    await visitor.page.click("#send");
    assert.equal((await visitor.exchanged("text", 7)).received.text, "one\ntwo");
    await visitor.say("");
  });

  for (const binaryType of ["blob", "arraybuffer"]) {
    await check(`a file is echoed as binary and saved byte for byte (binaryType ${binaryType})`, async () => {
      await visitor.page.selectOption("#binary-type", binaryType);
      const data = Buffer.from(Array.from({ length: 300 }, (_, index) => (index * 7) % 256));
      const { received } = await visitor.sendFile("every byte.bin", data);
      assert.equal(received.text.split("\n")[0], "0000  00 07 0e 15 1c 23 2a 31  38 3f 46 4d 54 5b 62 69  ·····#*18?FMT[bi");
      assert.match(received.foot, /The first 256 of 300 bytes/);
      const saved = await visitor.saveLast();
      assert.match(saved.name, /\.bin$/);
      assert.deepEqual(saved.bytes, data);
    });
  }

  await check("a text of 1 MiB is echoed, shortened in view, saved whole", async () => {
    const text = "newswire ✓012\n".repeat(MIB / 16);
    const { received } = await visitor.say(text);
    assert.ok(received.text.length <= 2000 && text.startsWith(received.text));
    assert.match(received.foot, /1,048,576 bytes in all/);
    assert.equal((await visitor.saveLast()).bytes.toString(), text);
  });

  await check("a binary message of 1 MiB is echoed", async () => {
    const digest = (bytes) => createHash("sha256").update(bytes).digest("hex");
    const data = randomBytes(MIB);
    await visitor.sendFile("random", data);
    assert.equal(digest((await visitor.saveLast()).bytes), digest(data));
    await visitor.sees("#buffered-amount", "0");
  });
}

async function closing() {
  await check("an illegal close code or reason is explained and closes nothing", async () => {
    await visitor.closeWith("1002", "");
    await visitor.sees("#close-error", /^Not closed\. InvalidAccessError: .*1002/);
    await visitor.closeWith("soon", "");
    await visitor.sees("#close-error", /“soon” is not/);
    await visitor.closeWith("3001", "ö".repeat(62));
    await visitor.sees("#reason-bytes", "124 of 123 bytes, 1 too many");
    await visitor.sees("#close-error", /^Not closed\. SyntaxError: /);
    await visitor.closeWith("", "why");
    await visitor.sees("#close-error", /A reason needs a code/);
    await visitor.sees("#ready-state", "1 OPEN");
  });

  await check("a reason may have 123 bytes", async () => {
    const reason = `${"ö".repeat(61)}!`;
    await visitor.closeWith("4999", reason);
    await visitor.sees("#reason-bytes", "123 of 123 bytes");
    await visitor.seesClosed({ ...PRIVATE, code: "4999", reason: reason });
  });

  await check("a close with a code and a reason is sent, answered and explained", async () => {
    await visitor.arrive(DESKTOP);
    await visitor.runDemonstration();
    await visitor.connect("echo-protocol");
    await visitor.say("WebSocket rocks 🚀");
    await visitor.sendFile("greeting.bin", Buffer.from("WebSocket rocks, and so do bytes:\0\x01\x02\xfe\xff", "latin1"));
    await visitor.closeWith("3001", "that is all, thank you");
    await visitor.seesClosed({ ...LIBRARY, reason: "that is all, thank you" });
    await eventually(async () => {
      const [closing, closed] = (await visitor.entries()).slice(-2);
      assert.equal(closing.text, "Closing with 3001, reason “that is all, thank you”");
      assert.match(closed.text, /^Closed: 3001 .*wasClean true$/);
    });
    await picture("desktop-light.png");
  });

  await check("out of OPEN, nothing is sent and the page says so", async () => {
    await visitor.page.fill("#message", "too late");
    await visitor.page.press("#message", "Enter");
    await visitor.sees("#send-error", /^Not sent: the connection is CLOSED/);
    assert.equal(await visitor.page.inputValue("#message"), "too late", "the text is still there");
    await visitor.page.click("#close");
    await visitor.sees("#close-error", /^Nothing to close/);
  });

  await check("a close without a code is 1005; Disconnect does the same", async () => {
    for (const button of ["#close", "#disconnect"]) {
      await visitor.connect();
      await visitor.sees("#protocol", "(none)");
      await visitor.page.fill("#close-code", "");
      await visitor.page.fill("#close-reason", "");
      await visitor.page.click(button);
      await visitor.seesClosed({ code: "1005", name: "No code given.", reason: "(none)", clean: "true", by: "this page" });
    }
  });
}

async function failures() {
  await check("a URL that is none is refused with the browser's own words", async () => {
    await visitor.page.fill("#url", "ftp://example");
    await visitor.page.click("#connect");
    await visitor.sees("#connect-error", /^Not connected\. SyntaxError: /);
  });

  await check("a failed handshake is 1006 and comes with help", async () => {
    for (const [url, protocols, browserSays, pageSays] of [
      [echo, "other", /Sec-WebSocket-Protocol/, /selects none of the offered subprotocols/],
      [`${echo}/nowhere`, "", /Unexpected response code/, /^Could not connect/],
    ]) {
      await watched.tolerating(browserSays, async () => {
        await visitor.page.fill("#url", url);
        await visitor.page.fill("#protocols", protocols);
        await visitor.page.click("#connect");
        await visitor.sees("#connect-error", pageSays);
        await visitor.seesClosed(FAILED);
      });
    }
    await visitor.page.fill("#url", echo);
  });
}

async function theLog() {
  await check("the log is bounded and says what it dropped", async () => {
    await visitor.connect();
    await visitor.page.evaluate(() => {
      const message = document.getElementById("message");
      for (let number = 1; number <= 200; number += 1) {
        message.value = `number ${number}`;
        document.getElementById("send").click();
      }
    });
    await eventually(async () => {
      const entries = await visitor.entries();
      assert.equal(entries.length, 300);
      assert.deepEqual([entries.at(-1).direction, entries.at(-1).text], ["received text", "number 200"]);
    });
    await visitor.sees("#log-dropped", /^\d+ older dropped; the last 300 are kept/);
    await visitor.page.click("#log-clear");
    await visitor.sees("#log-dropped", "");
    await visitor.sees("#log", /^Nothing yet/);
  });
}

async function everybody() {
  await check("text keeps the contrast of WCAG AA, light and dark", async () => {
    await visitor.say("contrast");
    await visitor.closeWith("1002", "x".repeat(124));
    for (const colorScheme of ["light", "dark"]) {
      await visitor.page.emulateMedia({ colorScheme });
      assert.deepEqual(await visitor.page.evaluate(lowContrast), [], colorScheme);
    }
  });

  await check("every field has a label, and nothing moves", async () => {
    assert.deepEqual(await visitor.page.evaluate(faultsOfForm), []);
  });

  await check("Tab goes through everything in reading order, and the focus shows", async () => {
    await visitor.arrive(DESKTOP);
    const order = [];
    for (const expected of TABBING_ORDER) {
      await visitor.page.keyboard.press("Tab");
      order.push(await visitor.focused());
      assert.ok(await visitor.focusShows(), `${expected} shows its focus`);
    }
    assert.deepEqual(order, TABBING_ORDER);
  });

  await check("with the keyboard alone: the demonstration, then a whole conversation", async () => {
    await visitor.arrive(DESKTOP);
    const { keyboard } = visitor.page;
    const tabTo = (id) => visitor.tabTo(id, TABBING_ORDER.length);
    await tabTo("demo-run");
    await keyboard.press("Enter");
    await eventually(async () => assert.deepEqual(await visitor.demonstration(), DEMONSTRATION));
    assert.equal(await visitor.focused(), "demo-run", "the focus stays where it was");
    await tabTo("url");
    await keyboard.press("Enter");
    await visitor.sees("#ready-state", "1 OPEN");
    await tabTo("message");
    await keyboard.type("typed");
    await keyboard.press("Enter");
    assert.equal((await visitor.exchanged("text", 5)).received.text, "typed");
    await tabTo("close-code");
    await keyboard.type("4000");
    await tabTo("close");
    await keyboard.press("Enter");
    await visitor.seesClosed({ ...PRIVATE, code: "4000", reason: "(none)" });
  });

  await check("a phone of 360 by 740 never scrolls sideways", async () => {
    await visitor.arrive(PHONE);
    assert.deepEqual(await visitor.page.evaluate(overflow), [], "before use");
    await visitor.page.tap("#demo-run");
    await eventually(async () => assert.deepEqual(await visitor.demonstration(), DEMONSTRATION));
    await visitor.connect("echo-protocol");
    await visitor.say("x".repeat(3000));
    await visitor.sendFile(`${"long-name-".repeat(20)}.bin`, randomBytes(300));
    await visitor.closeWith("1002", "w".repeat(200));
    await visitor.sees("#close-error", /^Not closed/);
    assert.deepEqual(await visitor.page.evaluate(overflow), [], "with long data and an error");
    await visitor.page.click("#log-clear");
    await visitor.say("WebSocket rocks 🚀");
    await visitor.closeWith("3001", "that is all, thank you");
    await visitor.seesClosed({ ...LIBRARY, reason: "that is all, thank you" });
    assert.deepEqual(await visitor.page.evaluate(overflow), [], "after the close");
    await picture("phone-dark.png");
  });
}

async function endAndReturn() {
  await check("a server told to stop says 1001, and exits with 0", async () => {
    await visitor.arrive(DESKTOP);
    await visitor.connect();
    await visitor.say("before the end");
    const ended = await server.stop();
    assert.ok(ended, `the server did not exit within ${WAIT_MS / 1000} s of SIGTERM`);
    assert.deepEqual(ended, { code: 0, signal: null });
    await visitor.sees("#closed-code", "1001");
    await visitor.sees("#closed-name", "Going away.");
    await visitor.sees("#closed-clean", "true");
    await visitor.sees("#closed-by", "the server");
  });

  await check("without the server, the demonstration says so and how to start it", async () => {
    await watched.tolerating(/ERR_CONNECTION_REFUSED/, async () => {
      const lines = await visitor.runDemonstration();
      assert.match(lines[0], /^ERROR: could not connect to .*Is the server still running\? .*newswire serve/);
      assert.deepEqual(lines.slice(1), ["DISCONNECTED"]);
    });
  });

  await check("started again on the same port, it serves the page that is still open", async () => {
    await server.kill(); // only if it is still there
    server = await Server.start(binary, Number(port));
    assert.equal(server.address.origin, origin);
    assert.deepEqual(await visitor.runDemonstration(), DEMONSTRATION);
    await visitor.connect();
    await visitor.say("after the restart");
    assert.equal((await visitor.page.reload()).status(), 200);
  });
}

async function picture(name) {
  await visitor.sees("#log-entries > li:last-child .payload", /^Closed: /); // the log is drawn with a delay
  await visitor.page.evaluate(() => document.activeElement.blur());
  await visitor.page.screenshot({ path: join(output, name), fullPage: true });
}

try {
  for (const part of [theDemonstration, messages, closing, failures, theLog, everybody, endAndReturn]) await part();
  await check("no error in the browser's console, no policy violation, no request elsewhere", () => {
    assert.deepEqual(watched.complaints, []);
    assert.ok(watched.requests > 20, "requests were seen at all");
  });
} finally {
  await browser.close();
  await server.stop();
  await server.kill(); // if it did not listen
}
if (report.failed > 0) console.log(`the server said last:\n${server.output}`);
console.log(`screenshots in ${output}`);
console.log(`${report.passed} passed, ${report.failed} failed`);
process.exit(report.failed > 0 ? 1 : 0);
