"""The figures of a report: how near predictions are to answers that are known.

Plain Python over rows. Alignment is that of `gpo evaluate`: 1 minus the 1-Wasserstein distance over
a scale, divided by its length, or minus the Jensen-Shannon distance (the root, base e) without one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import log, sqrt

from service.commands.report.items import Item, Kind, Row, Side, Told, Values

NOMINAL = 0.9
BINS = 5


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean over n values, with its standard error (None for one value)."""

    value: float
    error: float | None
    n: int


@dataclass(frozen=True, slots=True)
class Bin:
    """Values predicted between `low` and `high`: how many, and the means of both."""

    low: float
    high: float
    n: int
    predicted: float
    true: float


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one group; what nothing is known of is None.

    `alignment` over questions, `error` (mean |predicted - true|) over ratings, `right` (the chosen
    response is the one that scores higher) over comparisons, each also for the prior; `covered` and
    `width` of the 90 % intervals over all shares of options and ratings.
    """

    alignment: Mean | None
    alignment_prior: Mean | None
    gain: Mean | None
    error: Mean | None
    error_prior: Mean | None
    right: Mean | None
    right_prior: Mean | None
    covered: Mean | None
    width: Mean | None
    bins: tuple[Bin, ...]


def figures(rows: Sequence[Row], group: int) -> Figures:
    """The figures of the group at a place."""
    sides = [(row.item, row.sides[group]) for row in rows]
    asked = _of(sides, Kind.QUESTION)
    rated = _of(sides, Kind.RATING)
    compared = _of(sides, Kind.COMPARISON)
    now = [alignment(s.told.shares, true, i) for i, s, true in asked]
    before = [alignment(s.prior.shares, true, i) for i, s, true in asked]
    points = list(values(rows, group))
    return Figures(
        alignment=mean(now),
        alignment_prior=mean(before),
        gain=mean(n - b for n, b in zip(now, before, strict=True)),
        error=mean(abs(s.told.shares[0] - true[0]) for _, s, true in rated),
        error_prior=mean(abs(s.prior.shares[0] - true[0]) for _, s, true in rated),
        right=mean(_right(s.told) for _, s, _ in compared),
        right_prior=mean(_right(s.prior) for _, s, _ in compared),
        covered=mean(float(v.inside) for v in points),
        width=mean(v.high - v.low for v in points),
        bins=_bins(points),
    )


@dataclass(frozen=True, slots=True)
class Value:
    """One predicted share with its interval, and the true one."""

    predicted: float
    low: float
    high: float
    true: float

    @property
    def inside(self) -> bool:
        """Whether the true share is inside the interval."""
        return self.low <= self.true <= self.high


def values(rows: Iterable[Row], group: int) -> Iterable[Value]:
    """Every share of an option and of a rating whose true value is known."""
    for row in rows:
        side = row.sides[group]
        if side.true is None or row.item.kind is Kind.COMPARISON:
            continue
        for told in zip(side.told.shares, side.told.low, side.told.high, side.true, strict=True):
            yield Value(*told)


def miss(item: Item, side: Side) -> float | None:
    """How far off a prediction is, in [0, 1]: 1 minus the alignment, or |predicted - true|."""
    if side.true is None or item.kind is Kind.COMPARISON:
        return None
    if item.kind is Kind.RATING:
        return abs(side.told.shares[0] - side.true[0])
    return 1 - alignment(side.told.shares, side.true, item)


def alignment(predicted: Values, true: Values, item: Item) -> float:
    """How near two distributions over the options of an item are; 1 is the same."""
    if item.scale is None:
        middle = [(p + q) / 2 for p, q in zip(predicted, true, strict=True)]
        divergence = (_entropy(predicted, middle) + _entropy(true, middle)) / 2
        return 1 - sqrt(max(divergence, 0.0))
    ordered = sorted(zip(item.scale, predicted, true, strict=True))
    behind = list(accumulate(p - q for _, p, q in ordered))
    gaps = [b[0] - a[0] for a, b in pairwise(ordered)]
    return 1 - sum(abs(d) * g for d, g in zip(behind, gaps, strict=False)) / sum(gaps)


def distance(row: Row) -> float:
    """How far two groups' predictions for one item are from each other, in [0, 1]."""
    one, other = (side.told.shares for side in row.sides)
    if row.item.kind is Kind.QUESTION:
        return 1 - alignment(one, other, row.item)
    return max(abs(a - b) for a, b in zip(one, other, strict=True))


def mean(found: Iterable[float]) -> Mean | None:
    """The mean with its standard error; None of nothing."""
    listed = list(found)
    if not listed:
        return None
    n = len(listed)
    centre = sum(listed) / n
    spread = sum((v - centre) ** 2 for v in listed)
    return Mean(centre, sqrt(spread / (n - 1) / n) if n > 1 else None, n)


def _of(sides: Iterable[tuple[Item, Side]], kind: Kind) -> list[tuple[Item, Side, Values]]:
    return [(i, s, s.true) for i, s in sides if i.kind is kind and s.true is not None]


def _right(told: Told) -> float:
    chosen, rejected = told.shares
    return 0.5 if chosen == rejected else float(chosen > rejected)


def _entropy(p: Sequence[float], q: Sequence[float]) -> float:
    return sum(a * log(a / b) for a, b in zip(p, q, strict=True) if a > 0)


def _bins(points: Sequence[Value]) -> tuple[Bin, ...]:
    found = []
    for number in range(BINS):
        own = [v for v in points if min(int(v.predicted * BINS), BINS - 1) == number]
        if own:
            predicted = sum(v.predicted for v in own) / len(own)
            true = sum(v.true for v in own) / len(own)
            found.append(Bin(number / BINS, (number + 1) / BINS, len(own), predicted, true))
    return tuple(found)
