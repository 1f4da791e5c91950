// The list of the groups, with a filter over those that are loaded and a look-up by id for others.

import { run } from "../busy.js";
import { fill, h } from "../dom.js";

/** `{ element, draw(openId) }`; each line leads to `#groups?id=…`. */
export function groupList(app) {
  let current = null;
  const filter = h("input", { type: "search", placeholder: "Name or id", "aria-label": "Find a group" });
  const list = h("ul", { class: "group-list" });
  const tools = h("div");
  const status = h("div");
  const element = h("div", { class: "stack list-card card" }, filter, list, tools, status);

  function line(group) {
    return h(
      "li",
      {},
      h(
        "a",
        { href: `#groups?id=${encodeURIComponent(group.id)}`, "aria-current": group.id === current ? "true" : null },
        h("span", { class: "group-name" }, group.name),
        h(
          "span",
          { class: "group-note" },
          `${group.preference_count} preferences · version ${group.version}`,
        ),
      ),
    );
  }

  function draw(openId = current) {
    current = openId;
    const focused = list.contains(document.activeElement) ? document.activeElement.href : null;
    const wanted = filter.value.trim().toLowerCase();
    const found = app.groups.all.filter((group) => `${group.id} ${group.name}`.toLowerCase().includes(wanted));
    fill(list, found.map(line));
    if (focused !== null) [...list.querySelectorAll("a")].find((link) => link.href === focused)?.focus();
    fill(
      tools,
      wanted && !found.length && h("p", { class: "hint" }, "None of the loaded groups is called that."),
      wanted && !found.length && action(`Look up the id “${filter.value.trim()}”`, lookUp),
      app.groups.hasMore && action("Load more", () => app.groups.more()),
    );
  }

  async function lookUp() {
    const group = await app.groups.find(filter.value.trim());
    if (element.checkVisibility()) app.go("groups", { id: group.id }); // else another view is read by now
  }

  function action(text, work) {
    const button = h("button", { type: "button", class: "quiet" }, text);
    button.addEventListener("click", () => run(app, { host: status, button, label: "Loading" }, work));
    return button;
  }

  filter.addEventListener("input", () => draw());
  app.groups.subscribe(() => draw());
  draw();
  return { element, draw };
}
