// Chooses one or several groups of those that are loaded; what is chosen is shared by the views.

import { run } from "./busy.js";
import { swatch } from "./bars.js";
import { fill, h, newId } from "./dom.js";

const FILTER_FROM = 8; // fewer are seen at a glance

/**
 * A fieldset with one line for each group.
 *
 *     const picker = groupPicker(app, { most: 4, changed: () => … });
 *     root.append(picker.element);  picker.ids();  picker.choose(["town"])
 *
 * `most` is how many may be chosen; with 1 they are radio buttons. `ids()` are in the order in
 * which they were chosen, which is that of the series' colours. Another view may have changed the
 * choice: call `draw()` in `shown()`.
 */
export function groupPicker(app, { most = 6, legend = "Groups", changed = () => {} } = {}) {
  const single = most === 1;
  const name = newId("group");
  const list = h("div", { class: "picker-list" });
  const filter = h("input", { type: "search", placeholder: "Name or id", "aria-label": "Find a group" });
  const status = h("div");
  const tools = h("div", { class: "picker-tools" });
  const element = h("fieldset", { class: "picker" }, h("legend", {}, legend), filter, list, tools, status);

  const ids = () => [...app.chosen].filter((id) => app.groups.get(id)).slice(0, most);

  function choose(wanted) {
    app.chosen.clear();
    for (const id of wanted) app.chosen.add(id);
    draw();
    changed();
    load(wanted);
  }

  /** Those that an address names may be on no page that was loaded. */
  async function load(wanted) {
    await app.groups.whenLoaded();
    const missing = wanted.filter((id) => !app.groups.get(id));
    if (!missing.length) return;
    await run(app, { host: status, label: "Looking up the groups" }, (signal) =>
      Promise.all(missing.map((id) => app.groups.find(id, signal))),
    );
    changed();
  }

  function toggle(id, on) {
    // The others stay chosen for the views that show several.
    if (single) return choose([id, ...[...app.chosen].filter((one) => one !== id)]);
    if (on && ids().length >= most) {
      draw(); // takes the tick back
      return app.announce(`At most ${most} groups.`);
    }
    return choose(on ? [...ids(), id] : ids().filter((one) => one !== id));
  }

  function line(group) {
    const place = ids().indexOf(group.id);
    const control = h("input", {
      type: single ? "radio" : "checkbox",
      name,
      value: group.id,
      checked: place >= 0,
      on: { change: (event) => toggle(group.id, event.target.checked) },
    });
    const count = `${group.preference_count} preferences`;
    return h(
      "label",
      { class: "picker-line" },
      control,
      h("span", { class: "picker-name" }, group.name),
      h("span", { class: "picker-note" }, count),
      place >= 0 && !single && swatch(place),
    );
  }

  function draw() {
    const focused = list.contains(document.activeElement) ? document.activeElement.value : null;
    const wanted = filter.value.trim().toLowerCase();
    const found = app.groups.all.filter(
      (group) => !wanted || `${group.id} ${group.name}`.toLowerCase().includes(wanted),
    );
    filter.hidden = app.groups.all.length < FILTER_FROM && !app.groups.hasMore;
    fill(list, found.map(line), !found.length && empty(wanted));
    fill(tools, app.groups.hasMore && moreButton(), wanted && !found.length && findButton(wanted));
    if (focused !== null) [...list.querySelectorAll("input")].find((i) => i.value === focused)?.focus();
  }

  function empty(wanted) {
    if (wanted) return h("p", { class: "hint" }, "None of the loaded groups is called that.");
    if (!app.groups.loaded) return h("p", { class: "hint" }, "Loading …");
    return h("p", { class: "hint" }, "There are no groups yet. ", h("a", { href: "#groups" }, "Add one"), ".");
  }

  function moreButton() {
    const button = h("button", { type: "button", class: "quiet" }, "Load more");
    button.addEventListener("click", () =>
      run(app, { host: status, button, label: "Loading groups" }, () => app.groups.more()),
    );
    return button;
  }

  function findButton(id) {
    const button = h("button", { type: "button", class: "quiet" }, `Look up the id “${id}”`);
    button.addEventListener("click", () =>
      run(app, { host: status, button, label: "Looking it up" }, () => app.groups.find(id)),
    );
    return button;
  }

  filter.addEventListener("input", draw);
  app.groups.subscribe(draw);
  draw();
  return { element, ids, choose, draw };
}
