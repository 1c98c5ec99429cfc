// ws as its README has it, with bufferutil, which ws uses where it is installed. Text stays text. Compression as the argument
// says: none, `default` for ws's own options, or `tuned` for the sizes and the level of its README's example.
'use strict';

const { WebSocketServer } = require('ws');

const perMessageDeflate = {
  none: false,
  default: true,
  tuned: {
    zlibDeflateOptions: { chunkSize: 1024, memLevel: 7, level: 3 },
    zlibInflateOptions: { chunkSize: 10 * 1024 },
  },
}[process.argv[2] ?? 'none'];
if (perMessageDeflate === undefined) {
  console.error('usage: echo_ws.cjs [none|default|tuned]');
  process.exit(2);
}

const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate }, () => {
  console.log(server.address().port);
});

server.on('connection', (ws, request) => {
  request.socket.setNoDelay(true);
  ws.on('error', () => {}); // the load leaving
  ws.on('message', (data, isBinary) => ws.send(data, { binary: isBinary }));
});
