// A prediction as a card: the bars, and how near they are to the true shares where these are known.

import { alignment, readShares } from "../alignment.js";
import { shareBars, swatch } from "../bars.js";
import { field, fill, h } from "../dom.js";

/** `{ element, summary }` for answers of /predict to the same question. */
export function predictionCard(app, answers) {
  const predictions = answers.flatMap((answer) => answer.predictions);
  const { question, options } = predictions[0];
  const series = predictions.map((prediction) => ({
    id: prediction.group_id,
    name: prediction.group_id === null ? "People in general" : app.groups.nameOf(prediction.group_id),
    version: prediction.group_version,
    shares: prediction.distribution,
    intervals: prediction.interval,
    top: prediction.top,
    truth: undefined,
  }));
  const figure = h("div");
  const draw = () => fill(figure, shareBars({ options, series }));
  draw();
  const element = h(
    "article",
    { class: "card stack prediction" },
    h("h2", {}, question),
    figure,
    h("p", { class: "hint" }, "Bar: the expected share. Line: its central 90 % interval, which tells how little or much is known."),
    reasons(series, question, options),
    truths(series, options, draw),
    h("p", { class: "hint" }, notes(series, answers)),
  );
  const summary = series.map((one) => `${one.name}: ${one.top}, ${Math.round(Math.max(...one.shares) * 100)} %.`);
  return { element, summary: summary.join(" ") };
}

/** For each group a way to what its answer stands on. */
function reasons(series, question, options) {
  const links = series
    .filter((one) => one.id !== null)
    .map(({ id, name }) => {
      const asked = new URLSearchParams({ groups: id, question, options: options.join("\n") });
      return h("a", { href: `#what-if?${asked}` }, `What carries the answer of ${name}?`);
    });
  return links.length > 0 && h("p", { class: "actions" }, links);
}

/** A field for each group's true shares, with the alignment beside it as soon as they can be read. */
function truths(series, options, draw) {
  const rows = series
    .filter((one) => one.version !== null)
    .map((one) => {
      const at = series.indexOf(one);
      const input = h("input", { placeholder: options.map(() => Math.round(100 / options.length)).join(", "), autocomplete: "off" });
      const output = h("output", { class: "alignment" });
      input.addEventListener("input", () => {
        one.truth = undefined;
        input.removeAttribute("aria-invalid");
        try {
          const truth = readShares(input.value, options.length);
          if (truth) {
            one.truth = truth;
            fill(output, "alignment ", h("strong", {}, alignment(one.shares, truth).toFixed(3)));
          } else fill(output);
        } catch (error) {
          input.setAttribute("aria-invalid", "true");
          fill(output, error.message);
        }
        draw();
      });
      return h("div", { class: "truth" }, field([swatch(at), `True shares of ${one.name}`], input), output);
    });
  if (!rows.length) return null;
  return h(
    "details",
    { class: "truths" },
    h("summary", {}, "Compare with the true shares"),
    h(
      "div",
      { class: "stack" },
      h("p", { class: "hint" }, "Shares, percentages or counts in the order of the options. Alignment is 1 for the same distribution, 0.167 for the most different one."),
      rows,
    ),
  );
}

function notes(series, answers) {
  const versions = series.filter((one) => one.version !== null).map((one) => `${one.name} at version ${one.version}`);
  const took = Math.max(...answers.map((answer) => answer.timings.total_ms));
  return [...versions, answers[0].model, `${took.toFixed(0)} ms`].join(" · ");
}
