// npm's ws as a client and as a server. Both send and expect the same messages in the same order.
import { WebSocket, WebSocketServer } from "ws";

/** `threshold`: compress everything, the empty messages too. */
function options(takeover) {
  const forget = takeover ? {} : { serverNoContextTakeover: true, clientNoContextTakeover: true };
  return { threshold: 0, ...forget };
}

/** Sends all messages, `ahead` of them before they have come back. */
export async function client(url, messages, takeover, ahead) {
  const socket = new WebSocket(url, { perMessageDeflate: options(takeover) });
  socket.once("open", () => messages.slice(0, ahead).forEach((message) => send(socket, message)));
  await conversation(socket, messages, (number) => {
    if (number + ahead <= messages.length) send(socket, messages[number + ahead - 1]);
    if (number === messages.length) socket.close(1000);
  });
}

/** A server for `count` connections that answers each message with itself, in its fragments. */
export async function server(messages, takeover, count) {
  const listener = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: options(takeover) });
  await new Promise((resolve, reject) => listener.once("listening", resolve).once("error", reject));
  let open = count;
  const done = new Promise((resolve, reject) => {
    listener.on("connection", (socket) => {
      conversation(socket, messages, (number) => send(socket, messages[number - 1])).then(() => {
        open -= 1;
        if (open === 0) resolve();
      }, reject);
    });
  });
  done.catch(() => {}).finally(() => listener.close());
  return { port: listener.address().port, done };
}

function send(socket, { binary, fragments }) {
  fragments.forEach((fragment, index) => socket.send(fragment, { binary, fin: index === fragments.length - 1 }));
}

/** Comes to an end when the socket was closed with 1000, after exactly these messages. */
function conversation(socket, messages, received) {
  return new Promise((resolve, reject) => {
    let number = 0;
    const fail = (why) => {
      reject(new Error(`ws: ${why}`));
      socket.terminate();
    };
    socket.on("error", (error) => fail(error.message));
    socket.on("message", (data, binary) => {
      const expected = messages[number];
      if (!expected || binary !== expected.binary || data.toString() !== expected.whole) {
        fail(`message ${number} came as ${binary ? "binary" : "text"} of ${data.length} bytes and is another one`);
        return;
      }
      number += 1;
      received(number);
    });
    socket.once("close", (code) => {
      if (code === 1000 && number === messages.length) resolve();
      else fail(`closed with ${code} after ${number} messages`);
    });
  });
}
