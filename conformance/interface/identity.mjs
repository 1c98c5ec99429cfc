// A certificate for the time of a run, made by openssl, and signed by itself.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** What a server proves that it is `host` with, and the file by which a client believes it. */
export function makeIdentity(host) {
  const folder = mkdtempSync(join(tmpdir(), "newswire-identity-"));
  const [key, cert] = ["key.pem", "cert.pem"].map((name) => join(folder, name));
  const made = spawnSync("openssl", [
    "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
    "-keyout", key, "-out", cert, "-subj", `/CN=${host}`, "-addext", `subjectAltName=DNS:${host}`,
    // rustls takes no authority for a server's certificate.
    "-addext", "basicConstraints=critical,CA:FALSE",
  ], { encoding: "utf8" });
  if (made.status !== 0) throw new Error(`openssl is needed for wss, and failed: ${made.error ?? made.stderr}`);
  return {
    key: readFileSync(key),
    cert: readFileSync(cert),
    caFile: cert,
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
