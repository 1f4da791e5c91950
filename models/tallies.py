"""What an evaluation keeps of its results, and the rows that it makes of them.

Owns the sums by predictor, seed and group, their errors and their calibration. Knows no model.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.batches import FloatArray
from models.metrics import coverage, crps_beta, mean_and_error, mean_width
from models.scorer import Scored

# Nominal coverage in per cent, and the half width of such an interval of a normal law, in std.
LEVELS = {"50": 0.6745, "80": 1.2816, "90": 1.6449, "95": 1.96}
BINS = 10  # of the predicted values, in the reliability diagram
FEWEST_IN_BIN = 10

Terms = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Predictor:
    """Who answered: `role` is baseline, prior, swapped, module, gain or published.

    `source` names the checkpoint and `context` counts its items; a baseline has none of the two.
    """

    name: str
    role: str = "baseline"
    source: str = ""
    context: int | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: a predictor in a regime.

    `unit` is alignment (1 is perfect), uplift (0 a random choice, 1 the best one) or accuracy.
    `error` is the standard error over the seeds, that is of the draw of the contexts;
    `group_error` that over the groups (by population, in debates by debate), who are few and the
    same for each seed. `worst` is the lowest mean of a group. Coverage and width are those of the
    90 % intervals; `levels` holds the observed coverage by nominal level in per cent,
    `reliability` the mean prediction, mean true value and number of values in tenths of the
    predictions. `crps` is that of the beta law with the predicted mean and std, lower is better.
    """

    regime: str
    data: str
    predictor: str
    unit: str
    mean: float
    error: float | None
    groups: int
    seeds: tuple[float, ...]
    group_error: float | None = None
    worst: float | None = None
    coverage: float | None = None
    width: float | None = None
    crps: float | None = None
    role: str = "baseline"
    source: str = ""
    context: int | None = None
    by_group: dict[str, float] = field(default_factory=dict)
    levels: dict[str, float] = field(default_factory=dict)
    reliability: tuple[tuple[float, float, int], ...] = ()


@dataclass(slots=True)
class _Tally:
    """Results of one predictor while they are gathered: sums (over, under) by seed and group."""

    predictor: Predictor
    sums: dict[int, dict[str, NDArray[np.float64]]] = field(default_factory=dict)
    laws: list[Scored] = field(default_factory=list)
    truth: list[FloatArray] = field(default_factory=list)

    def values(self) -> list[dict[str, float]]:
        """The result of each group, for each seed; a group without headroom is left out."""
        return [
            {g: float(over / under) for g, (over, under) in found.items() if under > 0}
            for found in self.sums.values()
        ]

    def row(self, regime: str, data: str, unit: str, clusters: Mapping[str, str]) -> Row | None:
        values = [v for v in self.values() if v]
        if not values:
            return None
        seeds = tuple(float(np.mean(list(v.values()))) for v in values)
        names = sorted({g for v in values for g in v})
        by_group = {g: float(np.mean([v[g] for v in values if g in v])) for g in names}
        who = self.predictor
        return Row(
            regime=regime,
            data=data,
            predictor=who.name,
            unit=unit,
            mean=float(np.mean(seeds)),
            error=_error(seeds),
            groups=len(by_group),
            seeds=seeds,
            group_error=_group_error(by_group, clusters),
            worst=min(by_group.values()),
            role=who.role,
            source=who.source,
            context=who.context,
            by_group=by_group,
            **self._uncertainty(),
        )

    def _uncertainty(self) -> dict[str, Any]:
        """Coverage and width of the intervals, reliability and CRPS, over all values."""
        if not self.laws:
            return {}
        mean, std, low, high = (
            np.concatenate([getattr(s, n) for s in self.laws]) for n in Scored.__slots__
        )
        truth = np.concatenate(self.truth)
        off = np.abs(truth - mean)
        return {
            "coverage": coverage(low, high, truth),
            "width": mean_width(low, high),
            "crps": float(crps_beta(mean, std, truth).mean()),
            "levels": {name: float((off <= std * z + 1e-6).mean()) for name, z in LEVELS.items()},
            "reliability": reliability(mean, truth),
        }


class Tallies:
    """Tallies by predictor, in the order in which predictors first appear."""

    def __init__(self) -> None:
        self._found: dict[Predictor, _Tally] = {}
        self._clusters: dict[str, str] = {}

    def add(
        self, who: Predictor, seed: int, group: str, terms: Terms, *, cluster: str | None = None
    ) -> None:
        """Add (over, under) pairs, of which a group's result is the ratio of the sums.

        Groups of a `cluster` (default: each its own) count as one in the error over groups.
        """
        self._clusters[group] = cluster or group
        sums = self._of(who).sums.setdefault(seed, {}).setdefault(group, np.zeros(2))
        sums += np.asarray(terms, np.float64).reshape(-1, 2).sum(0)

    def intervals(
        self,
        who: Predictor,
        scored: Iterable[Scored],
        truth: Iterable[FloatArray],
    ) -> None:
        """Add laws and what was true."""
        tally = self._of(who)
        for s, t in zip(scored, truth, strict=True):
            tally.laws.append(s)
            tally.truth.append(t)

    def rows(self, regime: str, data: str, unit: str, *, headline: int) -> list[Row]:
        """A row for each predictor, and what `headline` context items are worth to each module."""
        made = [t.row(regime, data, unit, self._clusters) for t in self._found.values()]
        rows: list[Row] = []
        for row in (r for r in made if r is not None):
            rows.append(row)
            if row.role == "module" and row.context == headline:
                none = [r for r in rows if (r.source, r.context) == (row.source, 0)]
                rows += [self._gain(n, row) for n in none if n.role == "module"]
        return rows

    def _gain(self, none: Row, some: Row) -> Row:
        """What the context is worth: paired by seed and by group."""
        seeds = tuple(b - a for a, b in zip(none.seeds, some.seeds, strict=True))
        by_group = {g: v - none.by_group[g] for g, v in some.by_group.items()}
        first = some.predictor.startswith("module, ")
        name = f"gain from {some.context} context questions"
        return replace(
            some,
            predictor=name if first else f"{some.source}, gain from {some.context}",
            mean=float(np.mean(seeds)),
            error=_error(seeds),
            seeds=seeds,
            group_error=_group_error(by_group, self._clusters),
            worst=min(by_group.values()),
            coverage=None,
            width=None,
            crps=None,
            role="gain",
            by_group=by_group,
            levels={},
            reliability=(),
        )

    def _of(self, who: Predictor) -> _Tally:
        return self._found.setdefault(who, _Tally(who))


def reliability(mean: FloatArray, truth: FloatArray) -> tuple[tuple[float, float, int], ...]:
    """Mean prediction, mean true value and their number, by tenths of the predictions (n,)."""
    bins = np.minimum((mean * BINS).astype(int), BINS - 1)
    return tuple(
        (float(mean[at].mean()), float(truth[at].mean()), int(at.sum()))
        for at in (bins == b for b in range(BINS))
        if at.sum() >= FEWEST_IN_BIN
    )


def _error(values: Sequence[float]) -> float | None:
    error = mean_and_error(values).error
    return None if math.isnan(error) else error


def _group_error(by_group: Mapping[str, float], clusters: Mapping[str, str]) -> float | None:
    """Standard error over the clusters of groups, each with its mean."""
    members: dict[str, list[float]] = {}
    for group, value in by_group.items():
        members.setdefault(clusters[group], []).append(value)
    return _error([float(np.mean(values)) for values in members.values()])
