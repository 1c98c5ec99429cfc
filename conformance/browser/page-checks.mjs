// What is true of a good page whatever it does: functions for `page.evaluate` that list faults
// (so they run in the browser and close over nothing), and the watch over console and network.

/** Texts whose contrast against what is behind them is below WCAG AA; there are `least` of them. */
export function lowContrast(least = 30) {
  const parse = (colour) => colour.match(/[\d.]+/g).map(Number);
  const luminance = ([red, green, blue]) => {
    const [r, g, b] = [red, green, blue].map((value) => {
      const part = value / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const [red, green, blue, alpha = 1] = parse(getComputedStyle(at).backgroundColor);
      if (alpha === 1) return [red, green, blue];
      if (alpha !== 0) return null; // mixed colours are not worked out here: a fault of its own
    }
    return [255, 255, 255];
  };
  const shown = new Set(document.querySelectorAll("input, textarea, select"));
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    if (texts.currentNode.data.trim()) shown.add(texts.currentNode.parentElement);
  }
  const faults = [];
  let measured = 0;
  for (const node of shown) {
    if (!node.checkVisibility() || node.closest("noscript, option, .visually-hidden")) continue;
    measured += 1;
    const style = getComputedStyle(node);
    const background = behind(node);
    const [lighter, darker] = [luminance(parse(style.color)), background ? luminance(background) : 0].sort((a, b) => b - a);
    const ratio = (lighter + 0.05) / (darker + 0.05);
    const large = parseFloat(style.fontSize) >= 24;
    if (!background || ratio < (large ? 3 : 4.5)) {
      faults.push(`${node.tagName} ${node.id || node.className}: ${ratio.toFixed(2)} (${style.color} on ${background})`);
    }
  }
  if (measured < least) faults.push(`only ${measured} texts were measured`);
  return faults;
}

/** Fields without a label, buttons without a name, and whatever moves. */
export function faultsOfForm() {
  const faults = [];
  for (const field of document.querySelectorAll("input, textarea, select")) {
    if (![...field.labels].some((label) => label.textContent.trim())) faults.push(`${field.id} has no label`);
  }
  for (const button of document.querySelectorAll("button")) {
    if (!button.textContent.trim()) faults.push(`button ${button.id} has no name`);
  }
  for (const node of document.querySelectorAll("*")) {
    const { transitionDuration, animationName, scrollBehavior } = getComputedStyle(node);
    if (!/^(0s(, )?)+$/.test(transitionDuration) || animationName !== "none" || scrollBehavior !== "auto") {
      faults.push(`${node.tagName} ${node.id || node.className} moves`);
    }
  }
  return faults;
}

/** What makes the page scroll sideways. */
export function overflow() {
  const width = document.documentElement.clientWidth;
  const wide = document.documentElement.scrollWidth;
  if (wide <= width && window.innerWidth <= screen.width) return [];
  const outside = [...document.body.querySelectorAll("*")].filter((node) => node.getBoundingClientRect().right > width + 0.5);
  return [`${wide} px on ${width}`, ...outside.slice(0, 5).map((node) => `${node.tagName} ${node.id || node.className}`)];
}

/** Listens to every page it follows: console errors, exceptions, policy violations, foreign requests. */
export function watch(host) {
  const tolerated = [];
  const watched = {
    requests: 0,
    complaints: [],

    async follow(page) {
      page.on("console", (message) => {
        if (!["error", "warning"].includes(message.type())) return;
        const rule = tolerated.find(({ pattern }) => pattern.test(message.text()));
        if (rule) rule.met += 1;
        else watched.complaints.push(`${message.type()}: ${message.text()}`);
      });
      page.on("pageerror", (error) => watched.complaints.push(`exception: ${error.message}`));
      page.context().on("request", (request) => asked(request.url()));
      page.on("websocket", (socket) => asked(socket.url()));
      await page.addInitScript(() => {
        document.addEventListener("securitypolicyviolation", (event) => {
          console.error(`policy violation: ${event.violatedDirective} ${event.blockedURI}`);
        });
      });
    },

    /** Runs `body`, in which console errors that match are expected, and at least one of them. */
    async tolerating(pattern, body) {
      const rule = { pattern, met: 0 };
      tolerated.push(rule);
      try {
        await body();
      } finally {
        tolerated.splice(tolerated.indexOf(rule), 1);
      }
      if (rule.met === 0) throw new Error(`expected a console error that matches ${pattern}, met none`);
    },
  };
  function asked(url) {
    watched.requests += 1;
    const { protocol, host: other } = new URL(url);
    if (protocol !== "blob:" && other !== host) watched.complaints.push(`request to ${url}`);
  }
  return watched;
}
