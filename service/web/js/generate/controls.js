// The fields of the view Generate: what is asked, and how the candidates are drawn.

import { field, h } from "../dom.js";

const STEERINGS = {
  none: "nothing",
  description: "the group's description",
  preferences: "its strongest preferences",
};

/**
 * `{ element, prompt, body(ids), missing(ids), draw(ids) }`: `body` for the groups with these ids,
 * `missing` what keeps it from being sent, as a sentence or null.
 */
export function controls(app) {
  const prompt = h("textarea", { rows: 3, required: true });
  const n = number({ min: 1, step: 1, value: 8 });
  const temperature = number({ min: 0, max: 2, step: "any", value: 0.7, inputmode: "decimal" });
  const tokens = number({ min: 1, step: 1, value: 60 });
  const seed = number({ min: 0, step: 1, placeholder: "a new one" });
  const limit = number({ min: 0, step: "any", value: 60, inputmode: "decimal" });
  const steering = h(
    "select",
    { value: "none" },
    Object.entries(STEERINGS).map(([value, text]) => h("option", { value }, text)),
  );
  const alone = h("p", { class: "hint" }, "Only for one group at a time: several choose among the same candidates.");

  function body(ids) {
    return {
      ...(ids.length === 1 ? { group_id: ids[0] } : { group_ids: ids }),
      prompt: prompt.value.trim(),
      ...numbers({ n, temperature, max_tokens: tokens, seed, timeout_s: limit }),
      ...(ids.length === 1 && steering.value !== "none" ? { steering: steering.value } : {}),
      stream: true,
    };
  }

  function missing(ids) {
    if (!ids.length) return "Choose a group, or two to compare.";
    if (!prompt.value.trim()) return "Write a prompt.";
    return null;
  }

  function draw(ids) {
    const several = ids.length > 1;
    steering.disabled = several;
    alone.hidden = !several;
    if (app.limits) {
      n.max = app.limits.n;
      tokens.max = app.limits.max_tokens;
    }
  }

  const element = h(
    "div",
    { class: "stack" },
    field("Prompt", prompt),
    h("div", { class: "knobs" }, field("Candidates", n), field("Temperature", temperature)),
    h(
      "details",
      { class: "more" },
      h("summary", {}, "More settings"),
      h(
        "div",
        { class: "stack" },
        h("div", { class: "knobs" }, field("Most tokens of each", tokens), field("Time limit, seconds", limit)),
        field("Seed", seed, { hint: "The same seed draws the same candidates from an idle model." }),
        field("The language model is told", steering),
        alone,
      ),
    ),
  );
  return { element, prompt, body, missing, draw };
}

function number(attributes) {
  return h("input", { type: "number", inputmode: "numeric", autocomplete: "off", ...attributes });
}

/** What was filled in, by name; the service has a default for the rest, and says what is wrong. */
function numbers(fields) {
  const filled = Object.entries(fields).filter(([, input]) => input.value !== "");
  return Object.fromEntries(filled.map(([name, input]) => [name, input.valueAsNumber]));
}
