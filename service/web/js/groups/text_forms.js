// The forms of a rated answer and of a comparison.

import { field, h } from "../dom.js";

/** `{ element, value() }` for the share of the group that approves of an answer. */
export function ratingForm(preference, { changed }) {
  const prompt = area(preference.prompt, changed);
  const response = area(preference.response, changed);
  const weight = weightOf(preference, changed);
  const spoken = "Share that approves, in percent";
  let score = preference.score;
  const shown = () => String(Math.round(score * 1000) / 10);
  const slider = h("input", { type: "range", min: 0, max: 100, step: 1, "aria-label": spoken, value: score * 100 });
  const number = h("input", { type: "number", min: 0, max: 100, step: "any", inputmode: "decimal", "aria-label": spoken, value: shown() });
  const tell = () => slider.setAttribute("aria-valuetext", `${shown()} %`);

  function set(percent) {
    score = Math.min(Math.max(percent, 0), 100) / 100;
    slider.value = score * 100;
    number.value = shown();
    tell();
    changed();
  }

  slider.addEventListener("input", () => set(Number(slider.value)));
  number.addEventListener("change", () => set(Number.isFinite(number.valueAsNumber) ? number.valueAsNumber : score * 100));
  tell();
  return {
    element: h(
      "div",
      { class: "stack" },
      field("Prompt", prompt),
      field("Answer", response),
      h(
        "div",
        { class: "field" },
        h("span", { class: "label" }, "Share that approves"),
        h("div", { class: "share" }, slider, number, h("span", { "aria-hidden": "true" }, "%")),
      ),
      weight.element,
    ),
    value: () => ({ prompt: prompt.value, response: response.value, score, ...weight.value() }),
  };
}

/** `{ element, value() }` for two answers of which the group prefers one. */
export function comparisonForm(preference, { changed }) {
  const prompt = area(preference.prompt, changed);
  const chosen = area(preference.chosen, changed);
  const rejected = area(preference.rejected, changed);
  const weight = weightOf(preference, changed);
  return {
    element: h(
      "div",
      { class: "stack" },
      field("Prompt", prompt),
      h("div", { class: "pair" }, field("Preferred answer", chosen), field("Rejected answer", rejected)),
      weight.element,
    ),
    value: () => ({ prompt: prompt.value, chosen: chosen.value, rejected: rejected.value, ...weight.value() }),
  };
}

function area(value, changed) {
  return h("textarea", { rows: 2, value, on: { input: changed } });
}

function weightOf(preference, changed) {
  const input = h("input", {
    type: "number",
    min: 0,
    step: "any",
    inputmode: "decimal",
    value: preference.weight ?? "",
    on: { input: changed },
  });
  return {
    element: field("Raters (optional)", input, { hint: "How many people this rests on; more of them count for more." }),
    value: () => (input.value === "" ? {} : { weight: input.valueAsNumber }),
  };
}
