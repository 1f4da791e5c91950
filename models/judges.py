"""The predictors that answer the tasks of an evaluation: the module and every baseline.

Knows what was in training and what was not; draws nothing and aggregates nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from models import baselines
from models.batches import FloatArray, Item, Kind
from models.corpora import Corpora
from models.datasets import Corpus, IntArray
from models.metrics import alignment_js, alignment_wasserstein
from models.regimes import RatingTask, SurveyTask
from models.scorer import GPOScorer, Scored
from models.splits import Part, Split

HEADLINE = 20  # context items of the baselines, and of the figures that are quoted
DENSE = 0.8  # share of cells from which a survey counts as complete
RIDGE = {True: 0.01, False: 0.5}  # CF-ridge: measured best on complete and on sparse surveys

Shares = list[FloatArray]
Scores = list[FloatArray]


class SurveyJudge:
    """The predictors of one survey, fitted on its training part, and their alignments."""

    def __init__(self, scorer: GPOScorer, corpora: Corpora, number: int) -> None:
        self.scorer = scorer
        self.corpus, self.vectors = corpora.corpora[number], corpora.vectors[number]
        split = corpora.splits[number]
        self.shares = self.corpus.values[split.groups == Part.TRAIN].astype(np.float64)
        self.mean = baselines.mean_of_groups(self.shares)
        dense = bool((~np.isnan(self.shares)).mean() > DENSE)
        self.ridge = baselines.ResidualRidge(self.shares, regularisation=RIDGE[dense])
        self.item = np.repeat(np.arange(self.corpus.items), np.diff(self.corpus.starts))
        known = np.flatnonzero(split.items == Part.TRAIN)
        known = known[~np.isnan(self.mean[self.corpus.starts[known]])]
        numbers: list[int] = known.tolist()
        cells = self.corpus.cells(known)
        self.linear = baselines.LinearShares(
            self.vectors[cells], self.item[cells], self.mean[cells]
        )
        self.neighbours = baselines.Neighbours(
            np.stack([self.vectors[self._span(i)].mean(0) for i in numbers]),
            [self._options(i) for i in numbers],
            [self.mean[self._span(i)] for i in numbers],
        )

    def predictors(self, known: bool) -> dict[str, Callable[[SurveyTask], Shares]]:
        """By name; what needs other groups' answers to the same question only if it is known."""
        found: dict[str, Callable[[SurveyTask], Shares]] = {
            "uniform": lambda t: [baselines.uniform(len(self._options(i))) for i in t.targets],
            "linear from the embedding": self._linear,
        }
        if not known:
            return found | {"neighbours with the same options": self._neighbours}
        return found | {
            "mean of the other groups": lambda t: [self.mean[self._span(i)] for i in t.targets],
            "groups weighted by likeness": self._likeness,
            "CF-ridge": self._ridge,
        }

    def module(self, task: SurveyTask, size: int, *, swap: bool = False) -> list[Scored]:
        """The checkpoint's answers, from the first `size` context questions.

        `swap` gives it another group's context; the task must have one.
        """
        group = task.swap_group if swap else task.group
        items = [
            Item(
                Kind.SHARE,
                self.vectors[self._span(i)],
                self.corpus.values[group, self._span(i)],
                float(np.nan_to_num(self.corpus.weights[group, i])) or None,
            )
            for i in (task.swap_context if swap else task.context)[:size]
        ]
        context = self.scorer.encode_context(items)
        return list(
            self.scorer.predict(context, [self.vectors[self._span(i)] for i in task.targets])
        )

    def truth(self, task: SurveyTask) -> Shares:
        """What the group answered."""
        return [self.corpus.values[task.group, self._span(i)] for i in task.targets]

    def alignment(self, task: SurveyTask, predicted: Sequence[FloatArray]) -> float:
        """Mean over the targets: 1 - Wasserstein with a scale, else 1 - Jensen-Shannon."""
        scores = []
        for i, p, true in zip(task.targets, predicted, self.truth(task), strict=True):
            ordinal = self.corpus.ordinal[self._span(i)]
            if np.isnan(ordinal).any():
                scores.append(alignment_js(p, true))
            else:
                scores.append(alignment_wasserstein(p, true, ordinal))
        return float(np.mean(scores))

    def _span(self, item: int) -> slice:
        return slice(self.corpus.starts[item], self.corpus.starts[item + 1])

    def _options(self, item: int) -> list[str]:
        return [option for _, option in self.corpus.pairs[self._span(item)]]

    def _by_item(self, values: FloatArray, cells: IntArray) -> Shares:
        shares = baselines.to_distributions(values, self.item[cells])
        return np.split(shares, np.flatnonzero(np.diff(self.item[cells])) + 1)

    def _linear(self, task: SurveyTask) -> Shares:
        cells = self.corpus.cells(task.targets)
        return self._by_item(self.linear.predict(self.vectors[cells], self.item[cells]), cells)

    def _neighbours(self, task: SurveyTask) -> Shares:
        return [
            self.neighbours.predict(
                self.vectors[self._span(i)].mean(0), self._options(i), fallback=p
            )
            for i, p in zip(task.targets, self._linear(task), strict=True)
        ]

    def _context(self, task: SurveyTask) -> tuple[IntArray, FloatArray]:
        cells = self.corpus.cells(task.context[:HEADLINE])
        return cells, self.corpus.values[task.group, cells].astype(np.float64)

    def _likeness(self, task: SurveyTask) -> Shares:
        cells = self.corpus.cells(task.targets)
        return self._by_item(
            baselines.likeness_weighted(self.shares, *self._context(task), cells), cells
        )

    def _ridge(self, task: SurveyTask) -> Shares:
        cells = self.corpus.cells(task.targets)
        return self._by_item(self.ridge.predict(*self._context(task), cells), cells)


