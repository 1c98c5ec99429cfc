// nginx and HAProxy in front of newswire, set up as docs/guide/behind-a-proxy.md says: its blocks are
// what runs here, with other addresses. What is to be true of them is said in proxies.mjs.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

const guide = readFileSync(new URL("../../docs/guide/behind-a-proxy.md", import.meta.url), "utf8");

/** The block of this language under this heading, with each of the texts replaced, which are there once. */
function block(language, heading, replacements) {
  const section = guide.slice(guide.indexOf(`## ${heading}\n`));
  let text = new RegExp(`\`\`\`${language}\n(.*?)\`\`\``, "s").exec(section)[1];
  for (const [from, to] of replacements) {
    assert.equal(text.split(from).length, 2, `"${from}" is there once under "${heading}"`);
    text = text.replace(from, () => to);
  }
  return text;
}

const portOf = (ways, name) => ways.find((way) => way.name === name).port;

export const nginx = {
  name: "nginx",
  ways: [
    { name: "plain", tls: false, proxyProtocol: false },
    { name: "TLS ends there", tls: true, proxyProtocol: false },
  ],
  arguments: (file) => ["-c", file],
  configuration: ({ folder, target, trust, ways }) => `
daemon off;
master_process off;
pid ${folder}/nginx.pid;
error_log stderr warn;
events { worker_connections 128; }
http {
  access_log off;
  client_body_temp_path ${folder};
  proxy_temp_path ${folder};
  fastcgi_temp_path ${folder};
  uwsgi_temp_path ${folder};
  scgi_temp_path ${folder};
${block("nginx", "nginx", [
    ["listen 443 ssl;", `listen 127.0.0.1:${portOf(ways, "TLS ends there")} ssl; listen 127.0.0.1:${portOf(ways, "plain")};`],
    ["/etc/ssl/example.pem", trust.cert],
    ["/etc/ssl/example.key", trust.key],
    ["127.0.0.1:9998", `127.0.0.1:${target}`],
  ])}
}
`,
};

/** What a way has instead of the guide's own words. */
const HTTP = "HAProxy";
const TCP = "HAProxy, with the PROXY protocol";
const VARIANTS = {
  "TLS ends there": [HTTP, []],
  plain: [HTTP, [["X-Forwarded-Proto https", "X-Forwarded-Proto http"]]],
  "Forwarded, TLS ends there": [HTTP, [
    ["http-request set-header X-Forwarded-Proto https", "http-request del-header X-Forwarded-Proto"],
    ["option forwardfor", 'http-request set-header Forwarded "for=\\"%[src]\\";proto=https;host=\\"%[req.hdr(host)]\\""'],
  ]],
  "PROXY protocol 2, TLS ends there": [TCP, []],
  "PROXY protocol 2": [TCP, [["send-proxy-v2-ssl proxy-v2-options crc32c", "send-proxy-v2"]]],
  "PROXY protocol 1": [TCP, [["send-proxy-v2-ssl proxy-v2-options crc32c", "send-proxy"]]],
};

export const haproxy = {
  name: "haproxy",
  ways: Object.entries(VARIANTS).map(([name, [heading]]) => ({
    name, tls: name.includes("TLS"), proxyProtocol: heading === TCP,
  })),
  arguments: (file) => ["-db", "-f", file],
  configuration: ({ target, trust, ways }) => ways.map(({ name, port, tls }, index) => {
    const [heading, instead] = VARIANTS[name];
    return block("haproxy", heading, [
      ["listen web", `listen way${index}`],
      ["bind :443 ssl crt /etc/ssl/example.both.pem", `bind 127.0.0.1:${port}${tls ? ` ssl crt ${trust.both}` : ""}`],
      ["127.0.0.1:9998", `127.0.0.1:${target}`],
      ...instead,
    ]);
  }).join("\n"),
};
