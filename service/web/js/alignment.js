// How near a prediction is to the truth: the measure of models/metrics.py, `alignment_js`.

/** 1 - Jensen-Shannon distance (the square root, base e) of two lists of shares that sum to 1. */
export function alignment(predicted, truth) {
  const middle = predicted.map((share, at) => (share + truth[at]) / 2);
  const divergence = (relativeEntropy(predicted, middle) + relativeEntropy(truth, middle)) / 2;
  return 1 - Math.sqrt(Math.max(divergence, 0));
}

function relativeEntropy(p, q) {
  return p.reduce((sum, share, at) => (share > 0 ? sum + share * Math.log(share / q[at]) : sum), 0);
}

/**
 * Shares, percentages or counts as people paste them ("30 % 70 %", "0,3; 0,7", "120, 280"), divided
 * by their sum. Throws Error with a sentence if they are not `count` such numbers; null for blank.
 */
export function readShares(text, count) {
  const plain = text.replaceAll("%", " ").trim();
  if (!plain) return null;
  // A comma between digits is a decimal one where something else separates the numbers.
  const isDecimal = /\d,\d/.test(plain) && !plain.includes(".") && /[\s;]/.test(plain);
  const words = (isDecimal ? plain.replace(/(\d),(\d)/g, "$1.$2") : plain).split(/[\s;,]+/).filter(Boolean);
  const values = words.map(Number);
  const wrong = words[values.findIndex((value) => !Number.isFinite(value) || value < 0)];
  if (wrong !== undefined) throw new Error(`“${wrong}” is no share: give numbers of 0 or more.`);
  if (values.length !== count) {
    throw new Error(`Give one number for each of the ${count} options; found ${values.length}.`);
  }
  const sum = values.reduce((a, b) => a + b, 0);
  if (!(sum > 0)) throw new Error("At least one share must be above 0.");
  return values.map((value) => value / sum);
}
