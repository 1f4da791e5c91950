"""The questions that own groups were asked, found again by their vectors.

Owns matching and who answered what; knows no prior, no text, and no group beyond its slot.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from models.batches import FloatArray, Kind, halves
from models.batches import unit as unit_rows
from models.datasets import IntArray
from models.prior import SAME

SKETCH = 32  # directions in which the middles of questions are compared first
APART = 2 * (1 - SAME) + 1e-5  # squared distance of unit vectors that are the same, or less
CHUNK = 256  # questions that are looked for at a time, which bounds memory
MOST = 20_000  # distinct questions; what is asked beyond them is left out

Known = tuple[Kind, FloatArray]


@dataclass(slots=True, eq=False)
class Question:
    """Unit vectors (k, D) and, by the slot of a group, its answers (k,)."""

    kind: Kind
    vectors: FloatArray
    position: int
    rank: float  # an order among questions that does not depend on who asked first
    said: dict[int, FloatArray] = field(default_factory=dict)
    _dense: tuple[IntArray, FloatArray] | None = None

    def answers(self, without: frozenset[int] = frozenset()) -> tuple[IntArray, FloatArray]:
        """Slots (n,) and values (n, k) of the groups that answered, less some."""
        if self._dense is None:
            slots = np.array(sorted(self.said), np.int64)
            self._dense = slots, np.stack([self.said[s] for s in slots.tolist()])
        slots, values = self._dense
        if without.isdisjoint(self.said):
            return slots, values
        others = ~np.isin(slots, list(without))
        return slots[others], values[others]

    def answer(self, slot: int, values: FloatArray) -> None:
        """Set what a group said."""
        self.said[slot] = values
        self._dense = None

    def withdraw(self, slot: int) -> None:
        """Forget what a group said."""
        del self.said[slot]
        self._dense = None


@dataclass(frozen=True, slots=True)
class Match:
    """A known question, and for each asked option the number of its own."""

    question: Question
    order: IntArray

    def answers(self, without: frozenset[int]) -> tuple[IntArray, FloatArray]:
        """Slots (n,) and values (n, k), in the asked order, of the groups but some."""
        slots, values = self.question.answers(without)
        return slots, values[:, self.order]


class Shelf:
    """All questions of one kind and number of options."""

    def __init__(self) -> None:
        self.questions: list[Question] = []
        self._middles = np.zeros((64, SKETCH), np.float32)

    def add(self, kind: Kind, vectors: FloatArray, middle: FloatArray) -> Question:
        """A new question with a copy of its vectors; it knows its position."""
        place = len(self.questions)
        if place == len(self._middles):
            self._middles = np.concatenate([self._middles, np.zeros_like(self._middles)])
        self._middles[place] = middle
        self.questions.append(Question(kind, vectors.copy(), place, float(vectors.sum())))
        return self.questions[-1]

    def drop(self, question: Question) -> None:
        """Take out; the last one moves into its place."""
        last = self.questions.pop()
        if last is not question:
            self._middles[question.position] = self._middles[last.position]
            last.position = question.position
            self.questions[last.position] = last

    def find(self, asked: FloatArray, middles: FloatArray, *, start: int = 0) -> list[Match | None]:
        """The question that each of asked (n, k, D), with middles (n, SKETCH), repeats.

        Only those from position `start` on are looked at.
        """
        found: list[Match | None] = [None] * len(asked)
        best = np.zeros(len(asked))
        here = self._middles[start : len(self.questions)]
        apart = (middles**2).sum(1)[:, None] + (here**2).sum(1) - 2 * middles @ here.T
        near = np.argwhere(apart <= APART)
        for at in range(0, len(near), CHUNK):
            part = near[at : at + CHUNK]
            known = [self.questions[start + number] for number in part[:, 1].tolist()]
            order, total = _matches(asked[part[:, 0]], known)
            # Of several the nearest, not the first to be registered: processes have to agree.
            for row in np.flatnonzero(total > best[part[:, 0]]).tolist():
                i = part[row, 0]
                if total[row] > best[i]:
                    found[i], best[i] = Match(known[row], order[row]), total[row]
        return found


class Shelves:
    """The questions of all kinds."""

    def __init__(self) -> None:
        self._shelves: dict[tuple[Kind, int], Shelf] = {}
        self._directions: FloatArray | None = None

    def __len__(self) -> int:
        return sum(len(shelf.questions) for shelf in self._shelves.values())

    @property
    def cells(self) -> int:
        """Options of all questions."""
        return sum(size * len(shelf.questions) for (_, size), shelf in self._shelves.items())

    def of(self, kind: Kind) -> list[Question]:
        """All questions of a kind."""
        shelves = [s for (k, _), s in self._shelves.items() if k is kind]
        return [question for shelf in shelves for question in shelf.questions]

    def place(self, asked: Sequence[Known]) -> list[Match | None]:
        """The question of each (kind, unit vectors (k, D)), known or new; None beyond MOST."""
        found = self.find(asked)
        starts = {key: len(shelf.questions) for key, shelf in self._shelves.items()}
        room = MOST - len(self)
        for i, (kind, vectors) in enumerate(asked):
            if found[i] is not None:
                continue
            key = (kind, len(vectors))
            shelf = self._shelves.setdefault(key, Shelf())
            middle = self._sketch(vectors[None])
            # The same group may ask the same twice.
            (found[i],) = shelf.find(vectors[None], middle, start=starts.get(key, 0))
            if found[i] is None and room > 0:
                found[i] = Match(shelf.add(kind, vectors, middle[0]), np.arange(len(vectors)))
                room -= 1
        return found

    def withdraw(self, question: Question, slot: int) -> None:
        """Forget what a group said, and the question with its last answer."""
        question.withdraw(slot)
        if not question.said:
            self._shelves[question.kind, len(question.vectors)].drop(question)

    def find(self, asked: Sequence[Known]) -> list[Match | None]:
        """The known question, if any, of each (kind, unit vectors (k, D))."""
        found: list[Match | None] = [None] * len(asked)
        alike: dict[tuple[Kind, int], list[int]] = {}
        for i, (kind, vectors) in enumerate(asked):
            if (kind, len(vectors)) in self._shelves:
                alike.setdefault((kind, len(vectors)), []).append(i)
        for key, numbers in alike.items():
            for at in range(0, len(numbers), CHUNK):
                chunk = numbers[at : at + CHUNK]
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


def unit(x: FloatArray) -> FloatArray:
    """Rows of unit length, to which prompt and response contribute alike; zeros stay zeros."""
    both = np.concatenate([unit_rows(half) for half in halves(x)], axis=1)
    return np.asarray(both / np.sqrt(2), np.float32)


def _matches(asked: FloatArray, known: Sequence[Question]) -> tuple[IntArray, NDArray[np.floating]]:
    """For n pairs of asked (n, k, D) and known: order (n, k) of the options, and sum of cosines.

    A cosine is the lower one of prompt and response. The sum is 0 where the options are not
    exactly the same, in any order.
    """
    there = np.stack([question.vectors for question in known]).transpose(0, 2, 1)
    middle = asked.shape[2] // 2
    prompt = asked[:, :, :middle] @ there[:, :middle]
    closeness = 2 * np.minimum(prompt, asked[:, :, middle:] @ there[:, middle:])
    order, nearest = closeness.argmax(2), closeness.max(2)
    each_once = (np.sort(order, 1) == np.arange(order.shape[1])).all(1)
    same = each_once & (nearest.min(1) >= SAME)
    return order, np.where(same, nearest.sum(1), 0)
