// The view Groups.

import { h } from "../dom.js";

export function mount(root) {
  root.append(h("h1", {}, "Groups"), h("p", {}, "This view is not there yet."));
}
