"""Whether the parts that the service stands on answer."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from service.core.errors import GpoServeError


@dataclass(frozen=True, slots=True)
class Component:
    """One part; `reason` says why it is not ok."""

    ok: bool
    reason: str | None = None


class Readiness:
    """Asks every part at once, none for longer than `timeout_s`; `last` is what they said last."""

    def __init__(
        self, checks: Mapping[str, Callable[[], Awaitable[None]]], *, timeout_s: float = 3.0
    ) -> None:
        self._checks = dict(checks)
        self._timeout_s = timeout_s
        self.last: dict[str, Component] = {}
        self._looking = asyncio.Lock()
        self._seen_at = -math.inf

    async def run(self, *, max_age_s: float = 0.0) -> dict[str, Component]:
        """The parts by name; as they were up to `max_age_s` seconds ago, where that is allowed."""
        if not max_age_s:
            return await self._look()
        async with self._looking:
            if time.monotonic() - self._seen_at > max_age_s:
                await self._look()
            return self.last

    async def _look(self) -> dict[str, Component]:
        found = await asyncio.gather(*(self._ask(check) for check in self._checks.values()))
        self.last = dict(zip(self._checks, found, strict=True))
        self._seen_at = time.monotonic()
        return self.last

    async def _ask(self, check: Callable[[], Awaitable[None]]) -> Component:
        try:
            async with asyncio.timeout(self._timeout_s):
                await check()
        except TimeoutError:
            return Component(False, f"no answer within {self._timeout_s:g} s")
        except GpoServeError as exc:
            return Component(False, str(exc))
        return Component(True)
