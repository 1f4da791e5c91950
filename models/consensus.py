"""How much the consensus of the candidates counts beside the module's score, fitted on groups and
prompts that were held out. The consensus stays outside the module, whose scores of a text do not
depend on the other texts.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.contenders import Contender
from models.corpora import Corpora
from models.judges import RatingJudge
from models.regimes import HEADLINE, RatingTask, rating_tasks
from models.scorer import Scored
from models.splits import Part

WEIGHTS = (0.0, 0.1, 0.2, 0.3, 0.5, 0.8)
SEEDS = (0, 1)


def with_consensus(
    judge: RatingJudge, task: RatingTask, scored: Sequence[Scored], weight: float
) -> list[NDArray[np.float64]]:
    """What `/generate` chooses by (n,): the score, and the mean cosine to the other candidates."""
    near = judge.consensus(task)
    return [np.asarray(s.mean + weight * c, np.float64) for s, c in zip(scored, near, strict=True)]


def fit_weight(contender: Contender, corpora: Corpora) -> float:
    """The best of WEIGHTS on the validation part of rated corpora; 0 without any."""
    tasks = [
        task
        for seed in SEEDS
        for task in rating_tasks(
            corpora.corpora, corpora.splits, cross=False, seed=seed, groups=Part.VALIDATION
        )
    ]
    if not tasks:
        return 0.0
    judge = RatingJudge(corpora, in_context=False)
    answers = [(t, contender.approvals(t, HEADLINE)) for t in tasks]

    def uplift(weight: float) -> float:
        terms = [
            pair
            for task, scored in answers
            for pair in judge.terms(task, with_consensus(judge, task, scored, weight))
        ]
        over, under = np.sum(terms, axis=0)
        return float(over / under)

    return max(WEIGHTS, key=uplift)
