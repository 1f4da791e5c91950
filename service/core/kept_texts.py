"""Vectors of the texts of stored groups, kept in the store: each text of a tenant is embedded once.

Owns what is kept and when it is written; the store decides how long.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

import numpy as np

from service.core.domain import FloatArray
from service.core.errors import StoreUnavailable
from service.core.ports import GroupStore

_LOG = logging.getLogger(__name__)
_WRITES_AT_ONCE = 64


class KeptTexts:
    """The memory of every tenant. Without it texts are embedded again, so no failure is raised."""

    def __init__(self, store: GroupStore, embedder_digest: str) -> None:
        self._store = store
        self._digest = embedder_digest
        self._writes: set[asyncio.Task[None]] = set()

    def of(self, tenant: str) -> TenantTexts:
        """The memory of one tenant."""
        return TenantTexts(self, tenant)

    async def close(self) -> None:
        """Wait until what is being kept is in the store."""
        await asyncio.gather(*self._writes)

    async def recall(self, tenant: str, texts: Sequence[str]) -> Sequence[FloatArray | None]:
        """The vectors (D,) that are kept."""
        try:
            return await self._store.get_texts(tenant, self._digest, texts)
        except StoreUnavailable as exc:
            _LOG.warning("texts are embedded again, their vectors cannot be read: %s", exc)
            return [None] * len(texts)

    def keep(self, tenant: str, texts: Sequence[str], vectors: Sequence[FloatArray]) -> None:
        """Write vectors behind the answer's back; left out while too many are under way."""
        if len(self._writes) >= _WRITES_AT_ONCE:
            return
        task = asyncio.create_task(self._put(tenant, list(texts), np.stack(vectors)))
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)

    async def _put(self, tenant: str, texts: Sequence[str], vectors: FloatArray) -> None:
        try:
            await self._store.put_texts(tenant, self._digest, texts, vectors)
        except StoreUnavailable as exc:
            _LOG.warning("the vectors of %d texts are not kept: %s", len(texts), exc)


class TenantTexts:
    """A TextMemory: what is kept for one tenant, and for no other."""

    def __init__(self, kept: KeptTexts, tenant: str) -> None:
        self._kept = kept
        self._tenant = tenant

    async def recall(self, texts: Sequence[str]) -> Sequence[FloatArray | None]:
        """Vectors (D,) float32 that are kept, None where there is none."""
        return await self._kept.recall(self._tenant, texts)

    def keep(self, texts: Sequence[str], vectors: Sequence[FloatArray]) -> None:
        """Keep new vectors (D,); returns before that is done."""
        self._kept.keep(self._tenant, texts, vectors)
