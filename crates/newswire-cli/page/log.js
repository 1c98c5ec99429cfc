// The console's log: a bounded list of messages and events, drawn ten times a second at most.
// Whatever arrived is only ever set as textContent.
import { bytes, clock, count, hexDump, start, utf8Length } from "./wire.js";

const MAX_ENTRIES = 300;
const MAX_BYTES = 32 * 1024 * 1024;
const TEXT_UNITS = 2000; // shown of a text, in UTF-16 code units
const TEXT_LINES = 40;
const BINARY_BYTES = 256; // shown of a binary message
const WIDE_DUMP_PX = 696; // a list this wide has room for 16 bytes a row
const DRAW_MS = 100; // between two drawings, so that a flood of messages leaves time for people
const ANNOUNCE_MS = 1000;

const ARROWS = { sent: "↑", received: "↓", event: "•", failure: "×" };
const WORDS = { sent: "sent", received: "received", event: "", failure: "error" };

export class Log {
  #scroller = document.getElementById("log");
  #list = document.getElementById("log-entries");
  #entries = [];
  #undrawn = 0;
  #bytes = 0;
  #dropped = 0;
  #numbered = 0;
  #drawn = 0;
  #drawing = false;
  #speech = 0;
  #unspoken = 0;

  constructor() {
    document.getElementById("log-clear").addEventListener("click", () => this.clear());
  }

  /** Logs a message. `data` is what went into `send()` or came with the event; `name`, a file's. */
  message(kind, data, name = "") {
    const isText = typeof data === "string";
    this.#add({
      kind, data, name,
      type: isText ? "text" : "binary",
      size: isText ? utf8Length(data) : data.size ?? data.byteLength,
    });
  }

  /** Logs something that is not a message. `kind` is "event" or "failure". */
  note(kind, text) {
    this.#add({ kind, data: text, name: "", type: "", size: 0 });
  }

  clear() {
    this.#entries = [];
    this.#undrawn = this.#bytes = this.#dropped = 0;
    this.#draw();
  }

  #add(entry) {
    entry.number = ++this.#numbered;
    entry.time = new Date();
    this.#entries.push(entry);
    this.#bytes += entry.size;
    while (this.#entries.length > 1 && (this.#entries.length > MAX_ENTRIES || this.#bytes > MAX_BYTES)) {
      this.#bytes -= this.#entries.shift().size;
      this.#dropped += 1;
    }
    this.#undrawn = Math.min(this.#undrawn + 1, this.#entries.length);
    this.#drawSoon();
    this.#unspoken += 1;
    this.#speech ||= setTimeout(() => this.#speak(), ANNOUNCE_MS);
  }

  // For screen readers, instead of a live region: shortened, and at a bearable pace.
  #speak() {
    const last = this.#entries.at(-1);
    const more = this.#unspoken > 1 ? `${count(this.#unspoken)} new in the log. ` : "";
    document.getElementById("announce").textContent = last ? more + summary(last) : "";
    this.#speech = this.#unspoken = 0;
  }

  #drawSoon() {
    if (this.#drawing) return;
    this.#drawing = true;
    const draw = () => requestAnimationFrame(() => {
      this.#drawing = false;
      this.#drawn = performance.now();
      this.#draw();
    });
    const wait = this.#drawn + DRAW_MS - performance.now();
    if (wait > 0) setTimeout(draw, wait);
    else draw();
  }

  #draw() {
    const follow = this.#atEnd();
    while (this.#list.firstChild && this.#list.firstChild !== this.#entries[0]?.node) this.#list.firstChild.remove();
    const fresh = this.#entries.slice(this.#entries.length - this.#undrawn);
    this.#list.append(...fresh.map((entry) => this.#build(entry)));
    this.#undrawn = 0;
    document.getElementById("log-empty").hidden = this.#entries.length > 0;
    document.getElementById("log-dropped").textContent = this.#dropped === 0 ? ""
      : `${count(this.#dropped)} older dropped; the last ${MAX_ENTRIES} are kept, at most ${MAX_BYTES >> 20} MiB.`;
    if (follow) this.#toEnd();
  }

  #build(entry) {
    const { kind, type, data, size, name } = entry;
    const arrow = element("span", "arrow", ARROWS[kind]);
    arrow.setAttribute("aria-hidden", "true");
    const direction = element("span", "direction");
    direction.append(arrow, [WORDS[kind], type].filter(Boolean).join(" "));
    const time = element("time", "muted", clock(entry.time));
    time.dateTime = entry.time.toISOString();
    const meta = element("div", "meta");
    meta.append(direction, time);
    if (type) meta.append(element("span", "size muted", bytes(size)));

    const body = element("div", "body");
    if (name) body.append(element("p", "name muted", name));
    if (type === "") body.append(element("p", "payload", data));
    else if (size === 0) body.append(element("p", "muted", "(empty)"));
    else body.append(type === "text" ? element("pre", "payload", excerpt(data)) : this.#dump(data));
    const cut = shortened(entry);
    if (cut || type === "binary") {
      const button = element("button", "save", "Save");
      button.type = "button";
      button.setAttribute("aria-label", `Save the ${WORDS[kind]} ${type} message, ${bytes(size)}`);
      button.addEventListener("click", () => save(entry));
      const foot = element("p", "foot muted", cut);
      foot.append(button);
      body.append(foot);
    }

    entry.node = element("li", `entry ${kind}`);
    entry.node.append(meta, body);
    return entry.node;
  }

  #dump(data) {
    const pre = element("pre", "payload dump");
    const perRow = this.#list.clientWidth >= WIDE_DUMP_PX ? 16 : 8;
    new Response(data.slice(0, BINARY_BYTES)).arrayBuffer().then((shown) => {
      const follow = this.#atEnd();
      pre.textContent = hexDump(new Uint8Array(shown), perRow);
      if (follow) this.#toEnd();
    }, (error) => { pre.textContent = `(cannot be read: ${error.message})`; });
    return pre;
  }

  #atEnd() {
    return this.#scroller.scrollHeight - this.#scroller.scrollTop - this.#scroller.clientHeight < 32;
  }

  #toEnd() {
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
  }
}

function element(name, className, text = "") {
  const node = document.createElement(name);
  node.className = className;
  node.textContent = text;
  return node;
}

const excerpt = (text) => start(text, TEXT_UNITS, TEXT_LINES);

/** What the view leaves out of a message, in words; empty if nothing. */
function shortened({ type, data, size }) {
  const shown = type === "text" ? excerpt(data).length : BINARY_BYTES;
  if (type === "text" && shown < data.length) {
    return `The first ${count(shown)} of ${count(data.length)} characters; ${bytes(size)} in all. `;
  }
  return type === "binary" && shown < size ? `The first ${count(shown)} of ${bytes(size)}. ` : "";
}

function summary({ kind, type, data, size }) {
  if (type === "") return data;
  return `${WORDS[kind]} ${type}, ${bytes(size)}${type === "text" ? `: ${start(data, 80, 1)}` : ""}`;
}

function save({ kind, type, data, name, number }) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([data]));
  link.download = name || `newswire-${kind}-${number}.${type === "text" ? "txt" : "bin"}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
