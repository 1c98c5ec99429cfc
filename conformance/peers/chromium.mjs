// Chromium as a client: a page that sends the messages and compares what comes back. What a page
// cannot do (fragments, a choice of parameters) is not asked of it.

/** Talks from a page of the server itself, so that no other origin is involved; `ahead` messages are
 * sent before they have come back. */
export async function client(browser, port, messages, ahead) {
  const page = await browser.newPage();
  try {
    await page.goto(`http://127.0.0.1:${port}/healthz`);
    const list = messages.map(({ binary, whole }) => ({ binary, whole }));
    const extension = await page.evaluate(talk, { url: `ws://127.0.0.1:${port}/echo`, list, ahead });
    if (!/^permessage-deflate/.test(extension)) throw new Error(`Chromium: the extension is "${extension}"`);
  } finally {
    await page.close();
  }
}

/** Runs in the page, so it closes over nothing. Gives `extensions`. */
function talk({ url, list, ahead }) {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url);
    socket.binaryType = "arraybuffer";
    let number = 0;
    const fail = (why) => {
      reject(new Error(`Chromium: ${why}`));
      socket.close();
    };
    const send = ({ binary, whole }) => socket.send(binary ? new TextEncoder().encode(whole) : whole);
    socket.addEventListener("open", () => list.slice(0, ahead).forEach(send));
    socket.addEventListener("message", ({ data }) => {
      const binary = typeof data !== "string";
      const whole = binary ? new TextDecoder("utf-8", { fatal: true }).decode(data) : data;
      if (number >= list.length || binary !== list[number].binary || whole !== list[number].whole) {
        fail(`message ${number} came as ${binary ? "binary" : "text"} and is another one`);
        return;
      }
      number += 1;
      if (number + ahead <= list.length) send(list[number + ahead - 1]);
      if (number === list.length) socket.close(1000);
    });
    socket.addEventListener("close", ({ code, wasClean }) => {
      if (code === 1000 && wasClean && number === list.length) resolve(socket.extensions);
      else fail(`closed with ${code} after ${number} messages`);
    });
  });
}
