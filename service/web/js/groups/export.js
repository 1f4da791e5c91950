// Export of all groups into a file.

import { addressOf } from "../api.js";
import { run } from "../busy.js";
import { h } from "../dom.js";

/** Buttons for both formats. */
export function exportButtons(app) {
  const status = h("div");
  const button = (format, label) => {
    const element = h("button", { type: "button", class: "quiet" }, label);
    element.addEventListener("click", () =>
      run(app, { host: status, button: element, label: "Exporting" }, (signal) => save(app, format, signal)),
    );
    return element;
  };
  return h(
    "div",
    { class: "export" },
    h("span", { class: "soft" }, "Export all:"),
    button("jsonl", "JSON Lines"),
    button("csv", "CSV"),
    status,
  );
}

async function save(app, format, signal) {
  const path = `groups/export?format=${format}`;
  // Without a key the browser writes it to the disk as it comes; a link cannot send a key.
  if (!app.api.key) return download(addressOf(path), format);
  const response = await app.api.send("GET", path, { signal });
  const address = URL.createObjectURL(await response.blob());
  download(address, format);
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

function download(address, format) {
  h("a", { href: address, download: `groups.${format}` }).click();
}
