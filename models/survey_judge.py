"""The baselines of surveys, known questions (B) and new ones (C), and their alignment."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models import baselines
from models.batches import FloatArray, Kind
from models.contenders import Contender
from models.corpora import Corpora
from models.datasets import IntArray
from models.judges import Answers, Baselines
from models.kernels import with_residuals
from models.metrics import alignment_js, alignment_wasserstein
from models.prior import PopulationPrior
from models.regimes import HEADLINE, SurveyTask
from models.scorer import Scored
from models.splits import Part, population
from models.tallies import Terms

Reals = NDArray[np.floating]

DENSE = 0.8  # share of cells from which a survey counts as complete
RIDGE = {True: 0.01, False: 0.5}  # CF-ridge: measured best on complete and on sparse surveys
FEWEST_KNOWN = 8  # questions below which no linear map is fitted


class SurveyJudge:
    """The predictors of one survey, fitted on its training part, and their alignments."""

    kind, unit = Kind.SHARE, "alignment"

    def __init__(
        self, corpora: Corpora, number: int, *, known: bool, prior: PopulationPrior | None
    ) -> None:
        """`known`: other groups answered the questions. `prior`: what new ones are expected to."""
        self.corpus, self.vectors = corpora.corpora[number], corpora.vectors[number]
        self.known, self.prior = known, prior
        split = corpora.splits[number]
        self.item = np.repeat(np.arange(self.corpus.items), np.diff(self.corpus.starts))
        self.shares = self.corpus.values[split.groups == Part.TRAIN].astype(np.float64)
        self.mean = baselines.mean_of_groups(self.shares)
        asked = np.flatnonzero(split.items == Part.TRAIN)
        asked = asked[~np.isnan(self.mean[self.corpus.starts[asked]])]
        self.fitted = len(asked) >= FEWEST_KNOWN
        if self.fitted:
            self._fit(asked)

    def _fit(self, asked: IntArray) -> None:
        dense = bool((~np.isnan(self.shares)).mean() > DENSE)
        self.ridge = baselines.ResidualRidge(self.shares, regularisation=RIDGE[dense])
        cells, numbers = self.corpus.cells(asked), asked.tolist()
        self.linear = baselines.LinearShares(
            self.vectors[cells], self.item[cells], self.mean[cells]
        )
        self.neighbours = baselines.Neighbours(
            np.stack([self._of(i).mean(0) for i in numbers]),
            [self._options(i) for i in numbers],
            [self.mean[self._span(i)] for i in numbers],
        )

    def baselines(self) -> Baselines[SurveyTask]:
        """By name; what needs other groups' answers to the same question only if it is known."""
        found: Baselines[SurveyTask] = {
            "uniform": lambda t: [baselines.uniform(len(self._options(i))) for i in t.targets]
        }
        if self.fitted:
            found["linear from the embedding"] = self._linear
        if self.fitted and self.known:
            found["mean of the other groups"] = lambda t: [
                self.mean[self._span(i)] for i in t.targets
            ]
            found["groups weighted by likeness"] = self._likeness
            found["CF-ridge"] = self._ridge
        if self.fitted and not self.known:
            found["neighbours with the same options"] = self._neighbours
        if self.prior is not None and not self.known:
            base = "neighbours + kernel ridge" if self.fitted else "kernel ridge"
            found[base] = lambda t: self._base(t.targets)
            found["the same + residual ridge"] = self._residuals
        return found

    def answers(
        self, contender: Contender, task: SurveyTask, size: int, *, swap: bool = False
    ) -> list[Scored]:
        """The checkpoint's distributions."""
        return contender.distributions(task, size, swap=swap)

    def can_swap(self, task: SurveyTask) -> bool:
        """Whether some group answered enough of the same questions."""
        return task.swap_group is not None

    def truth(self, task: SurveyTask) -> Answers:
        """What the group answered."""
        return [self.corpus.values[task.group, self._span(i)] for i in task.targets]

    def terms(self, task: SurveyTask, answers: Answers) -> Terms:
        """Alignment of each target: 1 - Wasserstein with a scale, else 1 - Jensen-Shannon."""
        found = []
        for i, p, true in zip(task.targets, answers, self.truth(task), strict=True):
            ordinal = self.corpus.ordinal[self._span(i)]
            if np.isnan(ordinal).any():
                found.append((alignment_js(p, true), 1.0))
            else:
                found.append((alignment_wasserstein(p, true, ordinal), 1.0))
        return found

    def label(self, task: SurveyTask) -> tuple[str, str]:
        """The group, and its population: a country may stand there with two samples."""
        group = self.corpus.groups[task.group]
        return group, population(group)

    def _span(self, item: int) -> slice:
        return slice(self.corpus.starts[item], self.corpus.starts[item + 1])

    def _of(self, item: int) -> FloatArray:
        return self.vectors[self._span(item)]

    def _options(self, item: int) -> list[str]:
        return [option for _, option in self.corpus.pairs[self._span(item)]]

    def _by_item(self, values: Reals, cells: IntArray) -> Answers:
        shares = baselines.to_distributions(values, self.item[cells])
        return np.split(shares, np.flatnonzero(np.diff(self.item[cells])) + 1)

    def _linear(self, task: SurveyTask) -> Answers:
        cells = self.corpus.cells(task.targets)
        return self._by_item(self.linear.predict(self.vectors[cells], self.item[cells]), cells)

    def _neighbours(self, task: SurveyTask) -> Answers:
        return [
            self._neighbour(i, fallback=p)
            for i, p in zip(task.targets, self._linear(task), strict=True)
        ]

    def _neighbour(self, item: int, *, fallback: Reals) -> Reals:
        return self.neighbours.predict(
            self._of(item).mean(0), self._options(item), fallback=fallback
        )

    def _base(self, items: IntArray) -> Answers:
        """The kernel ridge, halfway to the neighbours where there are any."""
        assert self.prior is not None
        found = self.prior.unknown([self._of(i) for i in items])
        kernel = [e.mean.astype(np.float64) for e in found]
        if not self.fitted:
            return kernel
        return [
            (p + self._neighbour(i, fallback=p)) / 2 for i, p in zip(items, kernel, strict=True)
        ]

    def _residuals(self, task: SurveyTask) -> Answers:
        assert self.prior is not None
        context = task.context[:HEADLINE]
        left = [
            self.corpus.values[task.group, self._span(i)] - p
            for i, p in zip(context, self._base(context), strict=True)
        ]
        added = with_residuals(
            self.prior,
            [self._of(i) for i in context],
            left,
            [self._of(i) for i in task.targets],
        )
        return [
            baselines.to_distribution(p + a)
            for p, a in zip(self._base(task.targets), added, strict=True)
        ]

    def _context(self, task: SurveyTask) -> tuple[IntArray, Reals]:
        cells = self.corpus.cells(task.context[:HEADLINE])
        return cells, self.corpus.values[task.group, cells].astype(np.float64)

    def _likeness(self, task: SurveyTask) -> Answers:
        cells = self.corpus.cells(task.targets)
        return self._by_item(
            baselines.likeness_weighted(self.shares, *self._context(task), cells), cells
        )

    def _ridge(self, task: SurveyTask) -> Answers:
        cells = self.corpus.cells(task.targets)
        return self._by_item(self.ridge.predict(*self._context(task), cells), cells)
