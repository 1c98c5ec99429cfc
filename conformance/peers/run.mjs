// Compression between newswire and others: each peer as the client of `newswire serve`, and each
// that can be one as the server of newswire's client. See README.md.
//   node run.mjs path/to/newswire path/to/compressed_client path/to/python
// The peers send and compare the messages; what was on the wire is judged here.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Program, Report, Server, boundTheRun, launchBrowser, within } from "../browser/harness.mjs";
import * as chromium from "./chromium.mjs";
import { COUNT, messages as make, write } from "./messages.mjs";
import { relayTo } from "./relay.mjs";
import * as ws from "./ws.mjs";

const TALK_MS = 120_000;
const MIN_SIZE = 64; // below it newswire leaves a message as it is
const SMALL = 2000; // messages in which it shows whether the ones before are referred to
const MODES = ["shared", "dedicated"];
// Two conversations at once, a few messages each time, so that a compressor that both share goes
// from one to the other. compressed_client does so, too.
const TOGETHER = 2;
const AHEAD = 4;

const [newswire, compressedClient, python] = process.argv.slice(2);
if (!python) {
  console.error("usage: node run.mjs path/to/newswire path/to/compressed_client path/to/python");
  process.exit(2);
}
const output = fileURLToPath(new URL("../../output/peers", import.meta.url));
mkdirSync(output, { recursive: true });
const messages = make();
const file = join(output, "messages.txt");
write(file, messages);

boundTheRun();
const report = new Report();
const browser = await launchBrowser();

// --- the peers: a client talks to a port, a server gives the port to talk to ------------------------

const script = fileURLToPath(new URL("websockets_peer.py", import.meta.url));
const pythonPeer = (role, takeover, ...rest) =>
  new Program(python, [script, role, file, takeover ? "takeover" : "no-takeover", ...rest.map(String)]);

const PEERS = [
  {
    name: "Chromium",
    fragments: false,
    client: (port) => chromium.client(browser, port, messages, AHEAD),
  },
  {
    name: "ws",
    fragments: true,
    client: (port, takeover) => ws.client(`ws://127.0.0.1:${port}/echo`, messages, takeover, AHEAD),
    server: (takeover) => ws.server(messages, takeover, TOGETHER),
  },
  {
    name: "websockets",
    fragments: true,
    client: (port, takeover) => pythonPeer("client", takeover, AHEAD, `ws://127.0.0.1:${port}/echo`).succeeds(TALK_MS),
    server: async (takeover) => {
      const program = pythonPeer("server", takeover, TOGETHER);
      const port = Number((await program.says(/^port (\d+)$/m))[1]);
      return { port, done: program.succeeds(TALK_MS) };
    },
  },
];

// --- what must have been on the wire -------------------------------------------------------------

/** Payload bytes of the small messages, by direction, of each conversation that was right. */
const spent = new Map();

function judge(name, peer, takeover, { offer, answer, fromClient, fromServer }, newswireIsServer) {
  assert.match(offer, /^permessage-deflate\b/, "the client's offer");
  const [extension, ...params] = answer.split(";").map((part) => part.trim());
  assert.equal(extension, "permessage-deflate", "the server's answer");
  const forgets = ["server_no_context_takeover", "client_no_context_takeover"].map((param) => params.includes(param));
  assert.deepEqual(forgets, [!takeover, !takeover], `context takeover in the answer: ${answer}`);

  const [ours, theirs] = newswireIsServer ? [fromServer, fromClient] : [fromClient, fromServer];
  const worthwhile = messages.map(({ size }) => size >= MIN_SIZE);
  assert.deepEqual(ours.map(({ compressed }) => compressed), worthwhile, "newswire compresses what is worth it");
  assert.equal(theirs.length, COUNT, `${peer.name} sent all messages`);
  assert.ok(theirs.every(({ compressed }, number) => compressed || !worthwhile[number]), `${peer.name} compresses`);
  const emptyOnes = theirs.filter(({ compressed }, number) => compressed && messages[number].size === 0);
  assert.ok(emptyOnes.length >= 20, `${peer.name} compresses empty messages: ${emptyOnes.length}`);
  if (peer.fragments) {
    const cut = theirs.filter(({ frames }, number) => frames >= messages[number].fragments.length && frames > 1);
    assert.ok(cut.length >= 100, `${peer.name} sends fragments: ${cut.length} messages`);
  }
  for (const [who, sent] of [["newswire", ours], [peer.name, theirs]]) {
    const all = sum(sent, () => true);
    assert.ok(all.payload < all.size * 0.6, `${who} sent ${all.payload} bytes for ${all.size}`);
  }
  const small = ({ size }) => size < SMALL;
  spent.set(name, { newswire: sum(ours, small).payload, peer: sum(theirs, small).payload });
}

