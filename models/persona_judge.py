"""The baselines of personas (P), and their accuracy: is it yes or no?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models import baselines
from models.batches import FloatArray, Kind
from models.contenders import Contender
from models.corpora import Corpora
from models.judges import Answers, Baselines
from models.regimes import HEADLINE, SurveyTask
from models.scorer import Scored
from models.splits import Part
from models.tallies import Terms


class PersonaJudge:
    """Yes or no to statements that the persona would or would not make; chance is a half."""

    kind, unit = Kind.SHARE, "accuracy"

    def __init__(self, corpora: Corpora, number: int) -> None:
        self.corpus, self.vectors = corpora.corpora[number], corpora.vectors[number]
        self.statements = corpora.answers[number]
        split = corpora.splits[number]
        self.yes = self.corpus.starts[:-1]  # the cell of each item's first option
        shares = baselines.mean_of_groups(self.corpus.values[split.groups == Part.TRAIN])[self.yes]
        known = np.flatnonzero((split.items == Part.TRAIN) & ~np.isnan(shares))
        self.popularity = (
            baselines.popularity(self.statements[known], shares[known]) if len(known) else None
        )

    def baselines(self) -> Baselines[SurveyTask]:
        """By name: (yes, no) for each statement."""
        found: Baselines[SurveyTask] = {}
        if self.popularity is not None:
            model = self.popularity
            found["popularity, linear"] = lambda t: _pairs(model(self.statements[t.targets]))
        found["share of yes in the context"] = lambda t: _pairs(
            np.full(len(t.targets), self._said(t).mean())
        )
        found["in-context ridge"] = lambda t: self._ridge(t, self.statements)
        found["in-context ridge, yes option"] = lambda t: self._ridge(t, self.vectors[self.yes])
        return found

    def answers(
        self, contender: Contender, task: SurveyTask, size: int, *, swap: bool = False
    ) -> list[Scored]:
        """The checkpoint's (yes, no) for each statement."""
        return contender.distributions(task, size, swap=swap)

    def can_swap(self, task: SurveyTask) -> bool:
        """Whether there is another persona."""
        return task.swap_group is not None

    def truth(self, task: SurveyTask) -> Answers:
        """(1, 0) for what the persona would say, (0, 1) for the rest."""
        starts = self.corpus.starts
        return [self.corpus.values[task.group, starts[i] : starts[i + 1]] for i in task.targets]

    def terms(self, task: SurveyTask, answers: Answers) -> Terms:
        """1 where the likelier option is right, a half for a tie."""
        found = []
        for p, true in zip(answers, self.truth(task), strict=True):
            lead = float(p[0] - p[1]) * float(true[0] - true[1])
            found.append((0.5 if lead == 0 else float(lead > 0), 1.0))
        return found

    def label(self, task: SurveyTask) -> tuple[str, str]:
        """The persona, which is its own cluster."""
        group = self.corpus.groups[task.group]
        return group, group

    def _said(self, task: SurveyTask) -> NDArray[np.float64]:
        cells = self.yes[task.context[:HEADLINE]]
        return np.asarray(self.corpus.values[task.group, cells], np.float64)

    def _ridge(self, task: SurveyTask, vectors: FloatArray) -> Answers:
        context = task.context[:HEADLINE]
        return _pairs(
            baselines.in_context_ridge(vectors[context], self._said(task), vectors[task.targets])
        )


def _pairs(yes: NDArray[np.floating]) -> Answers:
    return [np.array([p, 1 - p]) for p in yes]
