// The view What if.

import { h } from "../dom.js";

export function mount(root) {
  root.append(h("h1", {}, "What if"), h("p", {}, "This view is not there yet."));
}
