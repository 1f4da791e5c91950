// The view Generate: a prompt, the candidates as they are drawn, and which one each group chooses.

import { onlyNews } from "../address.js";
import { run } from "../busy.js";
import { copyButtons } from "../copy.js";
import { fill, h } from "../dom.js";
import { controls } from "../generate/controls.js";
import { drawing } from "../generate/drawing.js";
import { ranking } from "../generate/ranking.js";
import { groupPicker } from "../group_picker.js";

const MOST = 2; // groups that fit beside each other

export function mount(root, app) {
  const fields = controls(app);
  const picker = groupPicker(app, {
    most: MOST,
    legend: "Whose choice, one or two groups",
    changed: () => fields.draw(picker.ids()),
  });
  const button = h("button", { class: "main" }, "Generate");
  const fault = h("div");
  const status = h("div"); // with Stop in it, beside what it stops
  const result = h("div", { class: "stack" }, placeholder());
  const side = h("div", { class: "stack" }, status, result);

  async function submit(event) {
    event.preventDefault();
    const ids = picker.ids();
    const said = fields.missing(ids);
    fill(fault, said && h("p", { class: "notice bad", role: "alert" }, said));
    if (said) return;
    if (side.getBoundingClientRect().top > innerHeight / 2) side.scrollIntoView();
    const body = fields.body(ids);
    const groups = ids.map((id) => ({ id, name: app.groups.nameOf(id) }));
    const drawn = drawing(app, { groups, n: body.n ?? 8 });
    const answer = await run(app, { host: status, button, label: "Drawing and scoring" }, (signal) =>
      follow(body, drawn, signal),
    );
    if (!answer) return drawn.end("Ended");
    const card = ranking(app, { choices: answer.choices ?? [answer], answer });
    fill(result, card.element);
    app.announce(card.summary);
  }

  /** Show the candidates of a stream as they come; the body of its `done`. */
  async function follow(body, drawn, signal) {
    let answer = null;
    for await (const { event, data } of app.api.stream("generate", body, { signal })) {
      if (event === "candidate") {
        if (!drawn.element.isConnected) fill(result, drawn.element);
        drawn.add(data);
      }
      if (event === "done") answer = data; // and on to the end, as leaving would hang up
    }
    return answer;
  }

  function copied() {
    const ids = picker.ids();
    return fields.missing(ids) ? null : { method: "POST", path: "generate", body: fields.body(ids) };
  }

  const form = h(
    "form",
    { class: "card stack", novalidate: true, on: { submit } },
    picker.element,
    fields.element,
    h("div", { class: "actions" }, button, copyButtons(app, copied)),
    fault,
  );

  root.append(
    h(
      "div",
      { class: "view-head" },
      h(
        "div",
        {},
        h("h1", {}, "Generate"),
        h("p", {}, "A language model draws several answers to a prompt, and each group chooses the one that most of its people would approve of."),
      ),
    ),
    h("div", { class: "two" }, form, side),
  );

  const news = onlyNews();
  return {
    shown(address) {
      const params = news(address);
      if (params.has("groups")) picker.choose(params.get("groups").split(",").filter(Boolean));
      if (params.has("prompt")) fields.prompt.value = params.get("prompt");
      picker.draw();
      fields.draw(picker.ids());
    },
  };
}

function placeholder() {
  return h("div", { class: "card soft" }, h("p", {}, "The candidates come here while they are drawn; then each group's order of them, the chosen one first."));
}
