// The preferences of a group with what each did to an answer: diverging bars, a tick to keep it.

import { field, fill, h } from "../dom.js";

const STEP = 50; // as many are listed at a time

/**
 * `{ element, dropped(), reset() }`; `dropped()` is a Set of indices.
 *
 * `entries` are `{ index, label, detail, influence, strength }`, the strongest first; `influence`
 * is null where the group was not explained. `options` are those of the question, `top` the one
 * whose influences are shown at first. `changed()` is called when a tick changes.
 */
export function influenceList({ entries, options, top, changed }) {
  const dropped = new Set();
  const explained = entries.some((entry) => entry.influence);
  let shown = STEP;
  const list = h("ul", { class: "influences" });
  const more = h("button", { type: "button" });
  const option = h(
    "select",
    { value: String(options.indexOf(top)), on: { change: draw } },
    options.map((text, at) => h("option", { value: String(at) }, text)),
  );
  more.addEventListener("click", () => {
    const first = shown;
    shown += STEP;
    draw();
    list.children[first]?.querySelector("input").focus();
  });

  function draw() {
    const at = Number(option.value);
    const largest = Math.max(...entries.map((entry) => Math.abs(entry.influence?.[at] ?? 0)), 1e-9);
    fill(list, entries.slice(0, shown).map((entry) => row(entry, at, largest)));
    const left = entries.length - shown;
    more.hidden = left <= 0;
    more.textContent = `Show ${Math.min(STEP, left)} more of ${left}`;
  }

  function row(entry, at, largest) {
    const tick = h("input", { type: "checkbox", checked: !dropped.has(entry.index) });
    const element = h(
      "li",
      { class: "influence" },
      h(
        "label",
        { class: "choice" },
        tick,
        h("span", {}, h("span", { class: "influence-label" }, entry.label), h("span", { class: "influence-detail" }, entry.detail)),
      ),
      entry.influence && diverging(entry.influence[at], largest),
    );
    const mark = () => element.classList.toggle("is-dropped", dropped.has(entry.index));
    tick.addEventListener("change", () => {
      if (tick.checked) dropped.delete(entry.index);
      else dropped.add(entry.index);
      mark();
      changed();
    });
    mark();
    return element;
  }

  draw();
  return {
    element: h(
      "div",
      { class: "stack" },
      explained && h("div", { class: "influence-option" }, field("What each did to the share of", option)),
      list,
      h("div", { class: "actions" }, more),
    ),
    dropped: () => new Set(dropped),
    reset() {
      dropped.clear();
      draw();
    },
  };
}

/** A bar from the middle: to the right for more, to the left for less; the points as text. */
function diverging(change, largest) {
  const part = `${((Math.abs(change) / largest) * 50).toFixed(2)}%`;
  return h(
    "span",
    { class: "diverging" },
    h("span", { class: change < 0 ? "lean is-less" : "lean", "aria-hidden": "true" }, h("span", { class: "lean-fill", style: { "--part": part } })),
    h("span", { class: "diverging-value" }, points(change)),
  );
}

/** 0.032 as "+3.2 points". */
export function points(change) {
  const value = Math.abs(change * 100).toFixed(1);
  const sign = value === "0.0" ? "" : change < 0 ? "−" : "+";
  return `${sign}${value} points`;
}
