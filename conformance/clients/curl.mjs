// curl, which speaks HTTP: the upgrade as it stands on the wire, and what those get who are refused.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";

// RFC 6455 §1.3 has this key and what it is to be answered with.
const KEY = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
const UPGRADE = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", `Sec-WebSocket-Key: ${KEY}`];

/** Gives status, headers and the rest as bytes. A connection that stays open is left after a second. */
function curl(url, headers, options) {
  const args = ["--http1.1", "--silent", "--show-error", "--include", "--no-buffer", "--max-time", "1", ...options];
  for (const header of headers) args.push("--header", header);
  return new Promise((resolve, reject) => {
    const child = spawn("curl", [...args, url], { stdio: ["ignore", "pipe", "pipe"], timeout: 10_000 });
    const said = [];
    let complaint = "";
    child.stdout.on("data", (data) => said.push(data));
    child.stderr.on("data", (data) => { complaint += data; });
    child.once("error", reject);
    child.once("close", () => {
      const whole = Buffer.concat(said);
      const end = whole.indexOf("\r\n\r\n");
      if (end < 0) {
        reject(new Error(`curl: no answer: ${complaint}`));
        return;
      }
      const [first, ...lines] = whole.subarray(0, end).toString("latin1").split("\r\n");
      const pairs = lines.map((line) => [line.slice(0, line.indexOf(":")).toLowerCase(), line.slice(line.indexOf(":") + 1).trim()]);
      resolve({ status: Number(first.split(" ")[1]), headers: new Map(pairs), rest: whole.subarray(end + 4) });
    });
  });
}

export async function curlChecks(report, how, { host, tls, caFile }) {
  const url = `${tls ? "https" : "http"}://${host}/echo`;
  const options = caFile ? ["--cacert", caFile] : ["--insecure"];
  const check = (what, body) => report.check(`curl, ${how}: ${what}`, body);

  await check("an upgrade is answered as in the RFC, and nothing comes unasked", async () => {
    const answer = await curl(url, UPGRADE, options);
    assert.equal(answer.status, 101);
    assert.equal(answer.headers.get("sec-websocket-accept"), ACCEPT);
    assert.match(answer.headers.get("upgrade"), /^websocket$/i);
    assert.match(answer.headers.get("connection"), /^upgrade$/i);
    assert.equal(answer.headers.get("sec-websocket-protocol"), undefined);
    assert.equal(answer.headers.get("sec-websocket-extensions"), undefined);
    assert.equal(answer.rest.length, 0);
  });

  if (tls && !caFile) {
    await check("a certificate that nobody has signed is refused unless it is told otherwise", async () => {
      await assert.rejects(curl(url, UPGRADE, []), /self.signed certificate/);
    });
  }

  await check("a page of another origin is told in words that it may not", async () => {
    const answer = await curl(url, [...UPGRADE, "Origin: https://evil.example"], options);
    assert.equal(answer.status, 403);
    assert.match(answer.rest.toString(), /"https:\/\/evil\.example" may not connect/);
  });

  await check("another version is told which is spoken", async () => {
    const old = UPGRADE.map((line) => line.replace("Version: 13", "Version: 8"));
    const answer = await curl(url, old, options);
    assert.deepEqual([answer.status, answer.headers.get("sec-websocket-version")], [426, "13"]);
  });

  await check("an ordinary request is told what this is", async () => {
    const answer = await curl(url, [], options);
    assert.equal(answer.status, 426);
    assert.match(answer.rest.toString(), /WebSocket/);
  });
}
