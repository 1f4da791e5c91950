// The fields of a question with its options, for the views that ask a group one.

import { field, h } from "./dom.js";

/**
 * `{ elements, asked(), missing(), take(params) }`: `asked` is the question as a body holds it,
 * `missing` what keeps it from being sent, as a sentence or null; `take` fills in what an address
 * says.
 */
export function questionForm() {
  const question = h("textarea", { rows: 3, required: true });
  const options = h("textarea", { rows: 4, required: true });

  const asked = () => ({
    question: question.value.trim(),
    options: options.value.split("\n").map((line) => line.trim()).filter(Boolean),
  });

  function missing() {
    const { question: text, options: list } = asked();
    if (!text) return "Write a question.";
    if (list.length < 2) return "Give at least two options, one on each line.";
    const twice = list.find((option, at) => list.indexOf(option) !== at);
    return twice === undefined ? null : `The option “${twice}” is there twice.`;
  }

  function take(params) {
    if (params.has("question")) question.value = params.get("question");
    if (params.has("options")) options.value = params.get("options");
  }

  const elements = [field("Question", question), field("Options, one on each line", options)];
  return { elements, asked, missing, take };
}
