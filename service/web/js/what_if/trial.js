// One answer of one group, taken apart: why it is so, and what changes would make of it.

import { shareBars } from "../bars.js";
import { problemNotice, run } from "../busy.js";
import { copyButtons } from "../copy.js";
import { field, fill, h } from "../dom.js";
import { additions } from "./additions.js";
import { influenceList, points } from "./influences.js";
import { detailOf, labelOf } from "./labels.js";

const WAIT_MS = 300; // until a change is asked for: several ticks are one question

/**
 * The element for a group with its `preferences` and its `prediction`, explained or, with a
 * `notice` that says why not, without an explanation.
 */
export function trial(app, { group, prediction, notice = null }) {
  const { question, options } = prediction;
  let changedTo = null; // the prediction after the changes
  let waiting = 0;
  let stopper = null;
  const figure = h("div");
  const verdict = h("p", { class: "verdict" });
  const status = h("div");
  const reset = h("button", { type: "button", on: { click: startAgain } }, "Start again");
  const list = influenceList({
    entries: entriesOf(group.preferences, prediction.explanation),
    options,
    top: prediction.top,
    changed: later,
  });
  const more = additions({ changed: later, announce: app.announce });

  const counts = () => ({ dropped: list.dropped().size, added: more.value().length });
  const isChanged = () => counts().dropped + counts().added > 0;
  const preferences = () => [...group.preferences.filter((_, at) => !list.dropped().has(at)), ...more.value()];
  const body = () => ({ preferences: preferences(), question, options });

  function later() {
    clearTimeout(waiting);
    stopper?.abort();
    if (!isChanged()) {
      changedTo = null;
      fill(status);
      return draw();
    }
    draw({ isOld: true });
    waiting = setTimeout(ask, WAIT_MS);
  }

  async function ask() {
    const mine = (stopper = new AbortController());
    try {
      const answer = await app.api.post("predict", body(), { signal: mine.signal });
      changedTo = answer.predictions[0];
      fill(status);
      draw();
      if (figure.isConnected) app.announce(verdict.textContent); // else another answer took its place
    } catch (error) {
      if (error.name === "AbortError") return;
      changedTo = null;
      draw();
      fill(status, problemNotice(error, app));
    }
  }

  function startAgain() {
    list.reset();
    more.reset();
    later();
    app.announce("As registered.");
  }

  function draw({ isOld = false } = {}) {
    const series = [
      { name: "As registered", colour: 0, shares: prediction.distribution, intervals: prediction.interval },
      changedTo && { name: "With the changes", colour: 1, shares: changedTo.distribution, intervals: changedTo.interval },
      prediction.prior && { name: "Without any", colour: 2, shares: prediction.prior },
    ].filter(Boolean);
    fill(figure, shareBars({ options, series }));
    figure.classList.toggle("is-old", isOld);
    fill(verdict, said());
    reset.hidden = !isChanged();
    keeper.hidden = !isChanged();
  }

  /** What the changes do, in a sentence. */
  function said() {
    if (!isChanged()) return "Take a preference out, or add one: the prediction moves.";
    const { dropped, added } = counts();
    const parts = [dropped && `Without ${dropped} of ${group.preferences.length} preferences`, added && `${dropped ? "with" : "With"} ${added} more`];
    const head = parts.filter(Boolean).join(" and ");
    if (!changedTo) return `${head} …`;
    const moves = options.map((option, at) => `${option} ${points(changedTo.distribution[at] - prediction.distribution[at])}`);
    return `${head}: ${moves.join(", ")}.`;
  }

  function copied() {
    const whole = { group_id: group.id, question, options, explain: true };
    return { method: "POST", path: "predict", body: isChanged() ? body() : whole };
  }

  const keeper = saveForm(app, { proposed: `${group.name}, changed`, preferences });
  draw();
  return h(
    "div",
    { class: "stack" },
    h(
      "article",
      { class: "card stack prediction" },
      h("h2", {}, question),
      figure,
      h("p", { class: "hint" }, "Bar: the expected share. Line: its central 90\u00a0% interval. “Without any” is what is expected of people of whom nothing is known."),
      h("div", { class: "actions" }, copyButtons(app, copied)),
    ),
    // Stays in sight while the list below is scrolled.
    h("div", { class: "moves" }, verdict, h("div", { class: "actions" }, reset, status)),
    keeper,
    h(
      "section",
      { class: "card stack", "aria-labelledby": "carried" },
      h("h2", { id: "carried" }, `What carries the answer of ${group.name}`),
      notice,
      h("p", { class: "hint" }, hintOf(group, prediction)),
      more.element,
      list.element,
    ),
  );
}

function hintOf(group, prediction) {
  if (!group.preferences.length) return "This group has no preferences: it is answered as people in general are.";
  const measured = prediction.explanation ? " A bar tells what the prediction gains by it, against the same group without it." : "";
  return `Every tick is a preference that counts.${measured}`;
}

/** The preferences, the strongest first; in their order where the group is not explained. */
function entriesOf(preferences, explanation) {
  const order = explanation ?? preferences.map((_, index) => ({ index, influence: null }));
  return order.map(({ index, influence }) => ({
    index,
    influence,
    label: labelOf(preferences[index]),
    detail: detailOf(preferences[index]),
  }));
}

/** A group of its own out of what was tried: `preferences()` as they are by then, under a `proposed` name. */
function saveForm(app, { proposed, preferences }) {
  const name = h("input", { required: true, autocomplete: "off", value: proposed });
  const button = h("button", { type: "button" }, "Save");
  const status = h("div");
  const element = h(
    "details",
    { class: "card panel" },
    h("summary", {}, "Save as a new group"),
    h("div", { class: "stack panel-body" }, field("Name", name), h("div", { class: "actions" }, button), status),
  );
  button.addEventListener("click", async () => {
    const asked = { name: name.value.trim() || proposed, preferences: preferences() };
    const saved = await run(app, { host: status, button, label: "Saving" }, (signal) =>
      app.api.post("groups", asked, { signal }),
    );
    if (!saved) return;
    app.groups.put(saved);
    const link = h("a", { href: `#groups?id=${encodeURIComponent(saved.id)}` }, saved.name);
    fill(status, h("p", { class: "notice good", role: "status" }, h("span", {}, "Saved as ", link, ".")));
  });
  return element;
}
