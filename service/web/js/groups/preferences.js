// The list of a group's preferences: each folded to a line, opened to a form.

import { fill, h } from "../dom.js";
import { shareForm } from "./share_form.js";
import { comparisonForm, ratingForm } from "./text_forms.js";

/** The kinds: `title`, the `form` of one, an `empty` one, and how one is told in a line. */
export const KINDS = {
  share: {
    title: "Survey question",
    form: shareForm,
    empty: { question: "", options: ["", ""], distribution: [0.5, 0.5] },
    pairs: (p) => p.options.length,
    text: (p) => p.question,
    figure: (p) => topOf(p),
  },
  rating: {
    title: "Rated answer",
    form: ratingForm,
    empty: { prompt: "", response: "", score: 0.5 },
    pairs: () => 1,
    text: (p) => p.response,
    figure: (p) => `${Math.round(p.score * 100)} % approve`,
  },
  comparison: {
    title: "Comparison",
    form: comparisonForm,
    empty: { prompt: "", chosen: "", rejected: "" },
    pairs: () => 2,
    text: (p) => p.prompt,
    figure: (p) => (p.chosen ? `prefers “${p.chosen}”` : ""),
  },
};

/** Which of the three kinds a preference is. */
export function kindOf(preference) {
  if ("options" in preference) return "share";
  return "response" in preference ? "rating" : "comparison";
}

/** How many (prompt, response) pairs these put into the context. */
export function pairsIn(preferences) {
  return preferences.reduce((sum, p) => sum + KINDS[kindOf(p)].pairs(p), 0);
}

/**
 * `{ element, value(), marker() }` for a list of preferences. `marker` takes away what was said of
 * them and gives a function of `errors`, as in a problem, for the preferences as they are now: it
 * opens those that the service refused, and says what is wrong beside each.
 */
export function preferenceList(preferences, { changed, announce }) {
  let items = [];
  const list = h("ol", { class: "preferences" });
  const empty = h("p", { class: "hint" }, "None yet: the service would answer as for people in general.");

  /** The form is made when it is first opened: a group may have two thousand. */
  function item(preference, open) {
    const kind = KINDS[kindOf(preference)];
    let form = null;
    const text = h("span", { class: "preference-text" });
    const figure = h("span", { class: "preference-figure" });
    const fault = h("div", { class: "preference-fault" });
    const remove = h("button", { type: "button", class: "quiet danger" }, "Remove this preference");
    const body = h("div", { class: "preference-body stack" }, fault, h("div", {}, remove));
    const details = h(
      "details",
      { class: "preference", on: { toggle: () => details.open && build() } },
      h("summary", {}, h("span", { class: "badge" }, kind.title), text, figure),
      body,
    );
    const element = h("li", {}, details);
    const value = () => (form === null ? preference : form.value());

    function build() {
      if (form !== null) return;
      form = kind.form(preference, { changed: update, announce });
      fault.after(form.element);
    }

    function label() {
      const now = value();
      text.textContent = kind.text(now) || "(empty)";
      figure.textContent = kind.figure(now);
    }

    function update() {
      label();
      changed();
    }

    remove.addEventListener("click", () => {
      const at = items.findIndex((one) => one.element === element);
      items.splice(at, 1);
      draw();
      changed();
      announce("Preference removed.");
      const next = items[Math.min(at, items.length - 1)];
      (next?.element.querySelector("summary") ?? adders.firstChild).focus();
    });
    label();
    if (open) {
      details.open = true;
      build(); // `toggle` comes later
    }
    return { element, details, fault, value };
  }

  function draw() {
    fill(list, items.map((one) => one.element));
    empty.hidden = items.length > 0;
  }

  function add(kind) {
    const one = item(structuredClone(KINDS[kind].empty), true);
    items.push(one);
    draw();
    changed();
    one.element.querySelector("textarea").focus();
  }

  const adders = h(
    "div",
    { class: "actions" },
    Object.entries(KINDS).map(([kind, { title }]) =>
      h("button", { type: "button", on: { click: () => add(kind) } }, `Add: ${title.toLowerCase()}`),
    ),
  );
  items = preferences.map((preference) => item(preference, false));
  draw();
  return {
    element: h("div", { class: "stack" }, empty, list, adders),
    value: () => items.map((one) => one.value()),
    marker() {
      const sent = [...items];
      for (const one of sent) fill(one.fault);
      return (errors) => {
        for (const { pointer, detail } of errors) {
          const found = /^\/preferences\/(\d+)/.exec(pointer);
          const one = found && sent[Number(found[1])];
          if (!one) continue;
          one.details.open = true;
          one.fault.append(h("p", { class: "notice bad" }, detail));
        }
      };
    },
  };
}

function topOf({ options, distribution, counts }) {
  const weights = counts ?? distribution;
  const sum = weights.reduce((a, b) => a + b, 0);
  const best = weights.indexOf(Math.max(...weights));
  return sum > 0 ? `${options[best]} ${Math.round((weights[best] / sum) * 100)} %` : "";
}