function sum(sent, which) {
  const total = { payload: 0, size: 0 };
  messages.forEach((message, number) => {
    if (!which(message)) return;
    total.payload += sent[number].payload;
    total.size += message.size;
  });
  return total;
}

// --- the conversations -----------------------------------------------------------------------------

const title = (peer, role, mode, takeover) =>
  `${peer.name} as ${role}, newswire ${mode}, ${takeover ? "with" : "without"} context takeover`;

/** Conversations through a relay, all at once, and the judgement of each. `begin` gives the server's
 * port, and who is to do what with the relay's. */
async function talk(name, begin, judgement) {
  await report.check(name, async () => {
    const { port, play } = await begin();
    const relay = await relayTo(port);
    try {
      await bounded(Promise.all(play(relay.port)));
      const conversations = await bounded(relay.conversations());
      assert.equal(conversations.length, TOGETHER, "WebSockets were opened");
      conversations.forEach(judgement);
    } finally {
      relay.close();
    }
  });
}

/** `conversations` are peers, each with whether it is to have context takeover. */
async function againstServer(conversations, mode, flags) {
  await report.check(`newswire serve ${flags.join(" ")}`, async () => {
    const server = await Server.start(newswire, 0, flags);
    const port = Number(server.address.port);
    for (const [peer, takeover] of conversations) {
      const name = title(peer, "client", mode, takeover);
      const play = (relay) => Array.from({ length: TOGETHER }, () => peer.client(relay, takeover));
      await talk(name, async () => ({ port, play }), (wire) => judge(name, peer, takeover, wire, true));
    }
    const ended = await server.stop();
    await server.kill(); // if it did not listen
    assert.deepEqual(ended, { code: 0, signal: null }, "it ends when it is told to");
    assert.doesNotMatch(server.output, /panicked/);
  });
}

async function againstClient(peer, mode, takeover) {
  const name = title(peer, "server", mode, takeover);
  await talk(name, async () => {
    const { port, done } = await peer.server(takeover);
    done.catch(() => {}); // it is awaited below, too
    const play = (relay) => {
      const client = new Program(compressedClient, [`ws://127.0.0.1:${relay}/echo`, mode, file]);
      return [client.succeeds(TALK_MS), done];
    };
    return { port, play };
  }, (wire) => judge(name, peer, takeover, wire, false));
}

const bounded = (promise) => within(promise, "the conversation", TALK_MS);

try {
  const choices = ({ server }) => (server ? [true, false] : [true]);
  const conversations = PEERS.flatMap((peer) => choices(peer).map((takeover) => [peer, takeover]));
  for (const mode of MODES) await againstServer(conversations, mode, ["--workers", "1", "--compression", mode]);
  // A page cannot ask for it, so the server does.
  await againstServer([[PEERS[0], false]], "shared", ["--workers", "1", "--compression-history", "0"]);
  for (const peer of PEERS.filter(({ server }) => server)) {
    for (const mode of MODES) {
      for (const takeover of [true, false]) await againstClient(peer, mode, takeover);
    }
  }
  await report.check("what was said before makes small messages smaller, in every direction", () => {
    let compared = 0;
    for (const [name, without] of spent) {
      const takeover = spent.get(name.replace("without context", "with context"));
      if (!name.includes("without context") || !takeover) continue;
      compared += 1;
      for (const who of ["newswire", "peer"]) {
        assert.ok(takeover[who] < without[who] * 0.9, `${name}: ${who}: ${takeover[who]} bytes with it, ${without[who]} without`);
      }
    }
    assert.equal(compared, 9);
  });
} finally {
  await browser.close();
}
for (const [name, bytes] of spent) {
  const small = messages.filter(({ size }) => size < SMALL).reduce((total, { size }) => total + size, 0);
  const percent = (part) => `${Math.round((100 * part) / small)} %`;
  console.log(`     ${name}: newswire ${percent(bytes.newswire)}, the peer ${percent(bytes.peer)} of small messages' bytes`);
}
console.log(`${report.passed} passed, ${report.failed} failed`);
process.exit(report.failed > 0 ? 1 : 0);
