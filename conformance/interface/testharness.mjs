// As much of testharness.js as the public WebSocket tests use, in the global scope of a process that
// runs one file. Nothing here knows WebSockets.
import assert from "node:assert/strict";

let testMs = 10_000;
const tests = [];
let inTurn = Promise.resolve();
let open = 0;
let loaded = false;
let allDone;

/** Settles when all tests have: [{ name, error }]. */
export const results = new Promise((resolve) => { allDone = resolve; });

/** How long each test may take from now on. */
export function limit(ms) {
  testMs = ms;
}

/** The file has run: what has not begun does not exist. */
export function load() {
  loaded = true;
  settle();
}

function settle() {
  if (loaded && open === 0) allDone(tests.map(({ name, error }) => ({ name, error })));
}

class Test {
  phases = { COMPLETE: 3 };
  #settled = false;
  #cleanups = [];

  constructor(name = document.title) {
    this.name = name;
    open += 1;
    tests.push(this);
    this.late = setTimeout(() => this.#end(new Error(`not done within ${testMs} ms`)), testMs);
  }

  #end(error) {
    if (this.#settled) return;
    this.#settled = true;
    this.error = error && String(error.stack ?? error);
    clearTimeout(this.late);
    for (const cleanup of this.#cleanups) cleanup();
    open -= 1;
    queueMicrotask(settle);
  }

  get phase() { return this.#settled ? 3 : 2; }
  done() { this.#end(); }
  fail(error) { this.#end(error); }
  add_cleanup(body) { this.#cleanups.push(body); }

  step(body, self = this, ...args) {
    if (this.#settled) return undefined;
    try {
      return body.apply(self, args);
    } catch (error) {
      this.#end(error);
      return undefined;
    }
  }

  step_func(body, self = this) {
    return (...args) => this.step(body, self, ...args);
  }

  step_func_done(body = () => {}, self = this) {
    return (...args) => {
      this.step(body, self, ...args);
      this.done();
    };
  }

  step_timeout(body, delay, ...args) {
    return setTimeout(this.step_func(body), delay, ...args);
  }

  unreached_func(why) {
    return this.step_func(() => assert.fail(why ?? "it must not be called"));
  }
}

const same = (actual, expected) =>
  assert.deepEqual(typeof actual === "object" && actual ? { ...actual } : actual, expected);

// The names that DOMException had before there were names.
const NAMES = { SYNTAX_ERR: "SyntaxError", INVALID_STATE_ERR: "InvalidStateError", INVALID_ACCESS_ERR: "InvalidAccessError" };

function assert_throws_dom(name, body, why) {
  assert.throws(body, (error) => error instanceof DOMException && error.name === (NAMES[name] ?? name), why);
}

function assert_throws_js(kind, body, why) {
  assert.throws(body, (error) => error.constructor === kind, why);
}

Object.assign(globalThis, {
  async_test(body, name) {
    const [run, title] = typeof body === "function" ? [body, name ?? undefined] : [() => {}, body];
    const made = new Test(title);
    made.step(run, made, made);
    return made;
  },
  test(body, name) {
    const made = new Test(name);
    made.step(body, made, made);
    made.done();
  },
  promise_test(body, name) {
    const made = new Test(name);
    // One after the other, so that none waits for another's sockets.
    inTurn = inTurn.then(() => body.call(made, made)).then(() => made.done(), (error) => made.fail(error));
  },
  setup() {},
  done() {},
  step_timeout: setTimeout,
  format_value: String,
  assert_equals: (actual, expected, why) => assert.equal(Object.is(actual, expected), true, `${why}: ${String(actual)} is not ${String(expected)}`),
  assert_not_equals: (actual, expected, why) => assert.notEqual(actual, expected, why),
  assert_true: (actual, why) => assert.equal(actual, true, why),
  assert_false: (actual, why) => assert.equal(actual, false, why),
  assert_array_equals: (actual, expected, why) => assert.deepEqual([...actual], [...expected], why),
  assert_object_equals: same,
  assert_in_array: (actual, expected, why) => assert(expected.includes(actual), why),
  assert_greater_than: (actual, least, why) => assert(actual > least, why),
  assert_greater_than_equal: (actual, least, why) => assert(actual >= least, why),
  assert_less_than: (actual, most, why) => assert(actual < most, why),
  assert_less_than_equal: (actual, most, why) => assert(actual <= most, why),
  assert_unreached: (why) => assert.fail(why ?? "it must not be reached"),
  assert_regexp_match: (actual, expected, why) => assert.match(actual, expected, why),
  assert_throws_dom,
  assert_throws_js,
  /** As it was called before the two above: a name, or an error of the kind. */
  assert_throws: (kind, body, why) =>
    typeof kind === "string" ? assert_throws_dom(kind, body, why) : assert_throws_js(kind.constructor, body, why),
  async promise_rejects_dom(test, name, promise, why) {
    const error = await promise.then(() => undefined, (reason) => reason);
    assert_throws_dom(name, () => { if (error) throw error; }, why);
  },
});
