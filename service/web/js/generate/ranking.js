// What each group chose: the candidates in its own order, the chosen one marked.

import { scoreBar, swatch } from "../bars.js";
import { h } from "../dom.js";

/**
 * `{ element, summary }` for a finished generation.
 *
 * `choices` are those of the answer with several groups, or one made of it for a single group:
 * `{ group_id, text, candidates }`, best first. `answer` is the body of the `done` event.
 */
export function ranking(app, { choices, answer }) {
  const named = choices.map((choice) => ({ ...choice, name: app.groups.nameOf(choice.group_id) }));
  const element = h(
    "div",
    { class: "stack" },
    named.length > 1 && h("p", { class: "verdict" }, verdict(named)),
    h(
      "div",
      { class: "columns", style: { "--columns": named.length } },
      named.map((choice, at) => column(choice, at, named)),
    ),
    h("p", { class: "hint" }, "Bar: the expected share of the group that approves; ± is its standard deviation. Candidates are ordered by the selection score."),
    h("p", { class: "hint" }, notes(answer)),
  );
  return { element, summary: named.map((choice) => `${choice.name} chooses: ${choice.text}`).join(" ") };
}

function column(choice, at, all) {
  const others = all.filter((one) => one !== choice);
  return h(
    "section",
    { class: "card stack ranked", "aria-label": choice.name },
    h("h2", {}, all.length > 1 && swatch(at), `${choice.name} would say`),
    h("ol", { class: "ranks" }, choice.candidates.map((one, place) => rank(one, place, at, others))),
  );
}

function rank(candidate, place, at, others) {
  const elsewhere = others.map((other) => {
    const there = other.candidates.findIndex((one) => one.index === candidate.index);
    return `${ordinal(there + 1)} for ${other.name}`;
  });
  return h(
    "li",
    { class: candidate.selected ? "candidate is-chosen" : "candidate" },
    h(
      "div",
      { class: "candidate-head" },
      h("span", { class: "place" }, ordinal(place + 1)),
      candidate.selected && h("span", { class: "chosen" }, "chosen"),
      h("span", { class: "elsewhere" }, elsewhere.join(", ")),
    ),
    h("p", { class: "candidate-text" }, candidate.text || "(nothing)"),
    scoreBar(candidate.score, { index: at }),
    h("p", { class: "figures" }, figures(candidate)),
  );
}

function figures(candidate) {
  const said = [
    `± ${candidate.std.toFixed(3)}`,
    `selection ${candidate.selection_score.toFixed(3)}`,
    `${candidate.tokens} tokens`,
  ];
  if (candidate.finish_reason === "length") said.push("cut at the limit");
  if (candidate.truncated) said.push("read in part");
  return said.join(" · ");
}

/** How the choices differ, in a sentence. */
function verdict(choices) {
  const [first, second] = choices;
  const chosen = (choice) => choice.candidates.find((one) => one.selected);
  const mine = chosen(first);
  const yours = chosen(second);
  if (mine.index === yours.index) return `${first.name} and ${second.name} choose the same answer.`;
  const place = second.candidates.findIndex((one) => one.index === mine.index) + 1;
  const back = first.candidates.findIndex((one) => one.index === yours.index) + 1;
  return (
    `They choose differently: the answer of ${first.name} comes ${ordinal(place)} for ${second.name}, ` +
    `that of ${second.name} ${ordinal(back)} for ${first.name}.`
  );
}

function notes(answer) {
  const { timings, usage, seed, model } = answer;
  const stages = [["drawn", "generate_ms"], ["embedded", "embed_ms"], ["scored", "score_ms"], ["in all", "total_ms"]];
  const times = stages
    .filter(([, key]) => key in timings)
    .map(([word, key]) => `${word} ${(timings[key] / 1000).toFixed(2)} s`);
  return [model, `seed ${seed}`, `${usage.completion_tokens} tokens`, ...times].join(" · ");
}

function ordinal(count) {
  const ending = count % 100 > 10 && count % 100 < 14 ? "th" : (["th", "st", "nd", "rd"][count % 10] ?? "th");
  return `${count}${ending}`;
}
