"""Simple predictors that the module has to beat, on plain numpy arrays.

Owns closed forms alone; knows no files, no splits and no torch. A *cell* is one (question,
option); arrays over N cells come with `question` (N,), the question's number of each cell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
Integers = NDArray[np.integer]


def uniform(k: int) -> Array:
    """Equal shares (k,)."""
    return np.full(k, 1 / k)


def to_distribution(values: Array) -> Array:
    """Clip (k,) at 0 and make it sum to 1; uniform if nothing is left."""
    clipped = np.clip(values, 0, None)
    total = clipped.sum()
    return clipped / total if total > 1e-9 else uniform(clipped.size)


def to_distributions(values: Array, question: Integers) -> Array:
    """`to_distribution` inside each question of (N,) cells."""
    _, inverse, sizes = np.unique(question, return_inverse=True, return_counts=True)
    clipped = np.clip(values, 0, None)
    totals = np.bincount(inverse, weights=clipped)
    safe = np.where(totals > 1e-9, totals, 1.0)
    return np.where((totals > 1e-9)[inverse], clipped / safe[inverse], (1 / sizes)[inverse])


def centre_by_question(values: Array, question: Integers) -> Array:
    """(N, D) or (N,) minus the mean over the options of each question."""
    _, inverse, sizes = np.unique(question, return_inverse=True, return_counts=True)
    sums = np.zeros((sizes.size, *values.shape[1:]))
    np.add.at(sums, inverse, values)
    means: Array = sums / sizes.reshape(-1, *[1] * (values.ndim - 1))
    return values - means[inverse]


def mean_of_groups(shares: Array) -> Array:
    """Mean (N,) over the groups of shares (G, N); NaN marks what a group was not asked.

    A cell that no group knows stays NaN.
    """
    known = ~np.isnan(shares)
    counts = known.sum(0)
    return np.where(counts > 0, np.where(known, shares, 0).sum(0) / np.maximum(counts, 1), np.nan)


class ResidualRidge:
    """CF-ridge: a new group as a linear combination of known groups' departures from the mean.

    w = argmin |R_c' w - r_c|^2 + lambda |w|^2 over the n context cells, where the rows of
    R (G, N) are the known groups' residuals; the prediction is mean + R' w. A missing residual
    counts as 0, which is the group mean. Lambda does not grow with n: it is the ratio of the
    noise of a cell to the spread of w, measured best at .01-.03 (US survey), .5 (world survey).
    """

    def __init__(self, shares: Array, *, regularisation: float) -> None:
        self.mean = mean_of_groups(shares)
        self._residuals = np.nan_to_num(shares - self.mean)
        self._regularisation = regularisation

    def weights(self, cells: Integers, values: Array) -> Array:
        """Weight (G,) of each known group, from the new group's `values` (n,) at `cells` (n,)."""
        groups = self._residuals.shape[0]
        if cells.size == 0:
            return np.zeros(groups)
        known = self._residuals[:, cells]
        gram = known @ known.T + self._regularisation * np.eye(groups)
        solution: Array = np.linalg.solve(gram, known @ (values - self.mean[cells]))
        return solution

    def predict(self, cells: Integers, values: Array, targets: Integers) -> Array:
        """Raw predictions (m,) at `targets`; pass them through `to_distributions`."""
        return self.mean[targets] + self.weights(cells, values) @ self._residuals[:, targets]


def likeness_weighted(
    shares: Array, cells: Integers, values: Array, targets: Integers, *, scale: float = 0.02
) -> Array:
    """Mean of the known groups (G, N) weighted by exp(-d / scale), (m,) at `targets`.

    d is the mean squared distance at the context `cells`; what a group was not asked counts as
    the mean of the groups.
    """
    mean = mean_of_groups(shares)
    filled = np.where(np.isnan(shares), mean, shares)
    if cells.size == 0:
        return mean[targets]
    distance = ((filled[:, cells] - values) ** 2).mean(1)
    weights = np.exp(-(distance - distance.min()) / scale)
    weights /= weights.sum()
    result: Array = weights @ filled[:, targets]
    return result


class Ridge:
    """Linear map with intercept: argmin sum_i u_i (y_i - b - x_i a)^2 + lambda |a|^2.

    x (N, F), y (N,), u (N,) weights with mean 1. Solved in the smaller of N and F dimensions.
    """

    def __init__(
        self, x: Array, y: Array, *, regularisation: float, weights: Array | None = None
    ) -> None:
        u = np.ones(len(y)) if weights is None else weights / weights.mean()
        x_mean, y_mean = u @ x / u.sum(), u @ y / u.sum()
        root = np.sqrt(u)
        features, target = (x - x_mean) * root[:, None], (y - y_mean) * root
        if features.shape[0] < features.shape[1]:
            gram = features @ features.T + regularisation * np.eye(features.shape[0])
            self._slope = features.T @ np.linalg.solve(gram, target)
        else:
            gram = features.T @ features + regularisation * np.eye(features.shape[1])
            self._slope = np.linalg.solve(gram, features.T @ target)
        self._intercept = y_mean - x_mean @ self._slope

    def __call__(self, x: Array) -> Array:
        """Raw predictions (m,) for x (m, F)."""
        result: Array = x @ self._slope + self._intercept
        return result