class RatingJudge:
    """The predictors of rated free text, and the approval of what each would choose."""

    def __init__(self, scorer: GPOScorer, corpora: Corpora) -> None:
        self.scorer, self.corpora = scorer, corpora
        parts = [_popular(c, x, s) for c, x, s in corpora.of(Kind.RATING)]
        vectors, rates = (np.concatenate(a) for a in zip(*parts, strict=True))
        self.popularity = baselines.popularity(vectors, rates)

    def predictors(self, *, in_context: bool) -> dict[str, Callable[[RatingTask], Scores]]:
        """By name: scores (n,) for each list.

        `in_context`: the context holds ratings, so that a ridge can be fitted to them.
        """
        found: dict[str, Callable[[RatingTask], Scores]] = {
            "popularity, linear": lambda t: [self.popularity(x) for x in self.lists(t)],
            "consensus of the candidates": self._consensus,
        }
        return found | ({"in-context ridge": self._in_context} if in_context else {})

    def module(self, task: RatingTask, size: int, *, swap: bool = False) -> list[Scored]:
        """The checkpoint's scores of each list; `swap` gives it another group's context."""
        group = task.swap_group if swap else task.context_group
        items = self._context(task, group, task.swap_context if swap else task.context)
        context = self.scorer.encode_context(items[:size])
        return [self.scorer.score(context, x) for x in self.lists(task)]

    def lists(self, task: RatingTask) -> list[FloatArray]:
        """Vectors (n, D) of the candidates of each list."""
        corpus, vectors = self.corpora.corpora[task.corpus], self.corpora.vectors[task.corpus]
        return [vectors[corpus.starts[items]] for items in task.lists]

    def rates(self, task: RatingTask) -> list[FloatArray]:
        """The segment's approval (n,) of the candidates of each list."""
        corpus = self.corpora.corpora[task.corpus]
        return [corpus.values[task.group, corpus.starts[items]] for items in task.lists]

    def _context(self, task: RatingTask, group: int, chosen: IntArray) -> list[Item]:
        corpus = self.corpora.corpora[task.context_corpus]
        vectors = self.corpora.vectors[task.context_corpus]
        found = []
        for i in chosen:
            cells = slice(corpus.starts[i], corpus.starts[i + 1])
            weight = float(np.nan_to_num(corpus.weights[group, i])) or None
            found.append(Item(corpus.kind, vectors[cells], corpus.values[group, cells], weight))
        return found

    def _consensus(self, task: RatingTask) -> Scores:
        """Of the answers alone: with the prompt in front all candidates look alike."""
        corpus, answers = self.corpora.corpora[task.corpus], self.corpora.answers[task.corpus]
        return [baselines.consensus(answers[corpus.starts[items]]) for items in task.lists]

    def _in_context(self, task: RatingTask) -> Scores:
        items = self._context(task, task.context_group, task.context[:HEADLINE])
        vectors = np.concatenate([i.vectors for i in items])
        values = np.concatenate([i.values for i in items])
        return [baselines.in_context_ridge(vectors, values, x) for x in self.lists(task)]


def _popular(corpus: Corpus, vectors: FloatArray, split: Split) -> tuple[FloatArray, FloatArray]:
    """Vectors of the training part's responses, and their mean approval."""
    items = np.flatnonzero(split.items == Part.TRAIN)
    rates = baselines.mean_of_groups(corpus.values[split.groups == Part.TRAIN])
    rates = rates[corpus.starts[items]]
    return vectors[corpus.starts[items]][~np.isnan(rates)], rates[~np.isnan(rates)]
