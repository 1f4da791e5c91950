"""Kernel ridge regression from the questions that own groups answered to those they did not.

The kernel of the released prior, over the user's own questions; knows no group.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.batches import FloatArray
from models.own_questions import Question
from models.prior import FLOOR, PriorConfig, cell_kernel, directions

CELLS = 600  # options of own questions that the ridge stands on; it costs a cubic solve
CONFIG = PriorConfig()


@dataclass(frozen=True, slots=True)
class OwnKernel:
    """Directions of the known cells and their dual coefficients (N,)."""

    near: tuple[FloatArray, FloatArray]
    alpha: FloatArray

    @classmethod
    def fit(cls, questions: Sequence[Question], without: int) -> OwnKernel:
        """From the mean of the groups but one; the questions that most groups answered first."""
        chosen, means, cells = [], [], 0
        for question in sorted(questions, key=lambda q: _rank(q, without)):
            slots, values = question.answers()
            values = values[slots != without]
            if not len(values) or cells + values.shape[1] > CELLS:
                continue
            chosen.append(question.vectors)
            means.append(values.mean(0) - 1 / values.shape[1])
            cells += values.shape[1]
        if not chosen:
            return cls((np.zeros((0, 1), np.float32),) * 2, np.zeros(0, np.float32))
        near = _near(chosen)
        kernel = cell_kernel(near, near, CONFIG) + CONFIG.noise * np.eye(cells)
        return cls(near, np.asarray(np.linalg.solve(kernel, np.concatenate(means)), np.float32))

    def means(self, questions: Sequence[FloatArray]) -> list[FloatArray]:
        """Expected shares (k,) of new questions with unit vectors (k, D)."""
        if not questions:
            return []
        sizes = [len(v) for v in questions]
        lift = np.zeros(sum(sizes), np.float32)
        if len(self.alpha):
            lift = cell_kernel(_near(questions), self.near, CONFIG) @ self.alpha
        return [_shares(part) for part in np.split(lift, np.cumsum(sizes)[:-1])]


def _near(questions: Sequence[FloatArray]) -> tuple[FloatArray, FloatArray]:
    number = np.repeat(np.arange(len(questions)), [len(v) for v in questions])
    return directions(np.concatenate(questions), number)


def _rank(question: Question, without: int) -> tuple[int, float]:
    """Most answers first; among equals in an order that does not depend on who came first."""
    return -(len(question.said) - (without in question.said)), float(question.vectors.sum())


def _shares(lift: FloatArray) -> FloatArray:
    mean = np.maximum(1 / len(lift) + lift, FLOOR)
    return np.asarray(mean / mean.sum(), np.float32)
