"""A bank of a user's own groups: what they answered, and what is expected of one more group.

Rows come and go one at a time; a row that is left out takes no part in any figure.
Knows no service, no tenant, no network and no text: questions are told apart by their vectors.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from models.batches import Expectation, FloatArray, Item, Kind, roots
from models.datasets import IntArray
from models.own_kernel import CELLS, Ground, foremost
from models.own_questions import Known, Match, Question, Shelves, unit
from models.prior import Prior, shares_of

COLUMNS = 256  # groups whose departures enter a profile; more make contexts heavy, not better
SHRINK = 0.5  # own groups that a guess counts for, beside those that answered
BASE_GROUPS = 4.0  # most own groups that a figure of the base, known from others, counts for
FLOOR = 0.01  # smallest share or approval that a kernel ridge may give, before normalising
GROUNDS = 4  # kernel matrices kept: one serves nearly all groups
BANKED = (Kind.SHARE, Kind.RATING)


@dataclass(frozen=True, slots=True)
class Row:
    """One group: its slot, its place in a fixed order of ids, its content, what it answered."""

    slot: int
    rank: str
    content: str
    questions: tuple[Question, ...]


@dataclass(frozen=True, slots=True)
class _Told:
    """What the groups that answered said: their number, sum (k,) and profile (k, M)."""

    groups: int
    total: FloatArray
    profile: FloatArray


class OwnBank:
    """Groups by id, over a `base` that says what is expected where they say nothing.

    Not thread-safe; one worker owns it.
    """

    def __init__(self, base: Prior) -> None:
        self._base = base
        self._rows: dict[str, Row] = {}
        self._alike: dict[str, set[int]] = {}
        self._shelves = Shelves()
        self._free: list[int] = []
        self._slots = 0
        self._grounds: dict[tuple[int, ...], Ground] = {}
        self._last: tuple[Sequence[Known], list[list[Match | None]], list[Expectation]] | None
        self._last = None

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def cells(self) -> int:
        """Options and rated responses of all known questions."""
        return self._shelves.cells

    def put(self, group_id: str, items: Sequence[Item], *, content: str = "") -> None:
        """Add a group, or replace its row. What it said twice of a question is averaged.

        `content` names what the row holds, for `same_as`; empty: nothing. Comparisons are left out.
        """
        self.remove(group_id)
        slot = self._free.pop() if self._free else self._slots
        self._slots = max(self._slots, slot + 1)
        kept = [item for item in items if item.kind in BANKED]
        placed = self._shelves.place(_units([(item.kind, item.vectors) for item in kept]))
        answers: dict[int, tuple[Question, list[FloatArray]]] = {}
        for item, match in zip(kept, placed, strict=True):
            if match is not None:
                said = np.empty(len(match.order), np.float32)
                said[match.order] = item.values
                answers.setdefault(id(match.question), (match.question, []))[1].append(said)
        for question, said_often in answers.values():
            often = len(said_often) > 1
            question.answer(slot, np.mean(said_often, 0) if often else said_often[0])
        rank = hashlib.sha256(group_id.encode()).hexdigest()
        questions = tuple(question for question, _ in answers.values())
        self._rows[group_id] = Row(slot, rank, content, questions)
        if content:
            self._alike.setdefault(content, set()).add(slot)
        self._last = None

    def remove(self, group_id: str) -> None:
        """Forget a group and all that it alone was asked; an unknown one is forgotten already."""
        row = self._rows.pop(group_id, None)
        if row is None:
            return
        alike = self._alike.get(row.content, set())
        alike.discard(row.slot)
        if not alike:
            self._alike.pop(row.content, None)
        before = len(self._shelves)
        for question in row.questions:
            self._shelves.withdraw(question, row.slot)
        if len(self._shelves) < before:
            self._grounds.clear()
        self._free.append(row.slot)
        self._last = None

    def same_as(self, group_id: str | None, content: str) -> frozenset[int]:
        """Slots of the group itself and of every row with this content, however it is called."""
        alike = frozenset(self._alike.get(content, ()))
        own = self._rows.get(group_id) if group_id is not None else None
        return alike if own is None else alike | {own.slot}

    def prior_for(self, context: Sequence[Item], without: frozenset[int] = frozenset()) -> OwnPrior:
        """What the groups but those in `without` (slots) say to someone with this context."""
        columns = self._columns([(item.kind, item.vectors) for item in context], without)
        return OwnPrior(self, without, columns)

    def look_up(self, items: Sequence[Known]) -> tuple[list[list[Match | None]], list[Expectation]]:
        """For each item the known questions that it repeats, and what the base expects of it.

        A question is looked up as a whole, rated responses one by one. The last answer is kept,
        as the groups of one request are asked the same.
        """
        if self._last is None or not _same(self._last[0], items):
            flat = [(kind, part) for kind, v in _units(items) for part in _parts(kind, v)]
            found = iter(self._shelves.find(flat))
            matches = [[next(found) for _ in _parts(kind, v)] for kind, v in items]
            self._last = (items, matches, self._base.expect(items))
        return self._last[1], self._last[2]

    def ground(self, kind: Kind, without: frozenset[int]) -> Ground | None:
        """Where the kernel ridge for new questions stands; None without any answers."""
        chosen = foremost(self._shelves.of(kind), without)
        if not chosen:
            return None
        key = tuple(id(question) for question in chosen)
        if key not in self._grounds:
            if len(self._grounds) == GROUNDS:
                del self._grounds[next(iter(self._grounds))]
            bases = self._base.expect([(q.kind, q.vectors) for q in chosen])
            before = np.concatenate([scaled(kind, base.mean) for base in bases])
            self._grounds[key] = Ground.of(chosen, before)
        return self._grounds[key]

    def _columns(self, context: Sequence[Known], without: frozenset[int]) -> IntArray:
        """For each slot its column in a profile, -1 for none.

        Groups that answered most of the context come first; among equals a fixed sample of ids.
        """
        shared = np.zeros(self._slots, np.int64)
        for known in self.look_up(context)[0]:
            for match in known:
                if match is not None:
                    shared[match.question.answers()[0]] += 1
        rows = [row for row in self._rows.values() if row.slot not in without]
        rows.sort(key=lambda row: (-shared[row.slot], row.rank))
        columns = np.full(self._slots, -1, np.int64)
        columns[[row.slot for row in rows[:COLUMNS]]] = np.arange(min(len(rows), COLUMNS))
        return columns


class OwnPrior:
    """What is expected of one group: the mean of the others, shrunk towards the base.

    Good until the bank changes. New questions get what a kernel ridge over the known ones says.
    """

    def __init__(self, bank: OwnBank, without: frozenset[int], columns: IntArray) -> None:
        self._bank = bank
        self._without = without
        self._columns = columns
        self._width = int(columns.max(initial=-1)) + 1
        self._ridges: dict[Kind, tuple[Ground, FloatArray] | None] = {}

    @property
    def nbytes(self) -> int:
        """About how much memory it takes by itself, once new questions were asked."""
        return self._columns.nbytes + 4 * (1 + self._width) * min(self._bank.cells, 2 * CELLS)

    def expect(self, items: Sequence[Known]) -> list[Expectation]:
        """One expectation for each item."""
        matches, bases = self._bank.look_up(items)
        found = [
            self._of(kind, known, base)
            for (kind, _), known, base in zip(items, matches, bases, strict=True)
        ]
        for kind in BANKED:
            new = [
                i for i, (k, _) in enumerate(items) if k is kind and not self._answered(matches[i])
            ]
            for i, lift in zip(new, self._lifts(kind, [items[i][1] for i in new]), strict=True):
                found[i] = _lifted(kind, bases[i], lift)
        return found

    def _answered(self, known: Sequence[Match | None]) -> bool:
        return any(m is not None and len(m.answers(self._without)[0]) for m in known)

    def _of(self, kind: Kind, known: Sequence[Match | None], base: Expectation) -> Expectation:
        mean = scaled(kind, base.mean)
        own = np.zeros((len(mean), self._width), np.float32)
        step = len(mean) // max(len(known), 1)
        groups = 0
        for number, match in enumerate(known):
            cells = slice(number * step, (number + 1) * step)
            if match is not None:
                told = self._told(match)
                groups, own[cells] = told.groups, told.profile
                counted = SHRINK + min(base.support, BASE_GROUPS)
                mean[cells] = (told.total + counted * mean[cells]) / (groups + counted)
        profile = np.concatenate([base.profile, own], axis=1)
        if kind is not Kind.SHARE:
            # The module met every rating in training as a new one: it may not trust them more.
            return replace(base, mean=mean, profile=profile)
        support = base.support + groups
        return replace(base, mean=shares_of(mean), profile=profile, support=support)

    def _told(self, match: Match) -> _Told:
        slots, values = match.answers(self._without)
        values = scaled(match.question.kind, values)
        profile = np.zeros((values.shape[1], self._width), np.float32)
        if len(slots):
            columns = self._columns[slots]
            there = columns >= 0
            # The module takes the mean over the columns that say something: their number is free.
            profile[:, columns[there]] = (values - values.mean(0))[there].T
        return _Told(len(slots), values.sum(0), profile)

    def _lifts(self, kind: Kind, questions: Sequence[FloatArray]) -> list[FloatArray]:
        """What new questions have beyond the base: (k, 1 + M) each, mean and profile."""
        if not questions:
            return []
        if kind not in self._ridges:
            self._ridges[kind] = self._fit(kind)
        ridge = self._ridges[kind]
        if ridge is None:
            return [np.zeros((len(v), 1 + self._width), np.float32) for v in questions]
        ground, alpha = ridge
        parts = [part for v in questions for part in _parts(kind, unit(v))]
        found = ground.predict(alpha, parts)
        if kind is Kind.RATING:
            ends = np.cumsum([len(v) for v in questions])[:-1]
            return np.split(np.concatenate(found), ends)
        return found

    def _fit(self, kind: Kind) -> tuple[Ground, FloatArray] | None:
        ground = self._bank.ground(kind, self._without)
        if ground is None:
            return None
        lifts = []
        for question in ground.questions:
            told = self._told(Match(question, np.arange(len(question.vectors))))
            lifts.append(np.column_stack([told.total / told.groups, told.profile]))
        lift = np.concatenate(lifts)
        lift[:, 0] -= ground.before
        return ground, ground.fit(lift)


def scaled(kind: Kind, values: FloatArray) -> FloatArray:
    """On the scale on which answers are averaged and told apart: roots of shares."""
    return np.array(roots(values) if kind is Kind.SHARE else values, np.float32)


def _lifted(kind: Kind, base: Expectation, lift: FloatArray) -> Expectation:
    """The base with a lift (k, 1 + M): less where the base itself knows the question."""
    before = scaled(kind, base.mean)
    mean = before + base.doubt * lift[:, 0]
    profile = np.concatenate([base.profile, lift[:, 1:]], axis=1)
    if kind is Kind.RATING:
        mean = np.clip(mean, FLOOR, 1 - FLOOR)
    else:
        mean = shares_of(np.maximum(mean, np.minimum(before, np.sqrt(FLOOR))))
    return replace(base, mean=np.asarray(mean, np.float32), profile=profile)


def _units(items: Sequence[Known]) -> list[Known]:
    """The same with unit vectors."""
    if not items:
        return []
    rows = unit(np.concatenate([vectors for _, vectors in items]))
    ends = np.cumsum([len(vectors) for _, vectors in items])[:-1]
    return [(kind, v) for (kind, _), v in zip(items, np.split(rows, ends), strict=True)]


def _parts(kind: Kind, vectors: FloatArray) -> list[FloatArray]:
    """A question is known as a whole, rated responses one by one."""
    return [row[None] for row in vectors] if kind is Kind.RATING else [vectors]


def _same(a: Sequence[Known], b: Sequence[Known]) -> bool:
    return len(a) == len(b) and all(
        x[0] is y[0] and x[1] is y[1] for x, y in zip(a, b, strict=True)
    )
