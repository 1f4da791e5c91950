"""A checkpoint that takes part in an evaluation: how it answers a task.

Owns the way from a task's item numbers to the scorer. Judges nothing and draws nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.batches import FloatArray, Item
from models.datasets import Corpus, IntArray
from models.regimes import RatingTask, SurveyTask
from models.scorer import GPOScorer, Scored


@dataclass(frozen=True, slots=True)
class Contender:
    """A scorer under a name, with its vectors (N, D) of each of `corpora`."""

    name: str
    scorer: GPOScorer
    corpora: tuple[Corpus, ...]
    vectors: tuple[FloatArray, ...]

    def distributions(self, task: SurveyTask, size: int, *, swap: bool = False) -> list[Scored]:
        """Answers to the targets, from the first `size` context questions.

        `swap` gives it another group's context; the task must have one.
        """
        items = task.swap_context if swap else task.context
        group = task.swap_group if swap and task.swap_group is not None else task.group
        context = self.scorer.encode_context(self._items(task.corpus, group, items[:size]))
        starts, vectors = self.corpora[task.corpus].starts, self.vectors[task.corpus]
        return list(
            self.scorer.predict(context, [vectors[starts[i] : starts[i + 1]] for i in task.targets])
        )

    def approvals(self, task: RatingTask, size: int, *, swap: bool = False) -> list[Scored]:
        """Scores (n,) of the candidates of each list; `swap` as above."""
        items = task.swap_context if swap else task.context
        group = task.swap_group if swap else task.context_group
        context = self.scorer.encode_context(self._items(task.context_corpus, group, items[:size]))
        starts, vectors = self.corpora[task.corpus].starts, self.vectors[task.corpus]
        # A score does not depend on the other candidates, so each response is scored once.
        found, place = np.unique(task.lists, return_inverse=True)
        scored = self.scorer.score(context, vectors[starts[found]])
        return [
            Scored(*(getattr(scored, name)[at] for name in Scored.__slots__))
            for at in place.reshape(task.lists.shape)
        ]

    def _items(self, number: int, group: int, chosen: IntArray) -> list[Item]:
        corpus, vectors = self.corpora[number], self.vectors[number]
        found = []
        for i in chosen:
            cells = slice(corpus.starts[i], corpus.starts[i + 1])
            weight = float(np.nan_to_num(corpus.weights[group, i])) or None
            found.append(Item(corpus.kind, vectors[cells], corpus.values[group, cells], weight))
        return found
