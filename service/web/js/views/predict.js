// The view Predict: a question with options, and how one or several groups would answer it.

import { onlyNews } from "../address.js";
import { run } from "../busy.js";
import { SERIES } from "../bars.js";
import { copyButtons } from "../copy.js";
import { fill, h } from "../dom.js";
import { groupPicker } from "../group_picker.js";
import { predictionCard } from "../predict/prediction.js";
import { questionForm } from "../question_form.js";

export function mount(root, app) {
  const picker = groupPicker(app, { most: SERIES - 1, legend: "Whose answer" });
  const general = h("input", { type: "checkbox" });
  const question = questionForm();
  const button = h("button", { class: "main" }, "Predict");
  const status = h("div");
  const result = h("div", {}, placeholder());

  /** The body for the chosen groups; for people in general if none is. */
  function body() {
    const ids = picker.ids();
    return { ...(ids.length ? { group_ids: ids } : { preferences: [] }), ...question.asked() };
  }

  /** What is missing, as a sentence, or null. */
  function missing() {
    if (!picker.ids().length && !general.checked) return "Choose a group, or people in general.";
    return question.missing();
  }

  async function submit(event) {
    event.preventDefault();
    const said = missing();
    if (said) return fill(status, h("p", { class: "notice bad", role: "alert" }, said));
    const withGroups = picker.ids().length > 0;
    await run(app, { host: status, button, label: "Predicting" }, async (signal) => {
      const ask = (sent) => app.api.post("predict", sent, { signal });
      const answers = await Promise.all([
        ask(body()),
        withGroups && general.checked ? ask({ preferences: [], ...question.asked() }) : null,
      ]);
      const card = predictionCard(app, answers.filter(Boolean));
      fill(result, card.element);
      app.announce(card.summary);
    });
  }

  const form = h(
    "form",
    { class: "card stack", novalidate: true, on: { submit } },
    picker.element,
    h("label", { class: "choice" }, general, "People in general, of whom nothing is known"),
    question.elements,
    h("div", { class: "actions" }, button, copyButtons(app, () => (missing() ? null : { method: "POST", path: "predict", body: body() }))),
    status,
  );

  root.append(
    h(
      "div",
      { class: "view-head" },
      h(
        "div",
        {},
        h("h1", {}, "Predict"),
        h("p", {}, "How each group would split over the options of a question that nobody asked it."),
      ),
    ),
    h("div", { class: "two" }, form, result),
  );

  const news = onlyNews();
  return {
    shown(address) {
      const params = news(address);
      if (params.has("groups")) picker.choose(params.get("groups").split(",").filter(Boolean));
      question.take(params);
      picker.draw();
    },
  };
}

function placeholder() {
  return h("div", { class: "card soft" }, h("p", {}, "The prediction comes here: a bar for each option and group, with its 90 % interval."));
}
