"""The questions that a user's own groups were asked, found again by their vectors.

Owns matching and what was answered; knows no prior and no group beyond its slot.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from models.batches import FloatArray, Kind
from models.datasets import IntArray
from models.prior import SAME

SKETCH = 32  # directions in which the middles of questions are compared first
# Two texts that are the same lie no further apart than this, in any projection.
APART = 2 * (1 - SAME) + 1e-5
CHUNK = 256
QUESTION_BYTES = 700  # what a question and its place take beside the vectors
ANSWER_BYTES = 150


@dataclass(slots=True, eq=False)
class Question:
    """Unit vectors (k, D) and, by the slot of a group, its answers (k,)."""

    kind: Kind
    vectors: FloatArray
    position: int
    said: dict[int, FloatArray] = field(default_factory=dict)
    _dense: tuple[IntArray, FloatArray] | None = None

    def answers(self) -> tuple[IntArray, FloatArray]:
        """Slots (n,) and values (n, k) of all groups that answered."""
        if self._dense is None:
            slots = np.fromiter(self.said, np.int64, len(self.said))
            self._dense = slots, np.stack(list(self.said.values()))
        return self._dense

    def change(self, slot: int, values: FloatArray | None) -> None:
        """Set the answer of a group, or take it out."""
        self._dense = None
        if values is None:
            del self.said[slot]
        else:
            self.said[slot] = values


@dataclass(frozen=True, slots=True)
class Match:
    """A known question, and for each asked option the number of its own."""

    question: Question
    order: IntArray

    def answers(self, without: int) -> tuple[IntArray, FloatArray]:
        """Slots (n,) and values (n, k), in the asked order, of the groups but one."""
        slots, values = self.question.answers()
        others = slots != without
        return slots[others], values[others][:, self.order]


class Shelf:
    """All questions of one kind and number of options."""

    def __init__(self) -> None:
        self.questions: list[Question] = []
        self._middles = np.zeros((64, SKETCH), np.float32)

    def add(self, question: Question, middle: FloatArray) -> None:
        """Append; the question knows its position."""
        if question.position == len(self._middles):
            self._middles = np.concatenate([self._middles, np.zeros_like(self._middles)])
        self._middles[question.position] = middle
        self.questions.append(question)

    def drop(self, question: Question) -> None:
        """Take out; the last one moves into its place."""
        last = self.questions.pop()
        if last is not question:
            self._middles[question.position] = self._middles[last.position]
            last.position = question.position
            self.questions[last.position] = last

    def find(self, asked: FloatArray, middles: FloatArray) -> list[Match | None]:
        """The question that each of asked (n, k, D), with middles (n, SKETCH), repeats."""
        found: list[Match | None] = [None] * len(asked)
        here = self._middles[: len(self.questions)]
        if not len(here):
            return found
        apart = (middles**2).sum(1)[:, None] + (here**2).sum(1) - 2 * middles @ here.T
        for i, number in np.argwhere(apart <= APART):
            match = _match(asked[i], self.questions[number])
            # The first in any order of registration would not do: replicas have to agree.
            if match is not None and (found[i] is None or _nearer(asked[i], match, found[i])):
                found[i] = match
        return found


class Shelves:
    """The questions of all kinds."""

    def __init__(self) -> None:
        self._shelves: dict[tuple[Kind, int], Shelf] = {}
        self._directions: FloatArray | None = None
        self.nbytes = 0

    @property
    def shares(self) -> list[Question]:
        """All questions whose answers are shares."""
        shelves = (s for (kind, _), s in self._shelves.items() if kind is Kind.SHARE)
        return [question for shelf in shelves for question in shelf.questions]

    def place(self, kind: Kind, vectors: FloatArray) -> tuple[Question, IntArray]:
        """The question with these unit vectors (k, D), known or new, and its order of options."""
        (known,) = self.find([(kind, vectors)])
        if known is not None:
            return known.question, known.order
        shelf = self._shelves.setdefault((kind, len(vectors)), Shelf())
        # A copy, so that one row does not keep a whole group's vectors in memory.
        question = Question(kind, vectors.copy(), len(shelf.questions))
        shelf.add(question, self._sketch(vectors[None])[0])
        self.nbytes += vectors.nbytes + QUESTION_BYTES
        return question, np.arange(len(vectors))

    def answer(self, question: Question, slot: int, values: FloatArray) -> None:
        """Note what the group of a slot said."""
        question.change(slot, values)
        self.nbytes += values.nbytes + ANSWER_BYTES

    def withdraw(self, question: Question, slot: int) -> None:
        """Forget it, and the question with its last answer."""
        self.nbytes -= question.said[slot].nbytes + ANSWER_BYTES
        question.change(slot, None)
        if not question.said:
            self._shelves[question.kind, len(question.vectors)].drop(question)
            self.nbytes -= question.vectors.nbytes + QUESTION_BYTES

    def find(self, asked: Sequence[tuple[Kind, FloatArray]]) -> list[Match | None]:
        """The known question, if any, of each (kind, unit vectors (k, D))."""
        found: list[Match | None] = [None] * len(asked)
        alike: dict[tuple[Kind, int], list[int]] = {}
        for i, (kind, vectors) in enumerate(asked):
            if (kind, len(vectors)) in self._shelves:
                alike.setdefault((kind, len(vectors)), []).append(i)
        for key, numbers in alike.items():
            for start in range(0, len(numbers), CHUNK):
                chunk = numbers[start : start + CHUNK]
                stacked = np.stack([asked[i][1] for i in chunk])
                matches = self._shelves[key].find(stacked, self._sketch(stacked))
                for i, match in zip(chunk, matches, strict=True):
                    found[i] = match
        return found

    def _sketch(self, stacked: FloatArray) -> FloatArray:
        """Middles (n, SKETCH) of (n, k, D): projected, so never further apart than they were."""
        if self._directions is None:
            dim = stacked.shape[2]
            draw = np.random.default_rng(0).normal(size=(dim, min(SKETCH, dim)))
            basis = np.zeros((dim, SKETCH))
            basis[:, : min(SKETCH, dim)] = np.linalg.qr(draw)[0]
            self._directions = basis.astype(np.float32)
        return np.asarray(stacked.mean(1) @ self._directions, np.float32)


def _match(asked: FloatArray, question: Question) -> Match | None:
    """If the options are exactly those of the question, in any order."""
    closeness = asked @ question.vectors.T
    order = closeness.argmax(1)
    if closeness.max(1).min() < SAME or len(set(order.tolist())) < len(order):
        return None
    return Match(question, order)


def _nearer(asked: FloatArray, match: Match, other: Match | None) -> bool:
    return other is None or _total(asked, match) > _total(asked, other)


def _total(asked: FloatArray, match: Match) -> float:
    return float((asked * match.question.vectors[match.order]).sum())
