"""The Embedder port over an embedding model: cached vectors, one worker, chunks of texts.

Owns which texts are embedded and when; knows no model beyond its embed().
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np

from models.embedders import Embedder, EmbedderError, text_key
from service.adapters.scoring.worker import Worker
from service.core.byte_lru import ByteLRU
from service.core.domain import EmbedderIdentity, FloatArray
from service.core.errors import ScorerFailed
from service.core.ports import TextMemory
from service.core.request_context import TENANT
from service.core.tally import SIZES, Tally

CHUNK = 64
ENTRY_OVERHEAD = 300
# Counting the tokens of a question takes longer than all else of a request that is cached.
OVERSIZED_BYTES = 4_000_000
OVERSIZED_ENTRY = 250
_Texts = dict[str, str]
_Vectors = dict[str, FloatArray]


class CachingEmbedder:
    """Embeds each text once for each tenant, and keeps its vector as long as there is room."""

    def __init__(self, model: Embedder, worker: Worker, *, cache_bytes: int) -> None:
        self._model = model
        self._worker = worker
        self.cache: ByteLRU[FloatArray] = ByteLRU(cache_bytes)
        self.batch_texts = Tally(SIZES)
        self._oversized: ByteLRU[bool] = ByteLRU(OVERSIZED_BYTES)

    @property
    def identity(self) -> EmbedderIdentity:
        """Name, digest, dimension and languages."""
        info = self._model.info
        return EmbedderIdentity(info.id, info.digest, info.dim, info.languages)

    def oversized(self, pairs: Sequence[tuple[str, str]]) -> list[bool]:
        """For each (prompt, response): are both together longer than the embedder reads?"""
        whose = TENANT.get()
        keys = [whose + text_key(f"{len(prompt)} {prompt}{response}") for prompt, response in pairs]
        found = [self._oversized.get(key) for key in keys]
        new = [i for i, flag in enumerate(found) if flag is None]
        if new:
            flags = self._model.oversized([pairs[i] for i in new])
            for i, flag in zip(new, flags, strict=True):
                found[i] = flag
                self._oversized.put(keys[i], flag, OVERSIZED_ENTRY)
        return [bool(flag) for flag in found]

    def clip(self, prompt: str, response: str) -> tuple[str, str, bool]:
        """The prompt's last 96 and the response's first 152 tokens, and whether text was cut."""
        return self._model.clip(prompt, response)

    async def embed(
        self, pairs: Sequence[tuple[str, str]], *, memory: TextMemory | None = None
    ) -> FloatArray:
        """Vectors (n, D) of prompts beside responses. Raises ScorerFailed, Overloaded.

        At most one chunk of a request waits in the worker's queue, so long requests take turns
        with short ones, and the rest of a cancelled one is never embedded.
        """
        texts = [text.strip() for pair in pairs for text in pair]
        whose = TENANT.get()
        keys = [whose + text_key(text) for text in texts]
        wanted = dict(zip(keys, texts, strict=True))
        found: _Vectors = {}
        for key in wanted:
            vector = self.cache.get(key)
            if vector is not None:
                found[key] = vector
        if memory is not None:
            # What the cache has of requests may not be kept yet.
            memory.keep([wanted[key] for key in found], list(found.values()))
            found |= await self._recall(memory, {k: wanted[k] for k in wanted if k not in found})
        # Texts of like length share a chunk, or padding would take half of the time.
        missing = [key for key in wanted if key not in found]
        missing.sort(key=lambda key: len(wanted[key]))
        for start in range(0, len(missing), CHUNK):
            chunk = {key: wanted[key] for key in missing[start : start + CHUNK]}
            vectors = await self._worker.run(self._embed_batch, chunk, cost=len(chunk))
            found.update(vectors)
            if memory is not None:
                memory.keep(list(chunk.values()), [vectors[key] for key in chunk])
        if not keys:
            return np.empty((0, self._model.dim), dtype=np.float32)
        return self._beside(keys, found)

    def at_hand(
        self, pairs: Sequence[tuple[str, str]], *, memory: TextMemory | None = None
    ) -> FloatArray | None:
        """The vectors if the cache has all of them; see the port."""
        texts = [text.strip() for pair in pairs for text in pair]
        whose = TENANT.get()
        keys: list[str] = []
        found: _Vectors = {}
        known: dict[str, str] = {}  # the questions of a group repeat for each option
        for text in texts:
            key = known.get(text)
            if key is None:
                key = known[text] = whose + text_key(text)
                vector = self.cache.peek(key)
                if vector is None:
                    return None
                found[key] = vector
            keys.append(key)
        if not keys:
            return None
        for key in found:
            self.cache.get(key)  # all of them were of use: they count as hits and stay longer
        if memory is not None:
            memory.keep(list(known), list(found.values()))
        return self._beside(keys, found)

    def _beside(self, keys: Sequence[str], found: _Vectors) -> FloatArray:
        """Prompts beside responses (n, D), whose keys take turns."""
        halves = np.stack([found[key] for key in keys])
        return halves.reshape(-1, self._model.dim)

    async def _recall(self, memory: TextMemory, texts: _Texts) -> _Vectors:
        """What `memory` has of these texts; from then on the cache has it too."""
        found: _Vectors = {}
        if not texts:
            return found
        vectors = await memory.recall(list(texts.values()))
        for key, vector in zip(texts, vectors, strict=True):
            # One that is damaged is made again, and never reaches the scorer.
            if vector is not None and self._is_sound(vector):
                found[key] = vector
                self.cache.put(key, vector, vector.nbytes + ENTRY_OVERHEAD)
        return found

    def _is_sound(self, vector: FloatArray) -> bool:
        return vector.size * 2 == self._model.dim and bool(np.isfinite(vector).all())

    async def check(self) -> None:
        """Return when the worker is alive. Raises ScorerFailed."""
        self._worker.check()

    async def close(self) -> None:
        """Stop the worker that this embedder shares with its scorer."""
        await asyncio.to_thread(self._worker.close)

    def _embed_batch(self, jobs: list[_Texts]) -> list[_Vectors]:
        """In the worker's thread: the union of all jobs' texts, less what came in meanwhile."""
        wanted: _Texts = {}
        for job in jobs:
            wanted |= job
        found: _Vectors = {}
        for key in wanted:
            if (vector := self.cache.peek(key)) is not None:
                found[key] = vector
        missing = [key for key in wanted if key not in found]
        if missing:
            self.batch_texts.add(len(missing))
            try:
                vectors = self._model.embed_texts([wanted[key] for key in missing])
            except EmbedderError as exc:
                raise ScorerFailed(str(exc)) from exc
            for key, vector in zip(missing, vectors, strict=True):
                # A copy, so that one cached row does not keep its whole batch in memory.
                found[key] = vector.copy()
                self.cache.put(key, found[key], vector.nbytes + ENTRY_OVERHEAD)
        return [{key: found[key] for key in job} for job in jobs]
