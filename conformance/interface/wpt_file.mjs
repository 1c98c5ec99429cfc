// What a file of the public tests says of itself: its scripts, its variants, and what it needs that is
// not here. Nothing is run here.

/** What a file may need, by what it says, and that only a browser has. */
const BROWSERS = [
  [/<iframe|createElement\(["']i?frame|<(frame|object|embed)\b/i, "frames"],
  [/new (Shared)?Worker\(|navigator\.serviceWorker|fetch_tests_from_worker/, "workers"],
  [/document\.cookie|set-cookie|cookies-helper/i, "a page's cookies"],
  [/XMLHttpRequest|\bfetch\(/, "a page's other requests"],
  [/window\.open|RemoteContextHelper|BroadcastChannel|test_driver|executor/, "other pages"],
  [/WebSocketStream/, "WebSocketStream, which is another interface"],
  [/targetAddressSpace/, "local network access, which is a browser's"],
  [/idlharness\.js|webidl2/i, "idlharness.js"],
];

/** Reads a test: `path` within the folder, and its text. */
export function testFile(path, text) {
  return path.endsWith(".js") ? script(path, text) : page(path, text);
}

/** Whether it is a test, and not what tests share. */
export const isTest = (path) => /\.(any|window|worker)\.js$|\.html?$/.test(path)
  && !/(^|[\\/])(support|resources|handlers)[\\/]/.test(path);

function script(path, text) {
  const meta = (name) => [...text.matchAll(new RegExp(`^// META: ${name}=(.*)$`, "gm"))].map(([, value]) => value.trim());
  return described(path, text, {
    title: meta("title")[0],
    scripts: meta("script"),
    variants: meta("variant"),
    isLong: meta("timeout").includes("long"),
    body: text,
  });
}

function page(path, text) {
  const scripts = [...text.matchAll(/<script(?<attributes>[^>]*)>(?<body>[^]*?)<\/script>/gi)].map(({ groups }) => groups);
  const source = ({ attributes }) => /src=["']?([^"'\s>]+)/i.exec(attributes)?.[1];
  const variant = /<meta\s+name=["']?variant["']?\s+content=["']?([^"'\s>]*)/gi;
  return described(path, text, {
    title: /<title>([^]*?)<\/title>/i.exec(text)?.[1],
    scripts: scripts.map(source).filter(Boolean),
    variants: [...text.matchAll(variant)].map(([, value]) => value),
    isLong: /<meta\s+name=["']?timeout["']?\s+content=["']?long/i.test(text),
    body: scripts.filter((element) => !source(element)).map(({ body }) => body).join("\n"),
  });
}

function described(path, text, { title = path, variants, ...rest }) {
  const browsers = BROWSERS.find(([sign]) => sign.test(text));
  return {
    ...rest,
    title,
    variants: variants.length > 0 ? variants : [""],
    /** Why this variant cannot be run, if it cannot. */
    needs(variant) {
      if (browsers) return `it needs ${browsers[1]}`;
      if (/wpt_flags=h[23]/.test(variant)) return "WebSockets over HTTP/2 and HTTP/3 are not done";
      return rest.body.trim() === "" ? "it has no script" : undefined;
    },
  };
}
