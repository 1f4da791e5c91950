// Import of a file of groups: sent in parts where that can be done, with what was refused and where.

import { ApiError } from "../api.js";
import { run } from "../busy.js";
import { field, fill, h } from "../dom.js";

const LINES = 500; // of a part, as `gpo groups import` sends them
const CHARACTERS = 2_000_000; // of a part; the service takes 8 MB unless set otherwise
const COUNTS = ["created", "updated", "unchanged", "skipped", "refused"];
const SHOWN = 100; // more refused rows than that are told by their number

/** A folded panel with the import; `imported()` is called when groups may have changed. */
export function importPanel(app, { imported }) {
  const file = h("input", { type: "file", accept: ".jsonl,.ndjson,.csv" });
  const conflict = h(
    "select",
    { value: "update" },
    h("option", { value: "update" }, "Update it"),
    h("option", { value: "skip" }, "Leave it as it is"),
    h("option", { value: "fail" }, "Refuse the row"),
  );
  const dryRun = h("input", { type: "checkbox" });
  const button = h("button", { class: "main" }, "Import");
  const status = h("div");
  const result = h("div", { class: "stack" });

  async function submit(event) {
    event.preventDefault();
    const chosen = file.files[0];
    if (!chosen) {
      file.focus();
      return fill(status, h("p", { class: "notice bad", role: "alert" }, "Choose a file first: JSON Lines or CSV."));
    }
    fill(result);
    const total = emptyTotal();
    await run(app, { host: status, button, label: `Importing ${chosen.name}` }, async (signal) => {
      try {
        await sendAll(chosen, total, signal);
      } finally {
        if (total.sent) fill(result, report(total, dryRun.checked));
        if (!dryRun.checked && total.sent) await imported();
      }
    });
    if (total.sent) app.announce(summary(total, dryRun.checked));
  }

  async function sendAll(chosen, total, signal) {
    const isCsv = chosen.name.toLowerCase().endsWith(".csv");
    const parts = isCsv ? [{ content: chosen, from: 0, lines: null }] : linesIn(await textOf(chosen));
    const all = parts.reduce((sum, part) => sum + part.lines, 0);
    const bar = h("progress", { max: all || null, value: isCsv ? null : 0, "aria-label": "Lines imported" });
    if (parts.length > 1) fill(result, bar);
    const query = new URLSearchParams({ on_conflict: conflict.value, dry_run: String(dryRun.checked) });
    for (const part of parts) {
      const response = await app.api.send("POST", `groups/import?${query}`, {
        headers: { "Content-Type": isCsv ? "text/csv" : "application/x-ndjson" },
        body: part.content,
        signal,
      });
      add(total, await response.json(), part.from);
      bar.value = part.from + part.lines;
    }
  }

  return h(
    "details",
    { class: "card panel" },
    h("summary", {}, "Import a file"),
    h(
      "form",
      { class: "stack", on: { submit } },
      field("File", file, { hint: "JSON Lines (a group on each line) or CSV (a row for each option), at most 8 MB of CSV." }),
      field("A group that exists with other content", conflict),
      h("label", { class: "choice" }, dryRun, "Only check it, write nothing"),
      h("div", {}, button),
      status,
      result,
    ),
  );
}

/** The file's text. Throws ApiError if it is not UTF-8: `text()` would replace what it cannot read. */
async function textOf(chosen) {
  const bytes = await chosen.arrayBuffer();
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new ApiError(0, { detail: `${chosen.name} is not UTF-8, so nothing was imported. Save it as UTF-8 and import it again.` });
  }
}

/** Parts of whole lines, each with the number of lines before it. */
function linesIn(text) {
  const lines = text.split("\n");
  if (lines.at(-1) === "") lines.pop();
  const parts = [];
  let from = 0;
  do {
    let to = from;
    let size = 0;
    while (to < lines.length && to - from < LINES && (to === from || size + lines[to].length < CHARACTERS)) {
      size += lines[to].length;
      to += 1;
    }
    const some = lines.slice(from, to);
    // A part without a group would be an error, and says nothing; the whole file may be one.
    if (!parts.length || some.some((line) => line.trim())) {
      parts.push({ content: some.join("\n") + "\n", from, lines: some.length });
    }
    from = to;
  } while (from < lines.length);
  return parts;
}

function emptyTotal() {
  return { ...Object.fromEntries(COUNTS.map((name) => [name, 0])), faults: [], sent: false };
}

function add(total, answer, before) {
  total.sent = true;
  for (const name of COUNTS) total[name] += answer[name];
  for (const { id, errors } of answer.results.filter((one) => one.status === "refused")) {
    for (const error of errors) total.faults.push({ ...error, id, line: error.line + before });
  }
}

function summary(total, checked) {
  const some = COUNTS.filter((name) => total[name]).map((name) => `${total[name]} ${name}`);
  return `${checked ? "Checked, nothing written: " : ""}${some.join(", ") || "no groups"}.`;
}

/** Where in its line, if that is known. */
function placeOf({ column, pointer }) {
  if (column) return ` column ${column}`;
  return pointer ? ` ${pointer}` : "";
}

function report(total, checked) {
  const kind = total.refused ? "bad" : "good";
  return [
    h("p", { class: `notice ${kind}` }, summary(total, checked)),
    total.faults.length > 0 &&
      h(
        "ul",
        { class: "faults" },
        total.faults.slice(0, SHOWN).map((fault) =>
          h(
            "li",
            {},
            h("strong", {}, `Line ${fault.line}`),
            `${placeOf(fault)}: ${fault.detail}`,
          ),
        ),
        total.faults.length > SHOWN && h("li", {}, `and ${total.faults.length - SHOWN} more`),
      ),
  ];
}
