"""The Guesser port over a language model: each question once, its options in several orders.

Owns what is asked at a time and what is kept; the wording and the mean are `models.llm_prior`.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from weakref import WeakValueDictionary

import numpy as np

from models.llm_prior import flat, listings, ranks, shares_of, worded
from service.adapters.generators.together import together
from service.core.admission import Admission
from service.core.byte_lru import ByteLRU
from service.core.domain import ChatPrompt, FloatArray, Guess, Message
from service.core.ports import OptionScorer
from service.core.tenants import cache_salt

AT_A_TIME = 8
"""Listings of one request that are read at the same time, if there are places for so many."""

CACHE_BYTES = 16_000_000
ENTRY_OVERHEAD = 300

Asked = tuple[str, tuple[str, ...]]
"""A question and its options in their canonical order."""


@dataclass(frozen=True, slots=True)
class _Asking:
    """What the calls of one request have in common."""

    gate: asyncio.Semaphore
    deadline: float
    cache_salt: str


class LlmGuesser:
    """Asks once for each question, model and tenant; a call takes a place like a candidate."""

    def __init__(
        self,
        generator: OptionScorer,
        admission: Admission,
        *,
        system_prompt: str | None,
        places: int,
        timeout_s: float,
    ) -> None:
        """`places`: the most that one request may take; `timeout_s`: for all that it asks."""
        self._generator = generator
        self._admission = admission
        self._system = (Message("system", system_prompt),) if system_prompt else ()
        self._places = min(places, AT_A_TIME)
        self._timeout_s = timeout_s
        self.cache: ByteLRU[FloatArray] = ByteLRU(CACHE_BYTES)
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def guess(
        self, questions: Sequence[tuple[str, tuple[str, ...]]], *, tenant: str
    ) -> list[Guess]:
        """One guess for each (question, options); see the port."""
        ranked = [ranks(options) for _, options in questions]
        asked = [
            (question.strip(), tuple(flat(options[i]) for i in order))
            for (question, options), order in zip(questions, ranked, strict=True)
        ]
        found = await self._shares(list(dict.fromkeys(asked)), tenant)
        return [
            Guess(found[each][np.argsort(order)], self._generator.model)
            for each, order in zip(asked, ranked, strict=True)
        ]

    async def _shares(self, asked: Sequence[Asked], tenant: str) -> dict[Asked, FloatArray]:
        keys = {each: self._key(tenant, *each) for each in asked}
        cached = {each: self.cache.get(key) for each, key in keys.items()}
        found = {each: shares for each, shares in cached.items() if shares is not None}
        missing = [each for each in asked if each not in found]
        if missing:
            calls = sum(len(listings(options)) for _, options in missing)
            places = min(self._places, calls)
            with self._admission.reserve(places):
                gate = asyncio.Semaphore(places)
                deadline = time.monotonic() + self._timeout_s
                asking = _Asking(gate, deadline, cache_salt(tenant))
                new = await together(self._ask(m, keys[m], asking) for m in missing)
            found |= dict(zip(missing, new, strict=True))
        return found

    async def _ask(self, asked: Asked, key: str, asking: _Asking) -> FloatArray:
        question, options = asked
        # A question that another request is asking is waited for, not asked again.
        async with self._locks.setdefault(key, asyncio.Lock()):
            shares = self.cache.peek(key)
            if shares is None:
                rows = await together(
                    self._read(worded(question, listed), options, asking)
                    for listed in listings(options)
                )
                shares = shares_of(options, rows)
                self.cache.put(key, shares, shares.nbytes + ENTRY_OVERHEAD)
        return shares

    async def _read(self, text: str, options: tuple[str, ...], asking: _Asking) -> list[float]:
        prompt = ChatPrompt((*self._system, Message("user", text)))
        async with asking.gate:
            return await self._generator.option_logprobs(
                prompt, options, deadline=asking.deadline, cache_salt=asking.cache_salt
            )

    def _key(self, tenant: str, question: str, options: tuple[str, ...]) -> str:
        parts = [tenant, self._generator.model, question, *options]
        return hashlib.sha256(repr(parts).encode("utf-8", "surrogatepass")).hexdigest()
