// Shares that sum to 1, as whole thousandths: what the sliders of a survey question hold.

export const WHOLE = 1000;

/** Whole numbers in proportion to `weights` that sum to `total`; equal ones if all weights are 0. */
export function apportion(weights, total = WHOLE) {
  const sum = weights.reduce((a, b) => a + b, 0);
  const exact = weights.map((weight) => (sum > 0 ? (weight / sum) * total : total / weights.length));
  const parts = exact.map(Math.floor);
  let left = total - parts.reduce((a, b) => a + b, 0);
  // What is left goes to those that lost most by rounding, the first of equals first.
  const order = exact.map((value, at) => at).sort((a, b) => exact[b] - parts[b] - (exact[a] - parts[a]) || a - b);
  for (const at of order) {
    if (left <= 0) break;
    parts[at] += 1;
    left -= 1;
  }
  return parts;
}

/** `parts` with the one at `index` set to `wanted`; the others keep their proportions, the sum stays. */
export function rescale(parts, index, wanted) {
  if (parts.length < 2) return [WHOLE];
  const held = Math.min(Math.max(Math.round(wanted), 0), WHOLE);
  const others = apportion(parts.filter((_, at) => at !== index), WHOLE - held);
  return [...others.slice(0, index), held, ...others.slice(index)];
}

/** 0.345 as "34.5", for a field in percent. */
export function asPercent(part) {
  return String(part / 10);
}
