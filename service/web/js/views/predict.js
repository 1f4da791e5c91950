// The view Predict.

import { h } from "../dom.js";

export function mount(root) {
  root.append(h("h1", {}, "Predict"), h("p", {}, "This view is not there yet."));
}
