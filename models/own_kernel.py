"""From the questions that own groups answered to those that none of them did.

Kernel ridge regression on embeddings, like the released prior's; knows no group and no prior.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.batches import FloatArray
from models.own_questions import Question, unit

CELLS = 1500  # options that a ridge stands on: it costs a cubic solve
QUESTION_WIDTH = 1.0  # the widths and the noise are those of the released prior
OPTION_WIDTH = 0.5
NOISE = 0.1

Near = tuple[FloatArray, FloatArray]


@dataclass(frozen=True, slots=True)
class Ground:
    """Questions that the ridge stands on: directions of their N cells, and (K + noise)^-1."""

    questions: tuple[Question, ...]
    near: Near
    inverse: NDArray[np.floating]

    @classmethod
    def of(cls, questions: Sequence[Question]) -> Ground:
        """From at least one question, at most CELLS cells."""
        near = directions([question.vectors for question in questions])
        kernel = cell_kernel(near, near).astype(np.float64)
        return cls(tuple(questions), near, np.linalg.inv(kernel + NOISE * np.eye(len(kernel))))

    def fit(self, lift: FloatArray) -> FloatArray:
        """Dual coefficients (N, 1 + M) of what the cells have beyond the base (N, 1 + M)."""
        return np.asarray(self.inverse @ lift, np.float32)

    def predict(self, alpha: FloatArray, questions: Sequence[FloatArray]) -> list[FloatArray]:
        """The lift (k, 1 + M) of each new question, from its unit vectors (k, D)."""
        found = cell_kernel(directions(questions), self.near) @ alpha
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


def directions(questions: Sequence[FloatArray]) -> Near:
    """Unit direction of each cell's question (its options' mean) and of its own deviation."""
    x = np.concatenate(questions)
    mean = np.concatenate([np.broadcast_to(v.mean(0), v.shape) for v in questions])
    return unit(mean), unit(x - mean)


def cell_kernel(a: Near, b: Near) -> FloatArray:
    """Kernel (n, m) between cells: alike questions times alike options."""
    question = (a[0] @ b[0].T - 1) / QUESTION_WIDTH
    return np.asarray(np.exp(question + (a[1] @ b[1].T - 1) / OPTION_WIDTH), np.float32)
