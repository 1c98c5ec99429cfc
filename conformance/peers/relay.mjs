// Stands between a client and a server, passes the bytes on, and tells afterwards what was on the
// wire: the extension that both agreed on and each message's frames. It changes nothing, inflates
// nothing and judges nothing.
import { connect, createServer } from "node:net";

/** A relay to `port` of this host: `port` is where clients connect. */
export async function relayTo(port) {
  const connections = [];
  const listener = createServer({ allowHalfOpen: true }, (client) => {
    const server = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
    const connection = { request: [], response: [] };
    connections.push(connection);
    client.on("data", (data) => connection.request.push(data));
    server.on("data", (data) => connection.response.push(data));
    connection.ended = Promise.all([client, server].map((socket, index, pair) => new Promise((resolve) => {
      socket.on("error", () => pair[1 - index].destroy());
      socket.once("close", resolve);
    })));
    client.pipe(server).pipe(client);
  });
  await new Promise((resolve, reject) => {
    listener.once("error", reject);
    listener.listen(0, "127.0.0.1", resolve);
  });
  return {
    port: listener.address().port,

    /** What was said on each WebSocket, once all are closed. */
    async conversations() {
      const opened = connections.filter(({ request }) => /^upgrade:\s*websocket\r?$/im.test(head(request).text));
      await Promise.all(opened.map(({ ended }) => ended));
      return opened.map(({ request, response }) => {
        const [client, server] = [request, response].map(head);
        return {
          offer: extensions(client.text),
          answer: extensions(server.text),
          fromClient: sent(client.rest),
          fromServer: sent(server.rest),
        };
      });
    },

    close() {
      listener.close();
    },
  };
}

/** The head of a handshake, and the bytes behind it. */
function head(chunks) {
  const bytes = Buffer.concat(chunks);
  const end = bytes.indexOf("\r\n\r\n");
  return { text: bytes.toString("latin1", 0, Math.max(end, 0)), rest: bytes.subarray(end + 4) };
}

function extensions(text) {
  const lines = text.split("\r\n").filter((line) => /^sec-websocket-extensions:/i.test(line));
  return lines.map((line) => line.slice(line.indexOf(":") + 1).trim()).join(", ");
}

/** The data messages of one direction: whether compressed (RSV1), how many frames, and how many
 * bytes of payload. */
function sent(bytes) {
  const list = [];
  for (let at = 0; at < bytes.length;) {
    const [first, second] = [bytes[at], bytes[at + 1]];
    let length = second & 0x7f;
    at += 2;
    if (length === 126) {
      length = bytes.readUInt16BE(at);
      at += 2;
    } else if (length === 127) {
      length = Number(bytes.readBigUInt64BE(at));
      at += 8;
    }
    at += (second & 0x80 ? 4 : 0) + length;
    if (at > bytes.length) throw new Error(`a frame of ${length} bytes is cut short`);
    const opcode = first & 0x0f;
    if (opcode >= 8) continue;
    if (opcode > 0) list.push({ compressed: (first & 0x40) !== 0, frames: 0, payload: 0 });
    const message = list.at(-1);
    message.frames += 1;
    message.payload += length;
  }
  return list;
}
