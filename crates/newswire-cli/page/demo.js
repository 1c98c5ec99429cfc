// The demonstration: connect, send one message, show the answer, close; a line for each step, and
// under the first what was agreed on for compression.

const MESSAGE = "WebSocket rocks";
const PATIENCE_MS = 10_000;

export function startDemonstration(url) {
  const button = document.getElementById("demo-run");
  const output = document.getElementById("demo-output");
  const empty = document.getElementById("demo-empty");
  let running = false;

  button.addEventListener("click", () => {
    if (running) return;
    setRunning(true);
    empty.hidden = true;
    output.replaceChildren();
    const started = performance.now();
    run(url, (kind, line, note) => write(kind, line, performance.now() - started, note), () => setRunning(false));
  });

  // Not `disabled`: that would take the keyboard's focus away from the button.
  function setRunning(value) {
    running = value;
    button.setAttribute("aria-disabled", String(value));
    button.textContent = value ? "Running…" : "Run it again";
  }

  function write(kind, line, elapsed, note) {
    const item = document.createElement("li");
    const text = document.createElement("span");
    const time = document.createElement("span");
    item.className = `demo-line ${kind}`;
    text.className = "demo-text";
    text.textContent = line;
    time.className = "demo-time muted";
    time.textContent = `+${elapsed.toFixed(1)} ms`;
    item.append(text, time);
    if (note) {
      const aside = document.createElement("span");
      aside.className = "demo-note muted";
      aside.textContent = note;
      item.append(aside);
    }
    output.append(item);
  }
}

function run(url, write, done) {
  const ws = new WebSocket(url);
  let opened = false;
  const patience = setTimeout(() => {
    write("failure", `ERROR: no end after ${PATIENCE_MS / 1000} s. The server accepted the connection but does not answer.`);
    ws.onopen = ws.onmessage = ws.onerror = ws.onclose = null;
    ws.close();
    done();
  }, PATIENCE_MS);

  ws.onopen = () => {
    opened = true;
    write("event", "CONNECTED", `compression: ${ws.extensions || "none"}`);
    ws.send(MESSAGE);
    write("sent", `SENT: ${MESSAGE}`);
  };
  ws.onmessage = (event) => {
    write("received", `RESPONSE: ${event.data}`);
    ws.close();
  };
  // The event carries no cause: a page never learns why a connection failed.
  ws.onerror = () => {
    write("failure", opened
      ? "ERROR: the connection broke. Is the server still running?"
      : `ERROR: could not connect to ${url}. Is the server still running? Start it with “newswire serve” and run this again.`);
  };
  ws.onclose = () => {
    clearTimeout(patience);
    write("event", "DISCONNECTED");
    done();
  };
}
