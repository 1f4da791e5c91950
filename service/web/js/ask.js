// Asks before something is lost.

import { h } from "./dom.js";

/**
 * A modal question; the answer is the `value` of the button, or null for Escape.
 *
 *     await ask({ title: "Delete Town?", text: "…", choices: [{ label: "Delete", value: "yes", class: "danger" }, …] })
 *
 * The last choice has the focus at first: let it be the harmless one.
 */
export function ask({ title, text, choices }) {
  return new Promise((resolve) => {
    let answer = null;
    const dialog = h("dialog", { role: "alertdialog", "aria-labelledby": "ask-title", "aria-describedby": "ask-text" });
    const buttons = choices.map(({ label, value, class: kind = null }) =>
      h(
        "button",
        {
          type: "button",
          class: kind,
          on: {
            click() {
              answer = value;
              dialog.close();
            },
          },
        },
        label,
      ),
    );
    dialog.append(
      h(
        "div",
        { class: "stack" },
        h("h2", { id: "ask-title" }, title),
        h("p", { id: "ask-text" }, text),
        h("div", { class: "actions" }, buttons),
      ),
    );
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(answer);
    });
    document.body.append(dialog);
    dialog.showModal();
    buttons.at(-1).focus();
  });
}
