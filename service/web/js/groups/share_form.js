// The form of a survey question: its options with the share of the group for each, or the counts.

import { field, fill, h, newId } from "../dom.js";
import { WHOLE, apportion, asPercent, rescale } from "./shares.js";

/**
 * `{ element, value() }` for a preference with options. What was not touched comes back as it came:
 * shares of more digits than the sliders show are not rounded by looking at them.
 */
export function shareForm(preference, { changed, announce }) {
  let options = [...preference.options];
  let counts = preference.counts ? [...preference.counts] : null;
  let parts = apportion(preference.counts ?? preference.distribution);
  let touched = false;
  let anchor = null; // the shares before the option that is being moved was
  const question = h("textarea", { rows: 2, value: preference.question });
  const rows = h("div", { class: "options" });
  const unit = h("div", { class: "unit" });
  const name = newId("unit");

  function edited() {
    touched = true;
    changed();
  }

  function draw() {
    anchor = null;
    fill(rows, options.map(row));
    fill(
      unit,
      choice("Shares", counts === null, () => (counts = null)),
      choice("Counts of people", counts !== null, () => (counts ??= parts.map((part) => Math.round(part / 10)))),
    );
  }

  function choice(label, checked, choose) {
    const control = h("input", { type: "radio", name, checked, on: { change: pick } });
    function pick() {
      if (counts !== null) parts = apportion(counts);
      choose();
      edited();
      draw();
      [...unit.querySelectorAll("input")].find((input) => input.checked)?.focus();
    }
    return h("label", { class: "choice" }, control, label);
  }

  function row(text, at) {
    const label = h("input", { value: text, "aria-label": `Option ${at + 1}` });
    label.addEventListener("input", () => {
      options[at] = label.value;
      edited();
    });
    return h(
      "div",
      { class: "option", role: "group", "aria-label": `Option ${at + 1}` },
      label,
      counts === null ? sliderOf(at) : countOf(at),
      h(
        "button",
        {
          type: "button",
          class: "quiet danger",
          hidden: options.length < 3,
          "aria-label": `Remove option ${at + 1}`,
          on: { click: () => remove(at) },
        },
        "Remove",
      ),
    );
  }

  function sliderOf(at) {
    const spoken = `Share of option ${at + 1}, in percent`;
    const slider = h("input", { type: "range", min: 0, max: WHOLE, step: 10, "aria-label": spoken, value: parts[at] });
    const number = h("input", {
      type: "number",
      min: 0,
      max: 100,
      step: "any",
      inputmode: "decimal",
      "aria-label": spoken,
      value: asPercent(parts[at]),
    });
    slider.setAttribute("aria-valuetext", `${asPercent(parts[at])} %`);
    // While it is dragged the others move along; the row itself must not be drawn anew.
    slider.addEventListener("input", () => move(at, Number(slider.value)));
    number.addEventListener("change", () => move(at, Number(number.value) * 10));
    return h("div", { class: "share" }, slider, number, h("span", { "aria-hidden": "true" }, "%"));
  }

  function countOf(at) {
    const number = h("input", { type: "number", min: 0, step: "any", "aria-label": `People for option ${at + 1}`, value: counts[at] });
    number.addEventListener("input", () => {
      counts[at] = number.valueAsNumber;
      edited();
    });
    return h("div", { class: "share" }, number, h("span", { "aria-hidden": "true" }, "people"));
  }

  function move(at, wanted) {
    // From where the move began: rounding does not add up, and the way back gives back what was.
    if (anchor?.at !== at) anchor = { at, parts: [...parts] };
    parts = rescale(anchor.parts, at, Number.isFinite(wanted) ? wanted : parts[at]);
    rows.querySelectorAll(".share").forEach((share, index) => {
      const [slider, number] = share.querySelectorAll("input");
      slider.value = parts[index];
      number.value = asPercent(parts[index]);
      slider.setAttribute("aria-valuetext", `${asPercent(parts[index])} %`);
    });
    edited();
  }

  function add() {
    options.push("");
    parts.push(0);
    counts?.push(0);
    edited();
    draw();
    rows.lastElementChild.querySelector("input").focus();
  }

  function remove(at) {
    options.splice(at, 1);
    parts = apportion(parts.filter((_, index) => index !== at));
    counts?.splice(at, 1);
    edited();
    draw();
    announce(`Option ${at + 1} removed; the others were rescaled.`);
    rows.children[Math.min(at, options.length - 1)].querySelector("input").focus();
  }

  question.addEventListener("input", changed);
  draw();
  return {
    element: h(
      "div",
      { class: "stack" },
      field("Question", question),
      h("div", { class: "options-head" }, h("span", { class: "label" }, "Options"), unit),
      rows,
      h("button", { type: "button", class: "quiet add", on: { click: add } }, "Add an option"),
    ),
    value() {
      const body = { question: question.value, options: [...options] };
      if (counts !== null) return { ...body, counts: [...counts] };
      const kept = !touched && preference.distribution;
      return { ...body, distribution: kept ? [...kept] : parts.map((part) => part / WHOLE) };
    },
  };
}
