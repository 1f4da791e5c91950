"""The Meter port over the library `limits`: a sliding window, in memory or in a shared Redis.

Owns how a window is read. While Redis does not answer each process counts by itself, so that a
quota never turns into a failure, and never into no quota at all.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import Protocol

from limits import RateLimitItem
from limits.aio.storage import MemoryStorage

from service.adapters.quotas.shared_count import SharedCount, SharedCountDown
from service.core.quotas import Standing

_LOG = logging.getLogger(__name__)


class SlidingWindows(Protocol):
    """What a storage of `limits` has to do."""

    async def acquire_sliding_window_entry(
        self, key: str, limit: int, expiry: int, amount: int = 1
    ) -> bool:
        """Count `amount` if it fits, else nothing."""

    async def get_sliding_window(self, key: str, expiry: int) -> tuple[int, float, int, float]:
        """Counts and seconds to live of the last window and of this one."""


@dataclass(frozen=True, slots=True)
class Window:
    """A window of `seconds`: this one's count, and the last one's, which fades linearly.

    `last_s` and `current_s` are the seconds until a count says nothing any more: the end of this
    window, and of the next one.
    """

    seconds: int
    last: int
    last_s: float
    current: int
    current_s: float

    @property
    def used(self) -> int:
        """What counts now."""
        return math.floor(self.last * self.last_s / self.seconds) + self.current

    @property
    def reset_s(self) -> float:
        """Seconds until nothing counts."""
        return self.current_s if self.current else self.last_s if self.last else 0.0

    def wait_s(self, most: int, cost: int) -> float | None:
        """Seconds until `cost` fits beside what counts; None if it never does."""
        if cost > most:
            return None
        room = most - self.current - cost
        if room >= 0:  # as soon as the last window has faded far enough
            faded = self.last_s - (room + 1) * self.seconds / self.last if self.last else 0.0
        else:  # this window has to become the last one, and to fade
            faded = self.current_s - (most - cost + 1) * self.seconds / self.current
        return max(faded, 0.0)


class WindowMeter:
    """Counts one resource for every caller."""

    def __init__(self, item: RateLimitItem, shared: SharedCount | None) -> None:
        self._item = item
        self._shared = shared
        self._own = MemoryStorage()
        self._alone = False

    @property
    def rate(self) -> str:
        """The quota in words."""
        return str(self._item)

    async def take(self, caller: str, cost: int) -> Standing:
        """Take all of `cost` or nothing; see the port."""
        if self._shared is not None:
            try:
                standing = await self._shared.run(lambda storage: self._take(storage, caller, cost))
            except SharedCountDown as exc:
                if not self._alone:
                    _LOG.warning("quotas are counted by this process alone: %s", exc)
                self._alone = True
            else:
                self._alone = False
                return standing
        return await self._take(self._own, caller, cost)

    async def _take(self, storage: SlidingWindows, caller: str, cost: int) -> Standing:
        key, most, seconds = self._item.key_for(caller), self._item.amount, self._item.get_expiry()
        granted = await storage.acquire_sliding_window_entry(key, most, seconds, cost)
        window = Window(seconds, *await storage.get_sliding_window(key, seconds))
        return Standing(
            granted=granted,
            most=most,
            left=max(most - window.used, 0),
            reset_s=window.reset_s,
            wait_s=0.0 if granted else window.wait_s(most, cost),
        )
