"""The Bank port: a bank of own groups for each tenant, in the scoring worker's thread.

Owns the conversion of types and the names of a bank's states; knows no store and no network.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from models.batches import Expectation, Item
from models.batches import Kind as ItemKind
from models.own_bank import OwnBank, OwnPrior
from models.prior import Prior
from service.adapters.scoring.expectations import RememberedPrior
from service.adapters.scoring.worker import Worker
from service.core.byte_lru import ByteLRU
from service.core.domain import Context

PRIOR_BYTES = 32_000_000
BASE_BYTES = 32_000_000


@dataclass(slots=True)
class _TenantBank:
    bank: OwnBank
    state: int


class TenantBanks:
    """Banks by tenant. `key` and `prior` are for the worker's thread alone."""

    def __init__(self, worker: Worker, base: Prior) -> None:
        self._worker = worker
        self._base = base
        self._banks: dict[str, _TenantBank] = {}
        # One count for all, so that a bank that was freed and filled again has new states.
        self._states = itertools.count(1)
        # A request with guesses asks three times for the same one.
        self._priors: ByteLRU[OwnPrior] = ByteLRU(PRIOR_BYTES)
        # The base does not depend on who is asked; every lesser group of an explanation asks it.
        self._bases: ByteLRU[Expectation] = ByteLRU(BASE_BYTES)

    async def put(self, contexts: Sequence[Context]) -> None:
        """Add stored groups, or replace their rows; see the port."""
        jobs = (
            self._worker.run(self._put_batch, context, cost=1 + len(context.items))
            for context in contexts
        )
        await asyncio.gather(*jobs)

    async def remove(self, tenant: str, group_ids: Sequence[str]) -> None:
        """Forget groups; see the port."""
        await self._worker.run(self._remove_batch, (tenant, tuple(group_ids)))

    async def forget(self, tenant: str) -> None:
        """Free a tenant's bank; see the port."""
        await self._worker.run(self._forget_batch, tenant)

    def key(self, context: Context) -> str:
        """Changes whenever what is expected of the context's group may change."""
        held = self._of(context.tenant)
        without = held.bank.same_as(context.group_id, context.digest)
        return f"{context.digest}:{held.state}:{','.join(map(str, sorted(without)))}"

    def prior(self, context: Context, *, keep: bool = True) -> OwnPrior:
        """What the tenant's other groups say to the group of this context.

        `keep`: for the next time that it is asked for.
        """
        key = self.key(context)
        prior = self._priors.get(key)
        if prior is None:
            bank = self._of(context.tenant).bank
            without = bank.same_as(context.group_id, context.digest)
            prior = bank.prior_for(items_of(context), without)
            if keep:
                self._priors.put(key, prior, prior.nbytes)
        return prior

    def _of(self, tenant: str) -> _TenantBank:
        if tenant not in self._banks:
            # The one of a tenant: what another asked answers it no sooner.
            base = RememberedPrior(self._base, self._bases, name=f"{tenant}\0")
            self._banks[tenant] = _TenantBank(OwnBank(base), next(self._states))
        return self._banks[tenant]

    def _put_batch(self, contexts: list[Context]) -> list[None]:
        for context in contexts:
            held = self._of(context.tenant)
            held.state = next(self._states)
            held.bank.put(str(context.group_id), items_of(context), content=context.digest)
        return [None] * len(contexts)

    def _remove_batch(self, jobs: list[tuple[str, tuple[str, ...]]]) -> list[None]:
        for tenant, group_ids in jobs:
            held = self._of(tenant)
            held.state = next(self._states)
            for group_id in group_ids:
                held.bank.remove(group_id)
        return [None] * len(jobs)

    def _forget_batch(self, tenants: list[str]) -> list[None]:
        for tenant in tenants:
            self._banks.pop(tenant, None)
        return [None] * len(tenants)


def items_of(context: Context) -> list[Item]:
    """A context as the module reads it."""
    return [
        Item(ItemKind(item.kind.value), item.vectors, item.values, item.weight)
        for item in context.items
    ]
