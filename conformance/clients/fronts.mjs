// How nginx and HAProxy are set up in front of newswire, as docs say: each with the ways through it.
// What is to be true of them is said in proxies.mjs.

const byName = (ways, name) => ways.find((way) => way.name === name).port;

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
  map $http_upgrade $connection_upgrade { default upgrade; '' close; }
  server {
    listen 127.0.0.1:${byName(ways, "plain")};
    listen 127.0.0.1:${byName(ways, "TLS ends there")} ssl;
    ssl_certificate ${trust.cert};
    ssl_certificate_key ${trust.key};
    location / {
      proxy_pass http://127.0.0.1:${target};
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header Forwarded "";
      proxy_read_timeout 1h;
    }
  }
}
`,
};

const listener = (name, { port, tls }, trust, lines) => `
listen ${name}
  bind 127.0.0.1:${port}${tls ? ` ssl crt ${trust.both}` : ""}
  ${lines.join("\n  ")}
`;

export const haproxy = {
  name: "haproxy",
  ways: [
    { name: "X-Forwarded-For", tls: false, proxyProtocol: false },
    { name: "Forwarded, TLS ends there", tls: true, proxyProtocol: false },
    { name: "PROXY protocol 1", tls: false, proxyProtocol: true },
    { name: "PROXY protocol 2", tls: false, proxyProtocol: true },
    { name: "PROXY protocol 2, TLS ends there", tls: true, proxyProtocol: true },
  ],
  arguments: (file) => ["-db", "-f", file],
  configuration: ({ target, trust, ways }) => {
    const server = `server newswire 127.0.0.1:${target}`;
    const lines = {
      "X-Forwarded-For": ["mode http", "http-request del-header Forwarded", "option forwardfor", server],
      "Forwarded, TLS ends there": [
        "mode http",
        "http-request del-header X-Forwarded-For",
        'http-request set-header Forwarded "for=\\"%[src]\\";proto=https;host=\\"%[req.hdr(host)]\\""',
        server,
      ],
      "PROXY protocol 1": ["mode tcp", `${server} send-proxy`],
      "PROXY protocol 2": ["mode tcp", `${server} send-proxy-v2 proxy-v2-options crc32c`],
      "PROXY protocol 2, TLS ends there": ["mode tcp", `${server} send-proxy-v2-ssl proxy-v2-options authority,crc32c,ssl-cipher`],
    };
    const listeners = ways.map((way, index) => listener(`way${index}`, way, trust, lines[way.name]));
    return `
global
  maxconn 128
  ssl-default-bind-options ssl-min-ver TLSv1.2
defaults
  timeout connect 5s
  timeout client 1h
  timeout server 1h
  timeout tunnel 1h
${listeners.join("")}`;
  },
};
