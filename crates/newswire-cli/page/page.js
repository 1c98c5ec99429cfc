// The page's entry: finds this server's echo and starts the parts. What a part does lives in
// demo.js, console.js, log.js and wire.js.
import { startConsole } from "./console.js";
import { startDemonstration } from "./demo.js";

// Beside this page, wherever it is served: a proxy may have put it below a path, or behind TLS.
const echo = new URL("echo", document.baseURI);
echo.protocol = echo.protocol === "https:" ? "wss:" : "ws:";

startDemonstration(echo.href);
startConsole(echo.href);

document.getElementById("server-url").textContent = echo.href;
document.getElementById("snippet-url").textContent = echo.href;
document.getElementById("snippet-copy").addEventListener("click", async (event) => {
  const snippet = document.getElementById("snippet");
  try {
    await navigator.clipboard.writeText(snippet.textContent);
    event.target.textContent = "Copied";
  } catch {
    // No clipboard without a secure context: select the lines, so that Ctrl+C does it.
    getSelection().selectAllChildren(snippet);
    event.target.textContent = "Selected";
  }
  setTimeout(() => { event.target.textContent = "Copy"; }, 2000);
});
