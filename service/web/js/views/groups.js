// The view Groups: the list, the group that is open, import and export, a first step for newcomers.

import { readAddress } from "../address.js";
import { ask } from "../ask.js";
import { run } from "../busy.js";
import { fill, h } from "../dom.js";
import { editorProblem, groupEditor } from "../groups/editor.js";
import { PROMPT, QUESTION, registerExamples } from "../groups/examples.js";
import { exportButtons } from "../groups/export.js";
import { importPanel } from "../groups/import.js";
import { groupList } from "../groups/list.js";

export function mount(root, app) {
  let editor = null;
  let opening = null;
  let question = null; // "Leave without saving?" while it is asked
  const list = groupList(app);
  const place = h("div", { class: "stack" });
  const side = h(
    "div",
    { class: "stack" },
    list.element,
    importPanel(app, { imported: () => app.groups.reload() }),
    exportButtons(app),
  );
  const columns = h("div", { class: "two" }, side, place);
  const welcome = h("div");

  function draw() {
    if (opening !== null && !editor) return; // one is on its way
    const isEmpty = app.groups.loaded && app.groups.all.length === 0;
    fill(welcome, isEmpty && !editor && firstStep(app));
    list.element.hidden = app.groups.all.length === 0;
    columns.classList.toggle("is-empty", isEmpty && !editor);
    if (!editor && !isEmpty && app.groups.loaded) fill(place, hint(app));
    else if (!editor) fill(place);
  }

  function show(next) {
    opening = null;
    editor = next;
    list.draw(editor?.id ?? null);
    if (editor) fill(place, editor.element);
    draw();
  }

  function edit(group) {
    const mine = groupEditor(app, group, {
      saved(done) {
        app.groups.put(done);
        if (editor !== mine) return; // another one is open by now
        list.draw(done.id);
        if (!question) keepOpen();
      },
      deleted(id) {
        app.chosen.delete(id);
        if (editor === mine) show(null);
        app.groups.remove(id);
        if (!editor && opening === null && !root.hidden) app.go("groups");
        app.announce("Deleted.");
      },
      async discarded() {
        if (!(await mayLeave())) return;
        show(null);
        app.go("groups");
      },
      reload: open,
    });
    const isFree = !document.activeElement?.matches("input, textarea, select"); // nobody types elsewhere
    show(mine);
    if (isFree) editor.focus();
  }

  async function open(id) {
    opening = id;
    editor = null;
    fill(place, h("div", { class: "card" }, h("progress", { "aria-label": "Loading the group" })));
    try {
      await app.groups.whenLoaded(); // not before the key is known
      const group = await app.api.get(`groups/${encodeURIComponent(id)}?include=preferences`);
      if (opening !== id) return; // another one was asked for meanwhile
      app.groups.put(group);
      edit({ preferences: [], ...group });
    } catch (error) {
      if (opening !== id) return;
      list.draw(null);
      fill(place, editorProblem(app, error));
    }
  }

  /** Whether what is open may be left: it has no changes, or they may go. */
  async function mayLeave() {
    if (!editor?.isDirty()) return true;
    question = ask({
      title: "Leave without saving?",
      text: "The group that is open has changes that are not saved.",
      choices: [
        { label: "Drop the changes", value: "drop", class: "danger" },
        { label: "Stay", value: "stay" },
      ],
    });
    const answer = await question;
    question = null;
    return answer === "drop";
  }

  /** The address becomes that of what is open. Not by a step onwards, from which Back leads here again. */
  function keepOpen() {
    if (readAddress().view === "groups") app.rename("groups", editor.id ? { id: editor.id } : { new: 1 });
  }

  async function shown(params) {
    // Back works under the question: what was asked to be left for is what is read when it is answered.
    if (question) return;
    const id = params.get("id");
    const isNew = params.has("new");
    if (!id && !isNew) opening = null;
    if (editor ? (isNew && !editor.id) || (id !== null && editor.id === id) : !id && !isNew) return draw();
    // Coming back from another view leaves what is open as it is.
    if (editor && !id && !isNew && editor.isDirty()) return keepOpen();
    if (!(await mayLeave())) return keepOpen();
    await become(readAddress());
  }

  /** Show what the address names now, without a question; nothing for another view's. */
  async function become({ view, params }) {
    const id = params.get("id");
    if (view !== "groups") show(null);
    else if (id) await open(id);
    else if (params.has("new")) edit(null);
    else show(null);
  }

  app.guard(() => !editor?.isDirty());
  app.groups.subscribe(() => {
    editor?.refresh(); // the caps may have come meanwhile
    draw();
  });
  root.append(
    h(
      "div",
      { class: "view-head" },
      h(
        "div",
        {},
        h("h1", {}, "Groups"),
        h("p", {}, "A group is a name and a few of its preferences. They are the context from which everything else is predicted."),
      ),
      h("a", { class: "button", href: "#groups?new=1" }, "New group"),
    ),
    welcome,
    columns,
  );
  draw();
  return { shown };
}

function firstStep(app) {
  const status = h("div");
  const button = h("button", { type: "button", class: "main" }, "Load two example groups");
  button.addEventListener("click", () =>
    run(app, { host: status, button, label: "Registering two groups" }, async (signal) => {
      const groups = await registerExamples(app, signal);
      const isRead = button.checkVisibility(); // or else another view is by now
      app.chosen.clear();
      for (const { id } of groups) app.chosen.add(id);
      for (const group of groups) app.groups.put(group);
      if (isRead) app.go("groups");
      app.announce("Two groups are registered.");
    }),
  );
  return h(
    "div",
    { class: "card stack first-step" },
    h("h2", {}, "There are no groups yet"),
    h("p", {}, "Two invented ones, city tenants and small landlords, show what this does: ask both a question that none of their preferences is about, and let each choose among the answers of a language model."),
    h("div", { class: "actions" }, button, h("span", { class: "soft" }, "or make a new group, or import a file")),
    status,
  );
}

/** What to do next, while no group is open. */
function hint(app) {
  const groups = [...app.chosen].filter((id) => app.groups.get(id)).join(",");
  const ask = { groups, question: QUESTION.question, options: QUESTION.options.join("\n") };
  const link = (view, params, text) =>
    h("a", { class: "button", href: `#${view}?${new URLSearchParams(params)}` }, text);
  return h(
    "div",
    { class: "card stack next-step" },
    h("h2", {}, "What next?"),
    h("p", {}, "Open a group to see and edit its preferences, or ask."),
    h(
      "div",
      { class: "actions" },
      link("predict", groups ? ask : {}, "Ask how they would answer"),
      link("generate", groups ? { groups, prompt: PROMPT } : {}, "Let them choose an answer"),
    ),
  );
}
