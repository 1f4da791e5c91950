"""The baselines of each regime, and what counts as right.

A judge fits its baselines on the training part of a split, leaves out those that it has nothing to
fit on, and measures any answer. Draws nothing and aggregates nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from models import baselines
from models.batches import FloatArray, Kind, halves
from models.contenders import Contender
from models.corpora import Corpora
from models.datasets import Corpus
from models.metrics import uplift_terms
from models.regimes import HEADLINE, RatingTask
from models.scorer import Scored
from models.splits import Part, Split, is_debates
from models.tallies import Terms

Task = TypeVar("Task")
Answers: TypeAlias = Sequence[NDArray[np.floating]]
Baselines: TypeAlias = dict[str, Callable[[Task], Answers]]


class Judge(Protocol[Task]):
    """Of one regime on one corpus."""

    kind: Kind
    unit: str

    def baselines(self) -> Baselines[Task]:
        """The baselines by name."""

    def answers(
        self, contender: Contender, task: Task, size: int, *, swap: bool = False
    ) -> list[Scored]:
        """A checkpoint's answers; `swap` gives it another group's context."""

    def can_swap(self, task: Task) -> bool:
        """Whether there is another group's context."""

    def truth(self, task: Task) -> Answers:
        """What the group answered."""

    def terms(self, task: Task, answers: Answers) -> Terms:
        """(over, under) of each answer; the result is the ratio of their sums."""

    def label(self, task: Task) -> tuple[str, str]:
        """The group, and the cluster of groups that it belongs to."""


class RatingJudge:
    """Free text (F, X) and debates (D): how much of the possible approval a choice earns."""

    kind, unit = Kind.RATING, "uplift"

    def __init__(self, corpora: Corpora, *, in_context: bool) -> None:
        """`in_context`: a context holds ratings, so that a ridge can be fitted to them."""
        self.corpora, self.in_context = corpora, in_context
        parts = [_popular(c, x, s) for c, x, s in corpora.of(Kind.RATING)]
        vectors, rates = (np.concatenate(a) for a in zip(*parts, strict=True))
        self.popularity = baselines.popularity(vectors, rates) if len(rates) else None

    def baselines(self) -> Baselines[RatingTask]:
        """By name: scores (n,) for each list."""
        found: Baselines[RatingTask] = {}
        if self.popularity is not None:
            model = self.popularity
            found["popularity, linear"] = lambda t: [model(x) for x in self._lists(t)]
        found["consensus of the candidates"] = self.consensus
        return found | ({"in-context ridge": self._ridge} if self.in_context else {})

    def answers(
        self, contender: Contender, task: RatingTask, size: int, *, swap: bool = False
    ) -> list[Scored]:
        """The checkpoint's scores of each list."""
        return contender.approvals(task, size, swap=swap)

    def can_swap(self, task: RatingTask) -> bool:
        """There is one, unless nobody else answered."""
        return len(task.swap_context) > 0

    def truth(self, task: RatingTask) -> Answers:
        """The segment's approval (n,) of the candidates of each list."""
        corpus = self.corpora.corpora[task.corpus]
        return [corpus.values[task.group, corpus.starts[items]] for items in task.lists]

    def terms(self, task: RatingTask, answers: Answers) -> Terms:
        """(chosen - random, best - random) of each list."""
        return [uplift_terms(a, t) for a, t in zip(answers, self.truth(task), strict=True)]

    def label(self, task: RatingTask) -> tuple[str, str]:
        """A segment with its file, or a debate's group with its debate."""
        corpus = self.corpora.corpora[task.corpus]
        group = corpus.groups[task.group]
        if is_debates(corpus):
            return group, corpus.pairs[corpus.starts[task.context[0]]][0]
        return f"{corpus.name}: {group}", f"{corpus.name}: {group}"

    def consensus(self, task: RatingTask) -> Answers:
        """How near each candidate (n,) is to the others: of the responses' halves alone."""
        return [baselines.consensus(halves(x)[1]) for x in self._lists(task)]

    def _lists(self, task: RatingTask) -> Sequence[FloatArray]:
        corpus, vectors = self.corpora.corpora[task.corpus], self.corpora.vectors[task.corpus]
        return [vectors[corpus.starts[items]] for items in task.lists]

    def _ridge(self, task: RatingTask) -> Answers:
        corpus, vectors = self.corpora.corpora[task.corpus], self.corpora.vectors[task.corpus]
        cells = corpus.starts[task.context[:HEADLINE]]
        values = corpus.values[task.context_group, cells].astype(np.float64)
        return [baselines.in_context_ridge(vectors[cells], values, x) for x in self._lists(task)]


def _popular(corpus: Corpus, vectors: FloatArray, split: Split) -> tuple[FloatArray, FloatArray]:
    """Vectors of the training part's responses, and their mean approval."""
    items = np.flatnonzero(split.items == Part.TRAIN)
    rates = baselines.mean_of_groups(corpus.values[split.groups == Part.TRAIN])
    rates = rates[corpus.starts[items]]
    return vectors[corpus.starts[items]][~np.isnan(rates)], rates[~np.isnan(rates)]
