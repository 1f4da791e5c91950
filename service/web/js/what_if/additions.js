// Preferences that are tried out: a form for one more, and those that were added.

import { field, fill, h } from "../dom.js";
import { KINDS } from "../groups/preferences.js";
import { detailOf, labelOf } from "./labels.js";

// What one begins with here, where that is not what the editor begins with.
const FIRST = { share: { options: ["Yes", "No"] }, rating: { score: 0.9 } };

/** `{ element, value(), reset() }`; `changed()` is called when one was added or taken out. */
export function additions({ changed, announce }) {
  let added = [];
  let form = null;
  const list = h("ul", { class: "influences" });
  const place = h("div");
  const status = h("div");
  const kind = h(
    "select",
    { on: { change: begin } },
    Object.entries(KINDS).map(([value, { title }]) => h("option", { value }, title)),
  );
  const panel = h(
    "details",
    { class: "more" },
    h("summary", {}, "Add a preference"),
    h(
      "div",
      { class: "stack" },
      field("Kind", kind),
      place,
      status,
      h("div", { class: "actions" }, h("button", { type: "button", on: { click: add } }, "Try it out")),
    ),
  );

  function begin() {
    const { form: make, empty } = KINDS[kind.value];
    form = make(structuredClone({ ...empty, ...FIRST[kind.value] }), { changed() {}, announce });
    fill(place, form.element);
    fill(status);
  }

  function add() {
    const preference = form.value();
    const said = missing(preference);
    if (said) return fill(status, h("p", { class: "notice bad", role: "alert" }, said));
    added.push(preference);
    begin();
    draw();
    changed();
  }

  function draw() {
    fill(list, added.map(row));
    list.hidden = !added.length;
  }

  function row(preference) {
    const remove = h("button", { type: "button", class: "quiet", "aria-label": `Take out ${labelOf(preference)}` }, "Take out");
    remove.addEventListener("click", () => {
      added = added.filter((one) => one !== preference);
      draw();
      changed();
      panel.querySelector("summary").focus();
    });
    return h(
      "li",
      { class: "influence is-added" },
      h("span", {}, h("span", { class: "influence-label" }, labelOf(preference)), h("span", { class: "influence-detail" }, detailOf(preference))),
      remove,
    );
  }

  begin();
  draw();
  return {
    element: h("div", { class: "stack" }, list, panel),
    value: () => [...added],
    reset() {
      added = [];
      draw();
    },
  };
}

/** What is not filled in, as a sentence; what else is wrong the service says. */
function missing(preference) {
  const texts = Object.entries(preference).flatMap(([name, value]) =>
    (Array.isArray(value) ? value : [value]).filter((one) => typeof one === "string").map((one) => [name, one]),
  );
  const blank = texts.find(([, text]) => !text.trim());
  return blank ? `Fill in the ${blank[0] === "options" ? "options" : blank[0]}.` : null;
}
