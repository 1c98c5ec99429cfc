// A visitor of the page: what a person does with its controls and reads off it. The ids of the
// page's elements are known here and in run.mjs; what is right and wrong is said in run.mjs.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { WAIT_MS, eventually } from "./harness.mjs";

export class Visitor {
  constructor(browser, watched, origin) {
    Object.assign(this, { browser, watched, origin });
  }

  /** Comes anew, with a fresh browser context; gives the response. */
  async arrive(options) {
    await this.page?.context().close();
    const context = await this.browser.newContext({ acceptDownloads: true, ...options });
    context.setDefaultTimeout(WAIT_MS);
    this.page = await context.newPage();
    await this.watched.follow(this.page);
    return this.page.goto(this.origin);
  }

  /** Waits until an element's visible text is `expected` (or matches it). */
  async sees(selector, expected) {
    await eventually(async () => {
      const text = (await this.page.locator(selector).innerText()).trim();
      if (expected instanceof RegExp) assert.match(text, expected);
      else assert.equal(text, expected, selector);
    });
  }

  /** Runs the demonstration to its end; gives its lines. */
  async runDemonstration() {
    await this.page.click("#demo-run");
    await this.sees("#demo-run", "Run it again");
    return this.demonstration();
  }

  demonstration() {
    return this.page.locator(".demo-text").allInnerTexts();
  }

  async connect(protocols = "") {
    await this.page.fill("#protocols", protocols);
    await this.page.click("#connect");
    await this.sees("#ready-state", "1 OPEN");
  }

  /** Types a text and presses Enter; gives the sent and the received entry of the log. */
  async say(text) {
    const { page } = this;
    // fill() types, which takes the browser minutes for a megabyte.
    if (text.length < 10_000) await page.fill("#message", text);
    else await page.$eval("#message", (field, value) => { field.value = value; }, text);
    await page.press("#message", "Enter");
    assert.equal(await page.inputValue("#message"), "", "the field is empty after sending");
    return this.exchanged("text", Buffer.byteLength(text));
  }

  /** Sends a file; gives the sent and the received entry of the log. */
  async sendFile(name, data) {
    await this.page.setInputFiles("#file", { name, mimeType: "application/octet-stream", buffer: data });
    return this.exchanged("binary", data.length);
  }

  /** The messages in the log that no earlier call has given, once they are one sent and one received. */
  async exchanged(kind, length) {
    const size = `${length.toLocaleString("en")} ${length === 1 ? "byte" : "bytes"}`;
    const fresh = "#log-entries > li:is(.sent, .received):not([data-read])";
    const pair = await eventually(async () => {
      const messages = await this.entries(fresh);
      assert.deepEqual(messages.map((message) => [message.direction, message.size]),
        [[`sent ${kind}`, size], [`received ${kind}`, size]]);
      assert.ok(length === 0 || messages.every((message) => message.text), "both are shown");
      return messages;
    });
    await this.page.$$eval(fresh, (items) => items.forEach((item) => { item.dataset.read = ""; }));
    return { sent: pair[0], received: pair[1] };
  }

  entries(selector = "#log-entries > li") {
    return this.page.$$eval(selector, (items) => items.map((item) => ({
      direction: item.querySelector(".direction").innerText.replace(/^\W+/, ""),
      time: item.querySelector("time").textContent,
      size: item.querySelector(".size")?.textContent,
      text: item.querySelector(".payload")?.textContent,
      foot: item.querySelector(".foot")?.firstChild.textContent,
    })));
  }

  /** What the Save button of the last received message puts on disk. */
  async saveLast() {
    const button = this.page.locator("#log-entries > li.received").last().getByRole("button");
    const [download] = await Promise.all([this.page.waitForEvent("download"), button.click()]);
    return { name: download.suggestedFilename(), bytes: readFileSync(await download.path()) };
  }

  async closeWith(code, reason) {
    await this.page.fill("#close-code", code);
    await this.page.fill("#close-reason", reason);
    await this.page.click("#close");
  }

  async seesClosed({ code, name, reason, clean, by }) {
    await this.sees("#closed-code", code);
    await this.sees("#closed-name", name);
    await this.sees("#closed-reason", reason);
    await this.sees("#closed-clean", clean);
    await this.sees("#closed-by", by);
    await this.sees("#ready-state", "3 CLOSED");
  }

  focused() {
    return this.page.evaluate(() => document.activeElement.id);
  }

  /** Whether the focused element (for the file field, its label) has a ring around it. */
  focusShows() {
    return this.page.evaluate(() => {
      const node = document.activeElement;
      const { outlineStyle, outlineWidth } = getComputedStyle(node.type === "file" ? node.nextElementSibling : node);
      return outlineStyle !== "none" && parseFloat(outlineWidth) >= 2;
    });
  }

  async tabTo(id, atMost) {
    for (let presses = 0; await this.focused() !== id; presses += 1) {
      assert.ok(presses < atMost, `Tab never reaches ${id}`);
      await this.page.keyboard.press("Tab");
    }
  }
}
