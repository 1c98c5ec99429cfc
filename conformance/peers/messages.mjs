// What is said in every conversation: 1,000 messages of varied JSON, in fragments and empty ones
// among them, the same in every run; and the file from which the other programs read them.
// How they are sent and who judges them is not decided here.
import { writeFileSync } from "node:fs";

export const COUNT = 1000;
const WORDS = (
  "account alert archive balance billing câble change client Ärger error event festival queue résumé retry " +
  "sensor session shipment status stream таблица ticket transfer update 東京 user value warehouse weather 🚀 zone"
).split(" ");

/** A small generator of numbers that are the same in every run (mulberry32). */
function numbers(seed) {
  let state = seed;
  const next = () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
  return (below) => next() % below;
}

function record(number, upTo, items) {
  const word = () => WORDS[upTo(WORDS.length)];
  const words = (count) => Array.from({ length: count }, word).join(" ");
  const value = {
    id: number,
    type: `${word()}.${word()}`,
    at: new Date(1_700_000_000_000 + number * 1711).toISOString(),
    ok: upTo(3) > 0,
    note: words(upTo(12)),
  };
  if (upTo(4) === 0) value.token = Array.from({ length: 8 }, () => upTo(2 ** 32).toString(16)).join("");
  if (items > 0) {
    value.items = Array.from({ length: items }, () => ({ sku: upTo(1e6), name: words(2), price: upTo(99999) / 100 }));
  }
  return JSON.stringify(value);
}

function text(number, upTo) {
  if (number % 40 === 7) return "";
  if (number % 25 === 3) return JSON.stringify(upTo(1000)); // shorter than anybody compresses
  if (number % 333 === 100) return record(number, upTo, 2500);
  if (number % 50 === 20) return record(number, upTo, 250);
  return record(number, upTo, upTo(9));
}

/** Cuts at up to five places, between characters; two cuts at one place make an empty fragment. */
function fragments(whole, upTo) {
  const cuts = Array.from({ length: 1 + upTo(5) }, () => {
    const at = upTo(whole.length + 1);
    const insideOfPair = /[\udc00-\udfff]/.test(whole.charAt(at));
    return insideOfPair ? at + 1 : at;
  }).sort((one, other) => one - other);
  return [...cuts, whole.length].map((to, index) => whole.slice(index > 0 ? cuts[index - 1] : 0, to));
}

/** The messages: whether they are binary, whole, and the fragments to send them in. */
export function messages() {
  const upTo = numbers(7692);
  return Array.from({ length: COUNT }, (_, number) => {
    const whole = text(number, upTo);
    return {
      binary: number % 10 === 9,
      whole,
      size: Buffer.byteLength(whole),
      fragments: number % 7 === 0 ? fragments(whole, upTo) : [whole],
    };
  });
}

/** A line for each: `t` for text or `b` for binary, then its fragments with a tab between them.
 * JSON has neither tabs nor line ends in it. */
export function write(path, list) {
  writeFileSync(path, list.map(({ binary, fragments }) => `${binary ? "b" : "t"}${fragments.join("\t")}\n`).join(""));
}
