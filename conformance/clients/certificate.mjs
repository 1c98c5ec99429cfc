// A certificate for this machine, made for one run: it is its own authority.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** The files `cert` and `key` (PEM), and `both` in one, which HAProxy wants; `remove` takes them away. */
export function certificate() {
  const folder = mkdtempSync(join(tmpdir(), "newswire-certificate-"));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  process.once("exit", remove);
  const [cert, key, both] = ["cert.pem", "key.pem", "both.pem"].map((name) => join(folder, name));
  const made = spawnSync("sh", ["-c", `
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=newswire test" \
      -addext "subjectAltName=DNS:localhost,IP:127.0.0.1" -keyout "$2" -out "$1" && cat "$1" "$2" >"$3"
  `, "sh", cert, key, both], { encoding: "utf8" });
  if (made.status !== 0) throw new Error(`openssl: ${made.error?.message ?? made.stderr}`);
  return { cert, key, both, remove };
}
