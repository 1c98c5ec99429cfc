// As much of a document as the public tests touch beside WebSockets, in the global scope of a process
// that runs one file: a window, events made by hand, and a link.

class UIEvent extends Event {
  #type;
  #detail;

  constructor(type, { detail = 0, ...init } = {}) {
    super(type, init);
    this.#type = type;
    this.#detail = detail;
  }

  get type() { return this.#type; }
  get detail() { return this.#detail; }
  initEvent(type) { this.#type = String(type); }
  initUIEvent(type, _bubbles, _cancelable, _view, detail) {
    this.#type = String(type);
    this.#detail = detail;
  }
}

class HTMLAnchorElement {
  href = "";
  toString() { return this.href; }
}

export const document = {
  title: "",
  body: {},
  createEvent(name) {
    if (!["Event", "Events", "UIEvent", "UIEvents"].includes(name)) throw new Error(`no ${name} is here`);
    return new UIEvent("");
  },
  createElement(name) {
    if (name !== "a") throw new Error(`no <${name}> is here`);
    return new HTMLAnchorElement();
  },
};

Object.assign(globalThis, { window: globalThis, self: globalThis, document, UIEvent });
