"""Vectors of the texts of stored groups, kept in the store: each text of a tenant is embedded once.

Owns what is kept and when it is written; the store decides how long.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence

import numpy as np

from service.core.byte_lru import ByteLRU
from service.core.domain import FloatArray
from service.core.errors import StoreUnavailable
from service.core.ports import GroupStore

_LOG = logging.getLogger(__name__)
_WRITES_AT_ONCE = 64
# What the store was seen to have is told to it again after so long, which keeps it from expiring
# there while all that use it have it from their own memory.
_RENEW_S = 3_600.0
_SEEN_BYTES, _SEEN_ENTRY = 16_000_000, 160


class KeptTexts:
    """The memory of every tenant. Without it texts are embedded again, so no failure is raised."""

    def __init__(self, store: GroupStore, embedder_digest: str) -> None:
        self._store = store
        self._digest = embedder_digest
        self._writes: set[asyncio.Task[None]] = set()
        self._seen: ByteLRU[float] = ByteLRU(_SEEN_BYTES)

    def of(self, tenant: str) -> TenantTexts:
        """The memory of one tenant."""
        return TenantTexts(self, tenant)

    async def close(self) -> None:
        """Wait until what is being kept is in the store."""
        await asyncio.gather(*self._writes)

    async def recall(self, tenant: str, texts: Sequence[str]) -> Sequence[FloatArray | None]:
        """The vectors (D,) that are kept."""
        try:
            found = await self._store.get_texts(tenant, self._digest, texts)
            self._see(tenant, [t for t, v in zip(texts, found, strict=True) if v is not None])
            return found
        except StoreUnavailable as exc:
            _LOG.warning("texts are embedded again, their vectors cannot be read: %s", exc)
            return [None] * len(texts)

    def keep(self, tenant: str, texts: Sequence[str], vectors: Sequence[FloatArray]) -> None:
        """Write those that the store lacks, behind the answer's back.

        Left out while too many writes are under way.
        """
        new = [i for i, text in enumerate(texts) if not self._is_there(tenant, text)]
        if not new or len(self._writes) >= _WRITES_AT_ONCE:
            return
        rows = np.stack([vectors[i] for i in new])
        task = asyncio.create_task(self._put(tenant, [texts[i] for i in new], rows))
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)

    async def _put(self, tenant: str, texts: Sequence[str], vectors: FloatArray) -> None:
        try:
            await self._store.put_texts(tenant, self._digest, texts, vectors)
            self._see(tenant, texts)
        except StoreUnavailable as exc:
            _LOG.warning("the vectors of %d texts are not kept: %s", len(texts), exc)

    def _is_there(self, tenant: str, text: str) -> bool:
        since = self._seen.peek(_name(tenant, text))
        return since is not None and time.monotonic() - since < _RENEW_S

    def _see(self, tenant: str, texts: Sequence[str]) -> None:
        now = time.monotonic()
        for text in texts:
            self._seen.put(_name(tenant, text), now, _SEEN_ENTRY)


def _name(tenant: str, text: str) -> str:
    # Two texts of one hash would only be embedded once too often.
    return f"{tenant}\0{hash(text)}"


class TenantTexts:
    """A TextMemory: what is kept for one tenant, and for no other."""

    def __init__(self, kept: KeptTexts, tenant: str) -> None:
        self._kept = kept
        self._tenant = tenant

    async def recall(self, texts: Sequence[str]) -> Sequence[FloatArray | None]:
        """Vectors (D,) float32 that are kept, None where there is none."""
        return await self._kept.recall(self._tenant, texts)

    def keep(self, texts: Sequence[str], vectors: Sequence[FloatArray]) -> None:
        """Keep vectors (D,), where they are not there already; returns before that is done."""
        self._kept.keep(self._tenant, texts, vectors)
