// What is true of an echo, whoever asks and whatever is in between.
import assert from "node:assert/strict";

export const bytes = (length) => Buffer.from(Array.from({ length }, (_, index) => (index * 7) % 256));

export function same(received, sent, what) {
  assert.equal(typeof received, typeof sent, `${what} is text or bytes, as it was`);
  const equal = typeof sent === "string" ? received === sent : Buffer.from(received).equals(sent);
  assert.ok(equal, `${what} came back as it went`);
}

/** Sends all messages before it looks at what comes back. */
export async function echoes(open, messages) {
  for (const message of messages) await open.send(message);
  for (const [index, message] of messages.entries()) same(await open.receive(), message, `message ${index}`);
}
