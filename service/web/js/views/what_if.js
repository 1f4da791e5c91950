// The view What if: which of a group's preferences carry an answer, and what others would make of it.

import { onlyNews } from "../address.js";
import { run } from "../busy.js";
import { fill, h } from "../dom.js";
import { groupPicker } from "../group_picker.js";
import { questionForm } from "../question_form.js";
import { trial } from "../what_if/trial.js";

export function mount(root, app) {
  const picker = groupPicker(app, { most: 1, legend: "Whose answer" });
  const question = questionForm();
  const button = h("button", { class: "main" }, "Explain");
  const status = h("div");
  const result = h("div", {}, placeholder());

  function missing() {
    if (!picker.ids().length) return "Choose a group.";
    return question.missing();
  }

  async function submit(event) {
    event.preventDefault();
    const said = missing();
    if (said) return fill(status, h("p", { class: "notice bad", role: "alert" }, said));
    const [id] = picker.ids();
    const asked = question.asked();
    await run(app, { host: status, button, label: "Leaving out each preference in turn" }, async (signal) => {
      const found = await explained(id, asked, signal);
      fill(result, trial(app, found));
      app.announce(`${found.group.name}: ${found.prediction.top}.`);
    });
  }

  /** The group and its prediction of one version: in another, an index names another preference. */
  async function explained(id, asked, signal) {
    for (;;) {
      const [group, answer] = await Promise.all([
        app.api.get(`groups/${encodeURIComponent(id)}?include=preferences`, { signal }),
        explain(id, asked, signal),
      ]);
      if (group.version !== answer.prediction.group_version) continue; // it was changed in between
      return { group: { ...group, preferences: group.preferences ?? [] }, ...answer };
    }
  }

  /** The prediction with its explanation; for a group that is too large, without, and why. */
  async function explain(id, asked, signal) {
    const body = { group_id: id, ...asked };
    const ask = async (more) => (await app.api.post("predict", { ...body, ...more }, { signal })).predictions[0];
    if (fits(app.groups.get(id), app.limits)) {
      return { prediction: await ask({ explain: true }) };
    }
    const most = `${app.limits.explained} preferences and ${app.limits.explained_tokens} texts`;
    const said = `This group is too large to leave out each preference in turn: this service explains up to ${most}. They can still be taken out by hand.`;
    return { prediction: await ask({}), notice: h("p", { class: "notice" }, said) };
  }

  const form = h(
    "form",
    { class: "card stack", novalidate: true, on: { submit } },
    picker.element,
    question.elements,
    h("div", { class: "actions" }, button),
    status,
  );

  root.append(
    h(
      "div",
      { class: "view-head" },
      h(
        "div",
        {},
        h("h1", {}, "What if"),
        h("p", {}, "Which of its preferences carry a group's answer, and how the answer moves when one is taken out or added."),
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

/** Whether the service explains a group of this size; unknown caps are left to the service. */
function fits(group, limits) {
  if (!group || !limits) return true;
  return group.preference_count <= limits.explained && group.context_tokens <= limits.explained_tokens;
}

function placeholder() {
  return h("div", { class: "card soft" }, h("p", {}, "The prediction comes here, with what each preference did to it."));
}
