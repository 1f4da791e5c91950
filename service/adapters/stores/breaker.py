"""A circuit breaker: after failures in a row, calls are refused for a moment without trying.

Knows no store; all of its calls come from one event loop.
"""

from __future__ import annotations

import time
from collections.abc import Callable


class Breaker:
    """Opens after `threshold` failures in a row; after `pause_s` one call at a time may try."""

    def __init__(
        self,
        *,
        threshold: int = 3,
        pause_s: float = 1.0,
        trial_s: float = 3.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._threshold = threshold
        self._pause_s = pause_s
        self._trial_s = trial_s
        self._failures = 0
        self._retry_at = 0.0

    def allows(self) -> bool:
        """May a call be tried now? A trial that it allows blocks others until it has ended."""
        if self._failures < self._threshold:
            return True
        now = self._clock()
        if now < self._retry_at:
            return False
        # A trial that was cancelled reports nothing, so its claim runs out by itself.
        self._retry_at = now + self._trial_s
        return True

    def succeeded(self) -> None:
        """The call was answered."""
        self._failures = 0

    def failed(self) -> None:
        """The call was not answered."""
        self._failures += 1
        self._retry_at = self._clock() + self._pause_s
