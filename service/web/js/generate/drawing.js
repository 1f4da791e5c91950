// The candidates while they are drawn: each as soon as it is there, with what the groups think of it.

import { scoreBar } from "../bars.js";
import { fill, h } from "../dom.js";

/**
 * `{ element, add(candidate), end(words) }` for n candidates that are on their way.
 *
 * `groups` are `{ id, name }` in the order of their colours. `add` takes the data of a `candidate`
 * event; `end` says what became of it when no ranking follows.
 */
export function drawing(app, { groups, n }) {
  const heading = h("h2", {}, `Drawing ${n} candidates`);
  const list = h("ol", { class: "drawn" });
  let count = 0;

  function add(candidate) {
    count += 1;
    heading.textContent = `${count} of ${n} candidates`;
    list.append(row(candidate, groups));
    if (count === 1 || count === n) app.announce(`${count} of ${n} candidates are drawn.`);
  }

  return {
    element: h("section", { class: "card stack" }, heading, list),
    add,
    end: (words) => fill(heading, `${words} after ${count} of ${n} candidates`),
  };
}

function row(candidate, groups) {
  const scores = candidate.scores ?? [{ score: candidate.score, std: candidate.std }];
  return h(
    "li",
    { class: "candidate" },
    h("p", { class: "candidate-text" }, candidate.text || "(nothing)"),
    h(
      "ul",
      { class: "candidate-scores" },
      groups.map((group, at) =>
        h("li", {}, h("span", { class: "candidate-group" }, group.name), scoreBar(scores[at].score, { index: at })),
      ),
    ),
  );
}
