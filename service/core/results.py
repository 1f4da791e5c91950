"""Predictions that were made before, by what they depend on. Knows no module and no store.

A context's digest stands for the tenant, the embedder and the content of a group, so that a group
that was changed has no results here; with a bank of own groups the state of all of them counts too.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from service.core.byte_lru import ByteLRU
from service.core.domain import Context, Question

_ENTRY_BYTES = 400
_SHARE_BYTES = 200


@dataclass(frozen=True, slots=True)
class OptionShare:
    """One option's predicted share with its 90 % interval; low <= share <= high in [0, 1]."""

    share: float
    std: float
    low: float
    high: float


Shares = tuple[OptionShare, ...]


class Results:
    """Keeps the shares of questions; `state` tells in what state all groups of a tenant are."""

    def __init__(
        self, cache_bytes: int, *, state: Callable[[str], Awaitable[str]] | None = None
    ) -> None:
        """`state` only where answers depend on the other groups of the tenant."""
        self.cache: ByteLRU[Shares] = ByteLRU(cache_bytes)
        self._state = state

    async def state(self, tenant: str) -> str:
        """What else than context and question an answer depends on."""
        return "" if self._state is None else await self._state(tenant)

    def get(self, state: str, context: Context, question: Question) -> Shares | None:
        """The shares that were put for the same, in the order of the options."""
        return self.cache.get(self._key(state, context, question))

    def put(self, state: str, context: Context, question: Question, shares: Shares) -> None:
        """Keep shares."""
        key = self._key(state, context, question)
        self.cache.put(key, shares, len(key) + _ENTRY_BYTES + _SHARE_BYTES * len(shares))

    def _key(self, state: str, context: Context, question: Question) -> str:
        # A group's own answers are left out of the bank that it is answered from. No text of a
        # request holds U+0000.
        whose = "" if self._state is None else context.group_id or ""
        return "\0".join([state, whose, context.digest, question.question, *question.options])
