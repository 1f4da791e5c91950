"""How good a checkpoint is beside every baseline, on groups and questions it never met.

Owns the loop over regimes and what is kept of each result. Prints nothing, reads no file.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from tqdm import tqdm

from models.batches import FloatArray, Kind
from models.corpora import Corpora
from models.judges import HEADLINE, RatingJudge, SurveyJudge
from models.metrics import (
    Estimate,
    concentration,
    coverage,
    crps_beta,
    mean_and_error,
    mean_width,
    uplift,
)
from models.regimes import RatingTask, SurveyTask, rating_tasks, survey_tasks
from models.scorer import GPOScorer, Scored
from models.splits import Part

SEEDS = (0, 1, 2)
CONTEXTS = (0, 1, 5, 20, 100)
PLAIN = "Dirichlet around the prior"
SWAPPED = f"module, {HEADLINE}, swapped context"
INTERVAL = 1.645  # half width of a 90 % interval of a normal law, in std


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: a predictor in a regime, mean and standard error over the seeds.

    `unit` is alignment (1 is perfect) or uplift of best-of-16 (0 random, 1 oracle). `worst` is
    the lowest mean of a group; `error` needs two seeds. Coverage and width are those of the
    90 % intervals; `crps` is that of the beta law with the predicted mean and std, lower is
    better. `by_group` holds the mean of each group over the seeds.
    """

    regime: str
    data: str
    predictor: str
    unit: str
    mean: float
    error: float | None
    groups: int
    seeds: tuple[float, ...]
    worst: float | None = None
    coverage: float | None = None
    width: float | None = None
    crps: float | None = None
    by_group: dict[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class _Tally:
    """Results of one predictor while they are gathered, by seed and by group."""

    values: dict[int, dict[str, float]] = field(default_factory=dict)
    laws: list[Scored] = field(default_factory=list)
    truth: list[FloatArray] = field(default_factory=list)

    def row(self, regime: str, data: str, predictor: str, unit: str) -> Row:
        seeds = tuple(float(np.mean(list(v.values()))) for v in self.values.values())
        groups = sorted({g for v in self.values.values() for g in v})
        by_group = {
            g: float(np.mean([v[g] for v in self.values.values() if g in v])) for g in groups
        }
        estimate = mean_and_error(seeds)
        return Row(
            regime=regime,
            data=data,
            predictor=predictor,
            unit=unit,
            mean=estimate.mean,
            error=_error(estimate),
            groups=len(groups),
            seeds=seeds,
            worst=min(by_group.values()),
            by_group=by_group,
            **self._uncertainty(),
        )

    def _uncertainty(self) -> dict[str, float]:
        """Coverage and width of the intervals, and the CRPS, over all cells."""
        if not self.laws:
            return {}
        mean, std, low, high = (
            np.concatenate([getattr(s, n) for s in self.laws]) for n in Scored.__slots__
        )
        truth = np.concatenate(self.truth)
        return {
            "coverage": coverage(low, high, truth),
            "width": mean_width(low, high),
            "crps": float(crps_beta(mean, std, truth).mean()),
        }


class _Tallies:
    """Tallies by predictor, in the order in which predictors first appear."""

    def __init__(self) -> None:
        self._found: dict[str, _Tally] = {}

    def add(self, predictor: str, seed: int, group: str, value: float) -> None:
        self._of(predictor).values.setdefault(seed, {})[group] = value

    def intervals(
        self, predictor: str, scored: Iterable[Scored], truth: Iterable[FloatArray]
    ) -> None:
        tally = self._of(predictor)
        tally.laws += scored
        tally.truth += truth

    def rows(self, regime: str, data: str, unit: str) -> list[Row]:
        rows = [t.row(regime, data, name, unit) for name, t in self._found.items()]
        by_name = {r.predictor: r for r in rows}
        first, last = (by_name.get(_module(n)) for n in (CONTEXTS[0], HEADLINE))
        return rows + ([_difference(first, last)] if first and last else [])

    def _of(self, predictor: str) -> _Tally:
        return self._found.setdefault(predictor, _Tally())


def _error(estimate: Estimate) -> float | None:
    return None if math.isnan(estimate.error) else estimate.error


def is_headline(row: Row) -> bool:
    """Whether a short table shows the row: not the module with other sizes of a context."""
    return row.predictor not in {_module(n) for n in CONTEXTS if n not in (0, HEADLINE)}


def _module(size: int) -> str:
    return f"module, {size} context question{'s' * (size != 1)}"


def _difference(first: Row, last: Row) -> Row:
    """What the context is worth: paired by seed."""
    seeds = tuple(b - a for a, b in zip(first.seeds, last.seeds, strict=True))
    estimate = mean_and_error(seeds)
    name = f"gain from {HEADLINE} context questions"
    return Row(
        last.regime, last.data, name, last.unit, estimate.mean, _error(estimate), last.groups, seeds
    )


def evaluate(
    scorer: GPOScorer, corpora: Corpora, *, seeds: Sequence[int] = SEEDS, progress: bool = True
) -> list[Row]:
    """All regimes with all predictors. Deterministic for a checkpoint, data and seeds."""
    stages: list[Callable[[], list[Row]]] = []
    for number, corpus in enumerate(corpora.corpora):
        if corpus.kind is Kind.SHARE:
            for part in (Part.TRAIN, Part.TEST):
                stages.append(partial(_survey, scorer, corpora, number, part, seeds))
    if any(c.kind is Kind.RATING for c in corpora.corpora):
        for cross in (False, True):
            stages.append(partial(_ratings, scorer, corpora, cross, seeds))
    return [row for stage in tqdm(stages, unit="regime", disable=not progress) for row in stage()]


def _survey(
    scorer: GPOScorer, corpora: Corpora, number: int, part: Part, seeds: Sequence[int]
) -> list[Row]:
    judge, tallies = SurveyJudge(scorer, corpora, number), _Tallies()

    def tasks(groups: Part, seed: int) -> Iterable[SurveyTask]:
        return survey_tasks(
            corpora.corpora,
            corpora.splits,
            corpus=number,
            questions=part,
            groups=groups,
            sizes=(HEADLINE, CONTEXTS[-1]),
            seed=seed,
        )

    held = [(judge.module(t, 0), judge.truth(t)) for t in tasks(Part.VALIDATION, 0)]
    for seed in seeds:
        for task in tasks(Part.TEST, seed):
            _survey_task(judge, task, seed, part is Part.TRAIN, _concentration(held), tallies)
    regime = "B" if part is Part.TRAIN else "C"
    return tallies.rows(regime, corpora.corpora[number].name, "alignment")


def _survey_task(
    judge: SurveyJudge,
    task: SurveyTask,
    seed: int,
    known: bool,
    strength: float | None,
    tallies: _Tallies,
) -> None:
    group, truth = judge.corpus.groups[task.group], judge.truth(task)
    for name, predict in judge.predictors(known).items():
        tallies.add(name, seed, group, judge.alignment(task, predict(task)))
    if task.swap_group is not None:
        swapped = judge.module(task, HEADLINE, swap=True)
        tallies.add(SWAPPED, seed, group, judge.alignment(task, [s.mean for s in swapped]))
    for size in (n for n in CONTEXTS if n <= len(task.context)):
        scored = judge.module(task, size)
        tallies.add(_module(size), seed, group, judge.alignment(task, [s.mean for s in scored]))
        tallies.intervals(_module(size), scored, truth)
        if size == 0 and strength is not None:
            plain = [_plain(s.mean, strength) for s in scored]
            tallies.add(PLAIN, seed, group, judge.alignment(task, [s.mean for s in plain]))
            tallies.intervals(PLAIN, plain, truth)


def _ratings(scorer: GPOScorer, corpora: Corpora, cross: bool, seeds: Sequence[int]) -> list[Row]:
    judge, tallies = RatingJudge(scorer, corpora), _Tallies()

    def tasks(groups: Part, seed: int) -> Iterable[RatingTask]:
        return rating_tasks(
            corpora.corpora,
            corpora.splits,
            cross=cross,
            groups=groups,
            sizes=(HEADLINE, CONTEXTS[-1]),
            seed=seed,
        )

    held = [(judge.module(t, 0), judge.rates(t)) for t in tasks(Part.VALIDATION, 0)]
    for seed in seeds:
        for task in tasks(Part.TEST, seed):
            _rating_task(judge, task, seed, cross, _concentration(held), tallies)
    data = "survey context, rated answers" if cross else "rated answers"
    return tallies.rows("X" if cross else "F", data, "uplift")


def _rating_task(
    judge: RatingJudge,
    task: RatingTask,
    seed: int,
    cross: bool,
    strength: float | None,
    tallies: _Tallies,
) -> None:
    corpus = judge.corpora.corpora[task.corpus]
    rates, group = judge.rates(task), f"{corpus.name}: {corpus.groups[task.group]}"

    def chosen(name: str, scores: Sequence[FloatArray]) -> None:
        tallies.add(name, seed, group, uplift(list(zip(scores, rates, strict=True))).mean)

    for name, predict in judge.predictors(in_context=not cross).items():
        chosen(name, predict(task))
    chosen(SWAPPED, [s.mean for s in judge.module(task, HEADLINE, swap=True)])
    for size in (n for n in CONTEXTS if n <= len(task.context)):
        scored = judge.module(task, size)
        chosen(_module(size), [s.mean for s in scored])
        tallies.intervals(_module(size), scored, rates)
        if size == 0 and strength is not None:
            plain = [_plain(s.mean, strength) for s in scored]
            chosen(PLAIN, [s.mean for s in plain])
            tallies.intervals(PLAIN, plain, rates)


def _concentration(
    held: Sequence[tuple[Sequence[Scored], Sequence[FloatArray]]],
) -> float | None:
    """That of the Dirichlet law around the prior, from groups of the validation part."""
    mean = [s.mean for scored, _ in held for s in scored]
    truth = [t for _, values in held for t in values]
    return concentration(np.concatenate(mean), np.concatenate(truth)) if mean else None


def _plain(mean: FloatArray, strength: float) -> Scored:
    """A Dirichlet law around the prior: the std and 90 % interval of each option."""
    std = np.sqrt(mean * (1 - mean) / (strength + 1))
    low, high = np.maximum(mean - INTERVAL * std, 0), np.minimum(mean + INTERVAL * std, 1)
    return Scored(mean, std, low, high)
