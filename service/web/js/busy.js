// Work that takes a while: shows that it runs, lets it be stopped, tells why it failed.

import { fill, h } from "./dom.js";

const SHOWN_AFTER_MS = 250; // what is over sooner needs no bar

/**
 * Run `work(signal)` with a progress line in `host`, and say there what went wrong.
 *
 * `button` is the one that started it: it waits until the end, so nothing is sent twice. Returns
 * what `work` gave, or undefined if it failed or was stopped. `signal` aborts on Stop.
 */
export async function run(app, { host, button = null, label }, work) {
  // Not `disabled`, which would take the focus away from who works with the keyboard.
  if (button?.getAttribute("aria-disabled") === "true") return undefined;
  button?.setAttribute("aria-disabled", "true");
  const stopper = new AbortController();
  const seconds = h("span", { class: "seconds" });
  const line = h(
    "div",
    { class: "busy" },
    h("progress", { "aria-label": label }),
    h("span", {}, `${label} `, seconds),
    h("button", { type: "button", class: "quiet", on: { click: () => stopper.abort() } }, "Stop"),
  );
  const began = performance.now();
  const shown = setTimeout(() => {
    fill(host, line);
    app.announce(label);
  }, SHOWN_AFTER_MS);
  const clock = setInterval(() => {
    seconds.textContent = `${Math.floor((performance.now() - began) / 1000)} s`;
  }, 1000);
  fill(host);
  try {
    const result = await work(stopper.signal);
    clearTimeout(shown);
    fill(host);
    return result;
  } catch (error) {
    clearTimeout(shown);
    if (error.name === "AbortError") fill(host, h("p", { class: "notice" }, "Stopped."));
    else fill(host, problemNotice(error, app));
    return undefined;
  } finally {
    clearInterval(clock);
    button?.removeAttribute("aria-disabled");
  }
}

/** An error as a sentence that a screen reader says at once, with the way on where there is one. */
export function problemNotice(error, app) {
  const way =
    error.status === 401 &&
    h("button", { type: "button", on: { click: () => app.askForKey() } }, "Enter a key");
  const known = typeof error.status === "number";
  if (!known) console.error(error); // a fault of the page itself
  const said = known ? error.message : "The page failed at this. Reload it and try again.";
  return h("div", { class: "notice bad", role: "alert" }, h("p", {}, said), way);
}
