"""A store whose failures are counted, and how often it had a group's vectors. Knows no metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, cast

from service.core.domain import FloatArray
from service.core.errors import GpoServeError, StoreUnavailable
from service.core.ports import GroupStore


class StoreCounts:
    """Plain counters, for whoever wants to publish them."""

    def __init__(self) -> None:
        self.errors: Counter[type[GpoServeError]] = Counter()
        self.vector_hits = 0
        self.vector_misses = 0


def counted(store: GroupStore, counts: StoreCounts) -> GroupStore:
    """The store, with what becomes of its calls noted in `counts`."""
    return cast(GroupStore, _Gate(store, counts))


class _Gate:
    """Lets every call of the port through one place, so that the port may grow."""

    def __init__(self, store: GroupStore, counts: StoreCounts) -> None:
        self._store = store
        self._counts = counts

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        method = getattr(self._store, name)

        async def call(*args: Any, **kwargs: Any) -> Any:
            try:
                return await method(*args, **kwargs)
            except StoreUnavailable as exc:
                self._counts.errors[type(exc)] += 1
                raise

        setattr(self, name, call)  # found without this detour from now on
        return call

    async def get_vectors(
        self, tenant: str, group_id: str, version: int, embedder_digest: str
    ) -> FloatArray | None:
        """As the store does, counting hits and misses."""
        try:
            found = await self._store.get_vectors(tenant, group_id, version, embedder_digest)
        except StoreUnavailable as exc:
            self._counts.errors[type(exc)] += 1
            raise
        self._counts.vector_hits += found is not None
        self._counts.vector_misses += found is None
        return found
