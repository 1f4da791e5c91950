// Horizontal bars: shares with their 90 % intervals, several groups beside each other; scores.
// Every figure is text as well, the drawing is for the eyes alone.

import { h } from "./dom.js";

/** How many series can be told apart by their colour: --series-0 and so on. */
export const SERIES = 6;

const percent = (value) => `${Math.round(value * 100)}`;

/**
 * One block for each option, in it one bar for each series.
 *
 *     shareBars({ options, series: [{ name, shares, intervals, truth, colour }] })
 *
 * `shares` lie in [0, 1] in the order of the options; `intervals` are [lo, hi] each; `truth`, a
 * share each as well, is marked if given; `colour` is the place among the series' colours, that of
 * the series in the list unless given. Returns a list.
 */
export function shareBars({ options, series }) {
  return h(
    "ul",
    { class: series.some((one) => one.truth) ? "bars with-truth" : "bars" },
    options.map((option, at) =>
      h(
        "li",
        {},
        h("h3", { class: "bars-option" }, option),
        h(
          "ul",
          { class: "bars-rows" },
          series.map((one, index) =>
            bar({
              name: one.name,
              index: one.colour ?? index,
              value: one.shares[at],
              interval: one.intervals?.[at],
              truth: one.truth?.[at],
            }),
          ),
        ),
      ),
    ),
  );
}

/** One bar as a list item: its name, its share in %, the interval. All shares in [0, 1]. */
export function bar({ name, index = 0, value, interval = null, truth = null }) {
  return h(
    "li",
    { class: "bar", style: { "--series": seriesColour(index) } },
    h("span", { class: "bar-name" }, swatch(index), name),
    track({ value, interval, truth }),
    h(
      "span",
      { class: "bar-value" },
      h("strong", {}, `${percent(value)} %`),
      interval && h("span", { class: "bar-interval" }, intervalText(interval)),
      truth !== null && h("span", { class: "bar-truth" }, `true ${percent(truth)} %`),
    ),
  );
}

/** A score in [0, 1] as a small bar with its figure, for lists of candidates. */
export function scoreBar(score, { index = 0, digits = 3 } = {}) {
  return h(
    "span",
    { class: "score", style: { "--series": seriesColour(index) } },
    track({ value: score }),
    h("span", { class: "score-value" }, score.toFixed(digits)),
  );
}

/** The colour of a series as a small square. */
export function swatch(index) {
  return h("span", { class: "swatch", "aria-hidden": "true", style: { "--series": seriesColour(index) } });
}

/** The value of the custom property --series for the series at this index. */
export function seriesColour(index) {
  return `var(--series-${index % SERIES})`;
}

function intervalText([low, high]) {
  const spoken = h("span", { class: "hidden-text" }, `, 90 % interval from `);
  return [spoken, percent(low), h("span", { class: "hidden-text" }, " to "), dash(), percent(high)];
}

function dash() {
  return h("span", { "aria-hidden": "true" }, "–");
}

function track({ value, interval = null, truth = null }) {
  const at = (share) => `${(share * 100).toFixed(2)}%`;
  return h(
    "span",
    { class: "track", "aria-hidden": "true" },
    h("span", { class: "track-fill", style: { "--to": at(value) } }),
    interval &&
      h("span", {
        class: "track-interval",
        style: { "--from": at(interval[0]), "--to": at(interval[1]) },
      }),
    truth !== null && h("span", { class: "track-truth", style: { "--at": at(truth) } }),
  );
}
