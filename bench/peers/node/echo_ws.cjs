// ws as its README has it, with bufferutil, which ws uses where it is installed. No compression, text stays text.
'use strict';

const { WebSocketServer } = require('ws');

const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false }, () => {
  console.log(server.address().port);
});

server.on('connection', (ws, request) => {
  request.socket.setNoDelay(true);
  ws.on('error', () => {}); // the load leaving
  ws.on('message', (data, isBinary) => ws.send(data, { binary: isBinary }));
});
