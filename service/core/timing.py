"""How long the steps of a request took."""

from __future__ import annotations

import time


class Stopwatch:
    """Laps in milliseconds; a name that comes twice adds up."""

    def __init__(self) -> None:
        self._start = self._last = time.perf_counter()
        self._laps: dict[str, float] = {}

    def lap(self, name: str) -> None:
        """Book the time since the last lap on `name`."""
        now = time.perf_counter()
        self._laps[name] = self._laps.get(name, 0.0) + (now - self._last) * 1000
        self._last = now

    def timings(self) -> dict[str, float]:
        """Every lap, and `total_ms` since the start."""
        total = (time.perf_counter() - self._start) * 1000
        return {name: round(ms, 3) for name, ms in {**self._laps, "total_ms": total}.items()}
