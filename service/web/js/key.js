// The field for the API key.

import { field, h } from "./dom.js";

/** A dialog that keeps the key in `api`, then calls `changed(before)`. `open()` shows it. */
export function keyDialog(api, changed) {
  const input = h("input", { type: "password", autocomplete: "off", spellcheck: "false" });
  const dialog = h("dialog", { "aria-labelledby": "key-title" });
  const close = () => dialog.close();

  function keep(event) {
    event.preventDefault();
    become(input.value);
  }

  function become(key) {
    const before = api.key;
    api.key = key;
    close();
    if (api.key !== before) changed(before);
  }

  dialog.append(
    h(
      "form",
      { on: { submit: keep } },
      h("h2", { id: "key-title" }, "API key"),
      field("Your key", input, {
        hint: "Kept in this tab until it is closed, and sent to this service alone.",
      }),
      h(
        "div",
        { class: "actions" },
        h("button", { class: "main" }, "Use this key"),
        h("button", { type: "button", on: { click: () => become("") } }, "Forget it"),
        h("button", { type: "button", class: "quiet", on: { click: close } }, "Cancel"),
      ),
    ),
  );
  document.body.append(dialog);
  return {
    open() {
      input.value = api.key;
      dialog.showModal();
      input.select();
    },
  };
}
