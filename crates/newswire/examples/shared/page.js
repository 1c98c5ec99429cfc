// What the examples' pages do: connect, send what is typed, show what comes. `body` says where to
// (data-path) and with which subprotocol (data-protocol), if with any.

const MOST_LINES = 200;
const { path, protocol } = document.body.dataset;
const find = (id) => document.getElementById(id);
let socket;

function show(kind, text) {
  const log = find("log");
  const line = document.createElement("li");
  line.className = kind;
  line.textContent = text;
  log.append(line);
  while (log.children.length > MOST_LINES) log.firstChild.remove();
  log.scrollTop = log.scrollHeight;
}

function state(text, open) {
  find("state").textContent = text;
  find("connect").textContent = open ? "Disconnect" : "Connect";
}

function connect() {
  const url = new URL(path, location.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  socket = new WebSocket(url, protocol ? [protocol] : []);
  socket.binaryType = "arraybuffer";
  state("Connecting…", true);
  socket.addEventListener("open", () => state("Connected", true));
  socket.addEventListener("message", ({ data }) => {
    show("received", typeof data === "string" ? data : `${data.byteLength} bytes`);
  });
  socket.addEventListener("close", ({ code, reason, wasClean }) => {
    socket = undefined;
    state(`Closed with ${code}`, false);
    if (!wasClean) show("note", "The connection failed. Is the server running, and is this page one of its own?");
    else if (reason) show("note", reason);
  });
}

find("connect").addEventListener("click", () => (socket ? socket.close(1000) : connect()));
find("form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (socket?.readyState !== WebSocket.OPEN) {
    show("note", "Not sent: there is no connection.");
    return;
  }
  const message = find("message");
  socket.send(message.value);
  show("sent", `You: ${message.value}`);
  message.value = "";
});
connect();
