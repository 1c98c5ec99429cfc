// A certificate for this machine and the authority that issued it, made for one run.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** The files `ca`, `cert` and `key` (PEM), and the last `both` in one, which HAProxy wants; `remove` takes
 * them away. */
export function certificate() {
  const folder = mkdtempSync(join(tmpdir(), "newswire-certificate-"));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  process.once("exit", remove);
  const [ca, cert, key, both] = ["ca.pem", "cert.pem", "key.pem", "both.pem"].map((name) => join(folder, name));
  const made = spawnSync("sh", ["-ec", `
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=newswire test authority" \
      -addext keyUsage=critical,keyCertSign -keyout ca.key -out ca.pem
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=newswire test" -keyout key.pem -out request.pem
    printf '%s\n' subjectAltName=DNS:localhost,IP:127.0.0.1 basicConstraints=critical,CA:FALSE authorityKeyIdentifier=keyid >extensions
    openssl x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile extensions -out cert.pem
    cat cert.pem key.pem >both.pem
  `], { encoding: "utf8", cwd: folder });
  if (made.status !== 0) throw new Error(`openssl: ${made.error?.message ?? made.stderr}`);
  return { ca, cert, key, both, remove };
}
