"""Whether the parts that the service stands on answer."""

from __future__ import annotations

import asyncio
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

    async def run(self) -> dict[str, Component]:
        """The parts by name."""
        found = await asyncio.gather(*(self._ask(check) for check in self._checks.values()))
        self.last = dict(zip(self._checks, found, strict=True))
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
