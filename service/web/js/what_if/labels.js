// A preference in words: what it is about, and what the group said.

import { kindOf } from "../groups/preferences.js";

/** What it is about, in one line. */
export function labelOf(preference) {
  if (kindOf(preference) === "share") return preference.question;
  return preference.prompt;
}

/** What the group said to it, in one line. */
export function detailOf(preference) {
  switch (kindOf(preference)) {
    case "share": {
      const weights = preference.counts ?? preference.distribution;
      const sum = weights.reduce((a, b) => a + b, 0) || 1;
      return preference.options.map((option, at) => `${option} ${percent(weights[at] / sum)}`).join(" · ");
    }
    case "rating":
      return `“${preference.response}” ${percent(preference.score)} approve`;
    default:
      return `“${preference.chosen}” rather than “${preference.rejected}”`;
  }
}

const percent = (share) => `${Math.round(share * 100)}\u00a0%`;
