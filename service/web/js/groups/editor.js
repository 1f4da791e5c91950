// One group to be edited, as a whole: what is saved replaces the version that was opened, or nothing.

import { ask } from "../ask.js";
import { problemNotice, run } from "../busy.js";
import { copyButtons } from "../copy.js";
import { field, fill, h } from "../dom.js";
import { pairsIn, preferenceList } from "./preferences.js";

const NEW = { id: "", name: "", description: null, metadata: null, preferences: [] };

/**
 * `{ element, id, isDirty(), focus(), refresh() }` for `group`, which has its preferences; null for
 * a new one, which has an `id` as soon as it was saved.
 *
 * `saved(group)` and `deleted(id)` tell what was done, by when the editor may have been left;
 * `discarded()` that a new one is not wanted, `reload(id)` asks for the group anew.
 */
export function groupEditor(app, given, { saved, deleted, discarded, reload }) {
  const opened = given ?? NEW;
  let group = given; // at the version that the next write replaces
  let stored = null; // the body as it was opened, to tell what changed
  let attempt = null; // an Idempotency-Key with the body that it stands for
  const heading = h("h2", { tabindex: "-1" });
  const name = h("input", { value: opened.name, maxlength: 200, on: { input: changed } });
  const id = h("input", { value: "", maxlength: 128, spellcheck: "false", autocapitalize: "none" });
  const description = h("textarea", { rows: 2, maxlength: 4000, value: opened.description ?? "", on: { input: changed } });
  const list = preferenceList(opened.preferences, { changed, announce: app.announce });
  const meter = h("meter", { min: 0 });
  const context = h("p", { class: "context" });
  const state = h("p", { class: "soft state" });
  const status = h("div");
  const save = h("button", { class: "main" });
  const idLine = h("p", { class: "soft" });
  const idField = field("Id (optional)", id, { hint: "Letters, digits, . _ : and -; without one the service makes it." });
  const drop = h("button", { type: "button", class: "danger", on: { click: remove } }, "Delete");
  const discard = h("button", { type: "button", on: { click: discarded } }, "Discard");

  /** What tells a group that is stored from a new one. */
  function drawKind() {
    heading.textContent = group ? group.name : "New group";
    save.textContent = group ? "Save" : "Create the group";
    idLine.textContent = group?.id ?? "";
    idLine.hidden = drop.hidden = !group;
    idField.hidden = discard.hidden = Boolean(group);
  }

  function body() {
    const said = description.value.trim();
    return {
      name: name.value,
      description: said === "" && !opened.description ? null : description.value,
      metadata: opened.metadata,
      preferences: list.value(),
    };
  }

  const isDirty = () => JSON.stringify(body()) !== stored || Boolean(!group && id.value);

  function changed() {
    if (stored === null) return; // still being built
    const preferences = list.value();
    const pairs = pairsIn(preferences);
    const most = app.limits?.context_tokens;
    fill(
      context,
      `${preferences.length} preferences, ${pairs.toLocaleString("en")} `,
      most ? `of at most ${most.toLocaleString("en")} ` : "",
      "(prompt, answer) pairs of context ",
    );
    meter.max = most ?? Math.max(pairs, 1);
    meter.value = pairs;
    context.append(meter);
    state.textContent = isDirty() ? "Unsaved changes" : group ? `Saved as version ${group.version}` : "";
  }

  async function write(sent, headers, signal) {
    if (group) {
      return app.api.json("PUT", address(group.id), sent, { headers, signal });
    }
    const created = id.value.trim() ? { id: id.value.trim(), ...sent } : sent;
    const text = JSON.stringify(created);
    // The same attempt sent twice, after an answer that never came, makes one group.
    if (attempt?.text !== text) attempt = { text, key: newKey() };
    return app.api.post("groups", created, { headers: { "Idempotency-Key": attempt.key }, signal });
  }

  function submit(headers) {
    return run(app, { host: status, button: save, label: "Saving" }, async (signal) => {
      const mark = list.marker();
      try {
        const sent = body();
        const done = await write(sent, headers, signal);
        app.announce(`Saved as version ${done.version}.`);
        // What is open stays open, with what was typed meanwhile: that is not in `stored`.
        group = done;
        stored = JSON.stringify(sent);
        drawKind();
        changed();
        saved({ ...done, preferences: sent.preferences });
      } catch (error) {
        if (error.status === 412) return queueMicrotask(conflict);
        mark(error.problem?.errors ?? []);
        throw error;
      }
    });
  }

  /** Somebody was quicker: nothing was written, and the reader decides. */
  async function conflict() {
    const current = await run(app, { host: status, label: "Looking what changed" }, (signal) =>
      app.api.get(address(group.id), { signal }).catch((error) => {
        if (error.status === 404) return null;
        throw error;
      }),
    );
    if (current === undefined) return;
    const said = current
      ? `This group was changed since you opened version ${group.version}; it is at version ${current.version} now.`
      : "This group was deleted since you opened it.";
    const over = current ? { "If-Match": tag(current) } : { "If-None-Match": "*" };
    fill(
      status,
      h(
        "div",
        { class: "notice bad", role: "alert" },
        h("p", {}, `${said} Nothing was overwritten, and your changes are still here.`),
        h(
          "div",
          { class: "actions" },
          h("button", { type: "button", on: { click: () => submit(over) } }, current ? "Replace it by mine" : "Create it anew"),
          h("button", { type: "button", on: { click: () => reload(group.id) } }, "Drop mine"),
        ),
      ),
    );
  }

  async function remove(event) {
    const answer = await ask({
      title: `Delete ${group.name}?`,
      text: `Its ${group.preference_count} preferences are deleted with it. This cannot be undone.`,
      choices: [
        { label: "Delete it", value: "delete", class: "danger" },
        { label: "Keep it", value: "keep" },
      ],
    });
    if (answer !== "delete") return;
    await run(app, { host: status, button: event.target, label: "Deleting" }, async (signal) => {
      try {
        await app.api.json("DELETE", address(group.id), undefined, { headers: { "If-Match": tag(group) }, signal });
      } catch (error) {
        if (error.status === 412) return queueMicrotask(conflict);
        if (error.status !== 404) throw error; // it is gone, as was wanted
      }
      deleted(group.id);
    });
  }

  const request = () =>
    group
      ? { method: "PUT", path: address(group.id), body: body() }
      : { method: "POST", path: "groups", body: id.value.trim() ? { id: id.value.trim(), ...body() } : body() };

  const element = h(
    "form",
    {
      class: "card stack editor",
      novalidate: true,
      on: {
        submit(event) {
          event.preventDefault();
          submit(group ? { "If-Match": tag(group) } : {});
        },
      },
    },
    h("div", { class: "editor-head" }, heading, idLine),
    h("div", { class: "pair" }, field("Name", name), idField),
    field("Description", description, { hint: "Told to the language model if steering is set to it; a prediction does not read it." }),
    h("h3", {}, "Preferences"),
    context,
    list.element,
    h(
      "div",
      { class: "editor-end stack" },
      status,
      h(
        "div",
        { class: "actions" },
        save,
        state,
        h("span", { class: "grow" }),
        copyButtons(app, request),
        drop,
        discard,
      ),
    ),
  );
  stored = JSON.stringify(body());
  drawKind();
  changed();
  id.addEventListener("input", changed);
  return {
    element,
    get id() {
      return group?.id ?? null;
    },
    isDirty,
    focus: () => heading.focus(),
    refresh: changed,
  };
}

const address = (id) => `groups/${encodeURIComponent(id)}`;
const tag = (group) => `"${group.version}"`;

function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The editor's place while its group is on its way, or could not be had. */
export function editorProblem(app, error) {
  return h("div", { class: "card" }, problemNotice(error, app));
}
