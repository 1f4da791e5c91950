"""A bank of a user's own groups: what they answered, and what is expected of one more group.

Rows come and go one at a time; a group's own row never takes part in what is expected of it.
Knows no service, no tenant, no network and no text: questions are told apart by their vectors.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from models.batches import Expectation, FloatArray, Item, Kind
from models.datasets import IntArray
from models.own_kernel import OwnKernel
from models.own_questions import Match, Question, Shelves
from models.prior import SHRINK, Prior, unit
from models.published import EvenPrior

COLUMNS = 256  # groups whose departures enter a profile; more make contexts heavy, not better
BASE_GROUPS = 4.0  # most own groups that a known released figure counts for
SCALE = 43.0  # populations whose summed products the learned ridge takes for a covariance
KERNELS = 64  # kernel ridges kept, one for each group whose row is left out

Known = tuple[Kind, FloatArray]


@dataclass(frozen=True, slots=True)
class Row:
    """One registered group: its version, its rank among ids, the questions it answered."""

    version: int
    slot: int
    rank: str
    questions: tuple[Question, ...]


class OwnBank:
    """Registered groups by id. Not thread-safe; one worker owns it."""

    def __init__(self) -> None:
        self._rows: dict[str, Row] = {}
        self._shelves = Shelves()
        self._free: list[int] = []
        self._order: IntArray | None = None
        self._kernels: dict[str | None, OwnKernel] = {}

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def versions(self) -> Mapping[str, int]:
        """The version of each group as it is held."""
        return {group_id: row.version for group_id, row in self._rows.items()}

    @property
    def nbytes(self) -> int:
        """About how much memory the rows take."""
        return self._shelves.nbytes + 500 * len(self._rows)

    def put(self, group_id: str, version: int, items: Sequence[Item]) -> None:
        """Add a group, or replace its row. What it said twice of a question is averaged."""
        self.remove(group_id)
        slot = self._free.pop() if self._free else len(self._rows)
        answers: dict[int, tuple[Question, list[FloatArray]]] = {}
        for item in items:
            question, order = self._shelves.place(item.kind, unit(item.vectors))
            said = np.empty(len(order), np.float32)
            said[order] = item.values
            answers.setdefault(id(question), (question, []))[1].append(said)
        for question, said_often in answers.values():
            self._shelves.answer(question, slot, np.mean(said_often, axis=0, dtype=np.float32))
        rank = hashlib.sha256(group_id.encode()).hexdigest()
        self._rows[group_id] = Row(version, slot, rank, tuple(q for q, _ in answers.values()))
        self._changed()

    def remove(self, group_id: str) -> None:
        """Forget a group and all that it alone was asked; an unknown one is forgotten already."""
        row = self._rows.pop(group_id, None)
        if row is None:
            return
        for question in row.questions:
            self._shelves.withdraw(question, row.slot)
        self._free.append(row.slot)
        self._changed()

    def prior_for(
        self, group_id: str | None, base: Prior | None = None, *, asked: Asked | None = None
    ) -> OwnPrior:
        """What the other groups say, over `base`, or over nothing at all.

        `asked` may be shared by the priors of several groups that are asked the same.
        """
        row = None if group_id is None else self._rows.get(group_id)
        slot = -1 if row is None else row.slot
        return OwnPrior(
            asked=asked or Asked(self, base),
            without=slot,
            columns=self._columns(slot),
            kernel=self._kernel(group_id if row else None, slot) if base is None else None,
        )

    def match(self, items: Sequence[Known]) -> list[list[Match | None]]:
        """For each item the known question that it repeats; for ratings one for each response."""
        flat = [(kind, part) for kind, v in items for part in _parts(kind, unit(v))]
        found = iter(self._shelves.find(flat))
        return [[next(found) for _ in _parts(kind, v)] for kind, v in items]

    def _columns(self, without: int) -> IntArray:
        """For each slot its column in a profile, -1 for none.

        A sample by the hash of the id: the same on every replica, and without `without` the same
        as if that group were not registered.
        """
        if self._order is None:
            rows = sorted(self._rows.values(), key=lambda row: row.rank)
            self._order = np.array([row.slot for row in rows], np.int64)
        chosen = self._order[self._order != without][:COLUMNS]
        columns = np.full(len(self._rows) + len(self._free), -1, np.int64)
        columns[chosen] = np.arange(len(chosen))
        return columns

    def _kernel(self, group_id: str | None, slot: int) -> OwnKernel:
        kernel = self._kernels.pop(group_id, None) or OwnKernel.fit(self._shelves.shares, slot)
        self._kernels[group_id] = kernel
        if len(self._kernels) > KERNELS:
            self._kernels.pop(next(iter(self._kernels)))
        return kernel

    def _changed(self) -> None:
        self._order = None
        self._kernels.clear()


class Asked:
    """What the bank and the base know of the items that were asked last, whoever asks."""

    def __init__(self, bank: OwnBank, base: Prior | None) -> None:
        self._bank = bank
        self._base = base or EvenPrior()
        self._last: tuple[Sequence[Known], list[list[Match | None]], list[Expectation]] | None
        self._last = None

    def look_up(self, items: Sequence[Known]) -> tuple[list[list[Match | None]], list[Expectation]]:
        """The known question of each item, and what the base expects of it."""
        if self._last is None or not _same(self._last[0], items):
            self._last = (items, self._bank.match(items), self._base.expect(items))
        return self._last[1], self._last[2]


class OwnPrior:
    """The prior for one group: `without` is its own slot in the bank, -1 if it has none."""

    def __init__(
        self, *, asked: Asked, without: int, columns: IntArray, kernel: OwnKernel | None
    ) -> None:
        self._asked = asked
        self._without = without
        self._columns = columns
        self._width = int(columns.max(initial=-1)) + 1
        self._kernel = kernel

    def expect(self, items: Sequence[Known]) -> list[Expectation]:
        """One expectation for each item: the other groups' mean, shrunk towards the base."""
        matches, bases = self._asked.look_up(items)
        found = [
            self._of(kind, known, base)
            for (kind, _), known, base in zip(items, matches, bases, strict=True)
        ]
        if self._kernel is not None:
            self._guess(items, found)
        return found

    def _guess(self, items: Sequence[Known], found: list[Expectation]) -> None:
        """New questions from those that the groups answered."""
        assert self._kernel is not None
        new = [
            i for i, (kind, _) in enumerate(items) if kind is Kind.SHARE and not found[i].support
        ]
        means = self._kernel.means([unit(items[i][1]) for i in new])
        for i, mean in zip(new, means, strict=True):
            found[i] = Expectation(mean, found[i].profile)

    def _of(self, kind: Kind, known: Sequence[Match | None], base: Expectation) -> Expectation:
        mean = base.mean.copy()
        profile = np.zeros((len(mean), base.profile.shape[1] + self._width), np.float32)
        profile[:, : base.profile.shape[1]] = base.profile
        own = profile[:, base.profile.shape[1] :]
        step = len(mean) // max(len(known), 1)
        groups = 0
        for number, match in enumerate(known):
            if match is not None:
                cells = slice(number * step, (number + 1) * step)
                groups = self._fill(match, mean[cells], own[cells], base.support)
        if kind is Kind.RATING:
            # The module was trained on ratings as if each were new: it may not trust them more.
            return Expectation(mean, profile)
        support = base.support + groups if kind is Kind.SHARE else 0.0
        return Expectation(mean / mean.sum(), profile, support)

    def _fill(self, match: Match, mean: FloatArray, profile: FloatArray, support: float) -> int:
        """Put what the other groups said into mean (k,) and profile (k, M); how many they are."""
        slots, values = match.answers(self._without)
        if not len(slots):
            return 0
        base = SHRINK + min(support, BASE_GROUPS)
        departure = values - values.mean(0)
        mean[:] = (values.sum(0) + base * mean) / (len(values) + base)
        columns = self._columns[slots]
        there = columns >= 0
        # Products of profiles are then a mean over the groups that answered, whatever their number.
        size = np.sqrt(SCALE / (there.sum() + 1))
        profile[:, columns[there]] = size * departure[there].T
        return len(values)


def _parts(kind: Kind, vectors: FloatArray) -> list[FloatArray]:
    """A question is known as a whole, rated responses one by one."""
    return [row[None] for row in vectors] if kind is Kind.RATING else [vectors]


def _same(a: Sequence[Known], b: Sequence[Known]) -> bool:
    return len(a) == len(b) and all(
        x[0] is y[0] and x[1] is y[1] for x, y in zip(a, b, strict=True)
    )
