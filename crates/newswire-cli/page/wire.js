// Words for what is on the wire: sizes, times, hex dumps, close codes, exceptions. Pure functions; no DOM.

export const STATES = ["CONNECTING", "OPEN", "CLOSING", "CLOSED"];

// RFC 6455 §5.5: a control frame's payload ends at 125 bytes; the close code takes two of them.
export const MAX_REASON_BYTES = 123;

const encoder = new TextEncoder();
const grouped = new Intl.NumberFormat("en");

export const utf8Length = (text) => encoder.encode(text).length;

export const count = (number) => grouped.format(number);

export const bytes = (number) => `${count(number)} ${number === 1 ? "byte" : "bytes"}`;

/** The local time of day to the millisecond. */
export function clock(date) {
  const pad = (value, width = 2) => String(value).padStart(width, "0");
  return `${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}.${pad(date.getMilliseconds(), 3)}`;
}

/** Offset, hexadecimal, ASCII: `0000  48 65 6c 6c 6f  Hello`. */
export function hexDump(data, perRow) {
  const rows = [];
  for (let offset = 0; offset < data.length; offset += perRow) {
    const row = Array.from(data.subarray(offset, offset + perRow));
    const hex = row.map((byte) => byte.toString(16).padStart(2, "0"));
    if (hex.length > 8) hex.splice(8, 0, "");
    const width = perRow * 3 - 1 + (perRow > 8 ? 1 : 0);
    const ascii = row.map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : "·"));
    rows.push(`${offset.toString(16).padStart(4, "0")}  ${hex.join(" ").padEnd(width)}  ${ascii.join("")}`);
  }
  return rows.join("\n");
}

/** The start of a text: so many code units (never half of a surrogate pair), so many lines. */
export function start(text, units, lines) {
  const last = text.charCodeAt(units - 1);
  const cut = text.slice(0, last >= 0xd800 && last <= 0xdbff ? units - 1 : units);
  return cut.split("\n", lines).join("\n");
}

// RFC 6455 §7.4.1 and the IANA registry of close codes.
const CLOSE_CODES = {
  1000: ["Normal closure", "The purpose of the connection has been fulfilled."],
  1001: ["Going away", "The server is shutting down, or the page was left."],
  1002: ["Protocol error", "A peer broke a rule of the WebSocket protocol."],
  1003: ["Unsupported data", "A kind of message arrived that the endpoint does not take, such as binary where text is expected."],
  1005: ["No code given", "The Close frame carried no code. 1005 itself is never sent."],
  1006: ["Abnormal closure", "There was no closing handshake: the connection was refused, lost or cut. 1006 itself is never sent."],
  1007: ["Invalid data", "A message did not fit its type, such as text that is not UTF-8."],
  1008: ["Policy violation", "A message or the connection broke a rule of the endpoint."],
  1009: ["Message too big", "A message was larger than the endpoint accepts."],
  1010: ["Extension missing", "The client needs an extension that the server did not accept."],
  1011: ["Internal error", "The server met a condition that kept it from going on."],
  1012: ["Service restart", "The server restarts; connect again after a short, random while."],
  1013: ["Try again later", "The server is overloaded."],
  1014: ["Bad gateway", "A gateway got an invalid answer from the server behind it."],
  1015: ["TLS failure", "The TLS handshake failed. 1015 itself is never sent."],
  3000: ["Unauthorized", "Registered: the endpoint wants authentication."],
  3003: ["Forbidden", "Registered: the peer is not allowed to use this endpoint."],
  3008: ["Timeout", "Registered: the endpoint waited too long."],
};

/** What a close code means, as [name, sentence]. */
export function closeMeaning(code) {
  if (CLOSE_CODES[code]) return CLOSE_CODES[code];
  if (code >= 4000 && code <= 4999) return ["Private code", "4000 to 4999 mean what the application says they mean."];
  if (code >= 3000 && code <= 3999) return ["Library code", "3000 to 3999 belong to libraries and frameworks, by registration."];
  return ["Unassigned code", "RFC 6455 and the IANA registry give this code no meaning."];
}

/** A browser's exception without its preamble: `SyntaxError: The message must not …`. */
export const exception = (error) =>
  `${error.name}: ${error.message.replace(/^Failed to (execute|construct) .*?: /, "")}`;
