"""Keeps the scorer's bank of own groups in step with the store, tenant by tenant.

Owns which groups are in a bank and when they are read; knows nothing of what a bank expects.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from service.core.contexts import Contexts
from service.core.domain import Context, FloatArray, Guess, Prediction, Roll, RollEntry, Scores
from service.core.errors import GroupNotFound
from service.core.ports import Bank, GroupStore, Scorer

TENANTS = 16  # whose banks are held; that of the least recently asked one is freed
AT_ONCE = 4_000  # preferences that are read and embedded at a time
GROUPS_AT_ONCE = 64


@dataclass(slots=True)
class _Held:
    """What the bank may have of one tenant; `tag` is None until all of it is in.

    A version of 0 is one that is not known: whatever was being done was broken off.
    """

    tag: str | None = None
    versions: dict[str, int] = field(default_factory=dict)
    users: int = 0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class OwnGroups:
    """Brings the bank up to the store's last acknowledged write before an answer is computed."""

    def __init__(
        self, store: GroupStore, contexts: Contexts, bank: Bank, *, most_preferences: int
    ) -> None:
        self._store = store
        self._contexts = contexts
        self._bank = bank
        self._most_preferences = most_preferences
        self._held: OrderedDict[str, _Held] = OrderedDict()

    @asynccontextmanager
    async def fresh(self, tenant: str) -> AsyncIterator[None]:
        """Inside, the bank holds what was acknowledged before, and is not freed.

        One short read of the store when nothing changed. Raises StoreUnavailable, ScorerFailed,
        Overloaded.
        """
        held = self._held.setdefault(tenant, _Held())
        self._held.move_to_end(tenant)
        held.users += 1
        try:
            await self._refresh(tenant, held)
            yield
        finally:
            held.users -= 1

    async def _refresh(self, tenant: str, held: _Held) -> None:
        if held.tag is not None and held.tag == await self._store.tag(tenant):
            return
        async with held.lock:
            roll = await self._store.roll(tenant)
            if held.tag != roll.tag:
                await self._catch_up(tenant, held, roll)
        await self._free()

    async def _catch_up(self, tenant: str, held: _Held, roll: Roll) -> None:
        held.tag = None
        wanted = within(roll.groups, self._most_preferences)
        gone = [name for name in held.versions if name not in wanted]
        # What was deleted goes first, whatever becomes of the rest.
        if gone:
            await self._bank.remove(tenant, gone)
        for name in gone:
            del held.versions[name]
        new = {n: e for n, e in wanted.items() if held.versions.get(n) != e.version}
        for names in _portions(new):
            await self._read(tenant, held, names)
        held.tag = roll.tag

    async def _read(self, tenant: str, held: _Held, names: Sequence[str]) -> None:
        # Before anything is put: what is broken off is done again, or taken out.
        held.versions.update(dict.fromkeys(names, 0))
        found = await asyncio.gather(*(self._one(tenant, name) for name in names))
        groups = [one for one in found if one is not None]
        await self._bank.put([context for _, context in groups])
        held.versions.update({str(context.group_id): version for version, context in groups})

    async def _one(self, tenant: str, name: str) -> tuple[int, Context] | None:
        try:
            group = await self._store.get(tenant, name)
        except GroupNotFound:
            # Deleted since the roll, and so is the roll's tag out of date: the next one tells.
            return None
        return group.version, (await self._contexts.of(tenant, group)).context

    async def _free(self) -> None:
        idle = [tenant for tenant, held in self._held.items() if not held.users]
        for tenant in idle[: max(len(self._held) - TENANTS, 0)]:
            held = self._held[tenant]
            async with held.lock:
                held.tag = None
                held.versions = dict.fromkeys(held.versions, 0)
                await self._bank.forget(tenant)
                held.versions.clear()
            if not held.users and self._held.get(tenant) is held:
                del self._held[tenant]


class BankedScorer:
    """A Scorer whose answers stand on the tenant's groups as they are when it is asked.

    The contexts of one call are of one tenant.

    Refreshing comes right before the answer, not when a request begins: what was deleted while
    candidates were drawn has no say in the choice among them.
    """

    def __init__(self, scorer: Scorer, groups: OwnGroups) -> None:
        self._scorer = scorer
        self._groups = groups

    @property
    def model(self) -> str:
        """Name and short digest of the checkpoint."""
        return self._scorer.model

    @property
    def consensus_weight(self) -> float:
        """As fitted with the checkpoint."""
        return self._scorer.consensus_weight

    async def predict(
        self,
        contexts: Sequence[Context],
        questions: Sequence[FloatArray],
        *,
        guesses: Sequence[Guess | None] | None = None,
    ) -> list[list[Prediction]]:
        """For each context, for each question's option vectors (k, D): its distribution."""
        async with self._groups.fresh(contexts[0].tenant):
            return await self._scorer.predict(contexts, questions, guesses=guesses)

    async def predict_once(
        self,
        contexts: Sequence[Context],
        questions: Sequence[FloatArray],
        *,
        guesses: Sequence[Guess | None] | None = None,
    ) -> list[list[Prediction]]:
        """The same for contexts that nobody will ask again."""
        async with self._groups.fresh(contexts[0].tenant):
            return await self._scorer.predict_once(contexts, questions, guesses=guesses)

    async def known(
        self, contexts: Sequence[Context], questions: Sequence[FloatArray]
    ) -> list[bool]:
        """For each question's option vectors (k, D): does a bank know it for every context?"""
        async with self._groups.fresh(contexts[0].tenant):
            return await self._scorer.known(contexts, questions)

    async def score(self, contexts: Sequence[Context], responses: FloatArray) -> list[Scores]:
        """For each context: the approval of responses (n, D)."""
        async with self._groups.fresh(contexts[0].tenant):
            return await self._scorer.score(contexts, responses)

    async def check(self) -> None:
        """Return when the worker is alive. Raises ScorerFailed."""
        await self._scorer.check()


def within(groups: Mapping[str, RollEntry], most_preferences: int) -> dict[str, RollEntry]:
    """The groups that a bank takes: all of them, or a sample with so many preferences together.

    The sample follows a hash of the ids, so that every process draws the same one and a new group
    hardly changes it. Groups without preferences are left out.
    """
    order = sorted(groups, key=lambda name: hashlib.sha256(name.encode()).digest())
    chosen, left = {}, most_preferences
    for name in order:
        if 0 < groups[name].preferences <= left:
            chosen[name] = groups[name]
            left -= groups[name].preferences
    return chosen


def _portions(groups: Mapping[str, RollEntry]) -> Iterator[list[str]]:
    portion: list[str] = []
    room = AT_ONCE
    for name, entry in groups.items():
        if portion and (entry.preferences > room or len(portion) == GROUPS_AT_ONCE):
            yield portion
            portion, room = [], AT_ONCE
        portion.append(name)
        room -= entry.preferences
    if portion:
        yield portion
