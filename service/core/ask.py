"""Puts questions to the module: the vectors of their options, a language model's guesses, shares.

Owns what comes before the scorer and after it; knows no store, and nothing of what is kept.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from service.core.contexts import GroupContext, embed_finite
from service.core.domain import FloatArray, Prediction, Question
from service.core.errors import ScorerFailed
from service.core.guesses import Guesses
from service.core.ports import Embedder, Scorer
from service.core.results import OptionShare, Shares
from service.core.timing import Stopwatch


class Ask:
    """The module's answers for groups whose contexts are there."""

    def __init__(
        self, embedder: Embedder, scorer: Scorer, *, guesses: Guesses | None = None
    ) -> None:
        """`guesses`: a language model's, for questions that no bank knows."""
        self._embedder = embedder
        self._scorer = scorer
        self._guesses = guesses

    @property
    def model(self) -> str:
        """Name and short digest of the checkpoint."""
        return self._scorer.model

    @property
    def embedder_digest(self) -> str:
        """Which embedder the vectors are from."""
        return self._embedder.identity.digest

    async def vectors(self, questions: Sequence[Question]) -> list[FloatArray]:
        """Vectors of the options, one (k, D) for each question. Raises ScorerFailed."""
        pairs = [(q.question, option) for q in questions for option in q.options]
        with Stopwatch.current().stage("embed"):
            vectors = await embed_finite(self._embedder, pairs)
        return np.split(vectors, np.cumsum([len(q.options) for q in questions])[:-1])

    async def shares(
        self,
        groups: Sequence[GroupContext],
        questions: Sequence[Question],
        vectors: Sequence[FloatArray],
        *,
        at: Sequence[str],
        once: bool = False,
    ) -> list[list[Shares]]:
        """The answers: (group, question). `at` holds a pointer for each question.

        `once`: nobody will ask these groups again, so that nothing of them is kept.
        Raises ScorerFailed, Overloaded, InputTooLarge, and what Guesses raises.
        """
        watch = Stopwatch.current()
        contexts, guesses = [g.context for g in groups], None
        if self._guesses is not None:
            with watch.stage("prior"):
                contexts = await self._guesses.of_contexts(groups)
                guesses = await self._guesses.of_questions(contexts, questions, vectors, at=at)
        predict = self._scorer.predict_once if once else self._scorer.predict
        with watch.stage("score"):
            results = await predict(contexts, vectors, guesses=guesses)
            return [[_shares(result) for result in row] for row in results]


def _shares(prediction: Prediction) -> Shares:
    """Shares in double precision, so that they sum to 1 beyond what float32 can hold."""
    shares, std, low, high = (
        values.tolist()
        for values in (prediction.distribution, prediction.std, prediction.low, prediction.high)
    )
    total = sum(shares)
    if not all(map(math.isfinite, (*shares, *std, *low, *high))) or total <= 0:
        raise ScorerFailed("The module gave a share that is not finite.")
    return tuple(
        OptionShare(share, s, min(max(lo, 0.0), share), max(min(hi, 1.0), share))
        for share, s, lo, hi in zip((_unit(p / total) for p in shares), std, low, high, strict=True)
    )


def _unit(value: float) -> float:
    return min(max(value, 0.0), 1.0)
