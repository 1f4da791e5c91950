"""From the questions that own groups answered to those that none of them did.

Kernel ridge regression on embeddings, like the released prior's; knows no group and no prior.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.batches import FloatArray
from models.own_questions import Question
from models.prior import Cells, PriorConfig

CELLS = 1500  # options that a ridge stands on: it costs a cubic solve
CONFIG = PriorConfig()  # the widths and the noise are those of the released prior


@dataclass(frozen=True, slots=True)
class Ground:
    """Questions that the ridge stands on: their N cells, and (K + noise)^-1.

    before (N,): what is expected of the cells where no group says anything; the same for all that
    stand here.
    """

    questions: tuple[Question, ...]
    before: FloatArray
    near: Cells
    inverse: NDArray[np.floating]

    @classmethod
    def of(cls, questions: Sequence[Question], before: FloatArray) -> Ground:
        """From at least one question, at most CELLS cells."""
        near = Cells.of([question.vectors for question in questions])
        kernel = near.kernel(near, CONFIG).astype(np.float64)
        inverse = np.linalg.inv(kernel + CONFIG.noise * np.eye(len(kernel)))
        return cls(tuple(questions), before, near, inverse)

    def fit(self, lift: FloatArray) -> FloatArray:
        """Dual coefficients (N, 1 + M) of what the cells have beyond the base (N, 1 + M)."""
        return np.asarray(self.inverse @ lift, np.float32)

    def predict(self, alpha: FloatArray, questions: Sequence[FloatArray]) -> list[FloatArray]:
        """The lift (k, 1 + M) of each new question, from its unit vectors (k, D)."""
        found = Cells.of(questions).kernel(self.near, CONFIG) @ alpha
        ends = np.cumsum([len(vectors) for vectors in questions])[:-1]
        return [np.asarray(part, np.float32) for part in np.split(found, ends)]


def foremost(questions: Sequence[Question], without: frozenset[int]) -> list[Question]:
    """The questions that most other groups answered, up to CELLS cells.

    Neither the answers of the groups in `without`, nor their questions, have a say.
    """
    counted = [(len(q.said) - sum(s in q.said for s in without), q) for q in questions]
    chosen, cells = [], 0
    for count, question in sorted(counted, key=lambda pair: (-pair[0], pair[1].rank)):
        if count == 0 or cells + len(question.vectors) > CELLS:
            break
        chosen.append(question)
        cells += len(question.vectors)
    return sorted(chosen, key=lambda question: question.rank)
