// The view Generate.

import { h } from "../dom.js";

export function mount(root) {
  root.append(h("h1", {}, "Generate"), h("p", {}, "This view is not there yet."));
}
