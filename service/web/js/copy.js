// "Copy as curl / Python": the request that the page sends, for a shell or a program.
// The API key is never copied; the text names a variable that holds it.

import { addressOf } from "./api.js";
import { field, h } from "./dom.js";

/**
 * Two buttons. `request()` gives `{ method, path, body }` when one is clicked, or null if there is
 * none yet; with `stream: true` in the body the texts read the events as they come.
 */
export function copyButtons(app, request) {
  const button = (name, write) =>
    h("button", { type: "button", class: "quiet", on: { click: (e) => copy(e, write) } }, name);

  async function copy(event, write) {
    const asked = request();
    if (!asked) return app.announce("There is no request to copy yet.");
    const text = write(asked, { hasKey: app.api.key !== "" });
    await put(text, event.currentTarget, app);
  }

  return h("div", { class: "copy" }, button("Copy as curl", asCurl), button("Copy as Python", asPython));
}

/** A shell command; `$GPO_API_KEY` stands for the key. */
export function asCurl({ method, path, body }, { hasKey = false } = {}) {
  const parts = [`curl -sS${body?.stream ? "N" : ""} -X ${method} ${quoted(addressOf(path))}`];
  if (hasKey) parts.push(`-H "Authorization: Bearer $GPO_API_KEY"`);
  if (body !== undefined) {
    parts.push("-H 'Content-Type: application/json'");
    parts.push(`-d ${quoted(JSON.stringify(body, null, 2))}`);
  }
  return parts.join(" \\\n  ") + "\n";
}

/** A program that needs httpx alone; the environment's GPO_API_KEY is the key. */
export function asPython({ method, path, body }, { hasKey = false } = {}) {
  const lines = hasKey ? ["import os", ""] : [];
  lines.push("import httpx", "");
  const named = [`    ${JSON.stringify(method)},`, `    ${JSON.stringify(addressOf(path))},`];
  if (hasKey) named.push('    headers={"Authorization": f"Bearer {os.environ[\'GPO_API_KEY\']}"},');
  if (body !== undefined) named.push(`    json=${literal(body, "    ")},`);
  named.push("    timeout=120,");
  if (body?.stream) {
    lines.push("with httpx.stream(", ...named, ") as response:", "    for line in response.iter_lines():");
    lines.push("        print(line)");
  } else {
    lines.push("response = httpx.request(", ...named, ")", "response.raise_for_status()");
    lines.push(method === "DELETE" ? "" : "print(response.json())");
  }
  return lines.join("\n").trimEnd() + "\n";
}

const quoted = (text) => `'${text.replaceAll("'", `'\\''`)}'`;

/** JSON as Python writes it. JSON's strings are Python's, too. */
function literal(value, indent) {
  const inner = `${indent}    `;
  if (value === null || Number.isNaN(value)) return "None"; // JSON writes both as null
  if (value === true) return "True";
  if (value === false) return "False";
  if (typeof value !== "object") return JSON.stringify(value);
  const isList = Array.isArray(value);
  const entries = isList
    ? value.map((item) => literal(item, inner))
    : Object.entries(value).map(([key, item]) => `${JSON.stringify(key)}: ${literal(item, inner)}`);
  const [open, close] = isList ? "[]" : "{}";
  if (!entries.length) return open + close;
  const line = open + entries.join(", ") + close;
  if (line.length < 80 && !line.includes("\n")) return line;
  return `${open}\n${entries.map((entry) => inner + entry).join(",\n")},\n${indent}${close}`;
}

async function put(text, button, app) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    show(text); // no clipboard, as on a page that did not come over HTTPS
    return;
  }
  const name = button.dataset.name ?? button.textContent;
  button.dataset.name = name;
  button.textContent = "Copied";
  app.announce("Copied.");
  setTimeout(() => (button.textContent = name), 1500);
}

function show(text) {
  const area = h("textarea", { readonly: true, rows: 14, class: "code", value: text });
  const dialog = h("dialog", { "aria-label": "The request" });
  const close = h("button", { on: { click: () => dialog.close() } }, "Close");
  dialog.append(
    field("Copy it from here", area),
    h("div", { class: "actions" }, close),
  );
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  area.select();
}