class LinearShares:
    """Ridge from the embedding of (question, option) to its share, for questions never asked.

    Features: the raw vector beside the one centred inside its question; target: share - 1/k.
    Lambda is the best of `grid` on folds of the training questions.
    """

    def __init__(
        self,
        vectors: Array,
        question: Integers,
        shares: Array,
        *,
        grid: Sequence[float] = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0),
        folds: int = 4,
        seed: int = 0,
    ) -> None:
        """vectors (N, D), question (N,), shares (N,): all options of every training question."""
        features, target = _share_features(vectors, question), _share_target(shares, question)
        names, inverse = np.unique(question, return_inverse=True)
        fold = np.random.default_rng(seed).permutation(names.size)[inverse] % folds

        def loss(regularisation: float) -> float:
            errors = [
                Ridge(features[fold != f], target[fold != f], regularisation=regularisation)(
                    features[fold == f]
                )
                - target[fold == f]
                for f in range(folds)
            ]
            return float((np.concatenate(errors) ** 2).mean())

        self.regularisation = min(grid, key=loss)
        self._ridge = Ridge(features, target, regularisation=self.regularisation)

    def predict(self, vectors: Array, question: Integers) -> Array:
        """Shares (m,), a distribution inside each question, for vectors (m, D)."""
        raw = self._ridge(_share_features(vectors, question))
        return to_distributions(raw - _share_target(np.zeros(len(raw)), question), question)


class Neighbours:
    """Known questions with the same options, weighted by the softmax of their similarity.

    Options are the same if they have the same normalised texts, in any order.
    """

    def __init__(
        self,
        vectors: Array,
        options: Sequence[Sequence[str]],
        shares: Sequence[Array],
        *,
        temperature: float = 0.07,
    ) -> None:
        """vectors (Q, D) of the questions' texts, their option texts and shares (k,) each."""
        self._temperature = temperature
        self._known: dict[tuple[str, ...], tuple[Array, Array]] = {}
        for key, rows in group_by_options(options).items():
            ordered = [shares[i][_option_order(options[i])] for i in rows]
            self._known[key] = _unit(vectors[rows]), np.stack(ordered)

    def predict(self, vector: Array, options: Sequence[str], *, fallback: Array) -> Array:
        """Shares (k,) for a question's `vector` (D,); `fallback` (k,) for unknown options."""
        found = self._known.get(_option_key(options))
        if found is None:
            return fallback
        vectors, shares = found
        similarity = vectors @ _unit(vector)
        weights = np.exp((similarity - similarity.max()) / self._temperature)
        result = np.empty(len(options))
        result[_option_order(options)] = weights @ shares / weights.sum()
        return to_distribution(result)


def in_context_ridge(
    vectors: Array,
    values: Array,
    targets: Array,
    *,
    regularisation: float = 1.0,
    prior: float = 0.5,
) -> Array:
    """Approval (m,) of raw vectors `targets` (m, D) from nothing but the n context items.

    vectors (n, D), values (n,) in [0, 1]. Without context every target gets `prior`.
    """
    if len(values) == 0:
        return np.full(len(targets), prior)
    return np.clip(Ridge(vectors, values, regularisation=regularisation)(targets), 0, 1)


def popularity(
    vectors: Array, rates: Array, *, weights: Array | None = None, regularisation: float = 10.0
) -> Ridge:
    """Linear model of how well liked a text is by anyone: vectors (N, D), rates (N,)."""
    return Ridge(vectors, rates, regularisation=regularisation, weights=weights)


def consensus(vectors: Array) -> Array:
    """Mean cosine (n,) of each of n candidates (n, D) to the others; 0 for a single one.

    Give it vectors of the responses alone: with the prompt in the text a terse answer lies nearest
    the middle (measured uplift of the best of 16 rated answers: .41 alone, -.26 with the prompt).
    """
    n = len(vectors)
    if n < 2:
        return np.zeros(n)
    unit = _unit(vectors)
    result: Array = (unit @ unit.sum(0) - 1) / (n - 1)
    return result


def group_by_options(options: Sequence[Sequence[str]]) -> Mapping[tuple[str, ...], list[int]]:
    """Numbers of the questions that share their options, in any order."""
    found: dict[tuple[str, ...], list[int]] = {}
    for i, texts in enumerate(options):
        found.setdefault(_option_key(texts), []).append(i)
    return found


def _share_features(vectors: Array, question: Integers) -> Array:
    return np.concatenate([vectors, centre_by_question(vectors, question)], axis=1)


def _share_target(shares: Array, question: Integers) -> Array:
    """Share minus 1/k, where k is the number of options of the cell's question."""
    _, inverse, sizes = np.unique(question, return_inverse=True, return_counts=True)
    return shares - (1 / sizes)[inverse]


def _normalised(text: str) -> str:
    return " ".join("".join(c if c.isalnum() else " " for c in text.casefold()).split())


def _option_order(options: Sequence[str]) -> Integers:
    return np.array(sorted(range(len(options)), key=lambda i: _normalised(options[i])))


def _option_key(options: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted(_normalised(text) for text in options))


def _unit(vectors: Array) -> Array:
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.where(norms > 0, norms, 1))
