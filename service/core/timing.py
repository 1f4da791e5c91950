"""When the stages of a request ran. Knows no clock but the machine's, and no metrics.

The edge puts a Stopwatch in place for each request, use cases find it with `Stopwatch.current()`,
and whoever publishes times reads its stages afterwards.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Stage:
    """One run of a stage; both instants are time.perf_counter() seconds."""

    name: str
    start: float
    end: float


class Stopwatch:
    """The stages of one request, which may come again and overlap, and counts of what was done."""

    def __init__(self) -> None:
        self.started = time.perf_counter()
        self.stages: list[Stage] = []
        self.counts: dict[str, int] = {}

    @classmethod
    def current(cls) -> Self:
        """The stopwatch of the request that this task works for, else a new one."""
        found = _CURRENT.get()
        return found if isinstance(found, cls) else cls()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Inside the block, and in the tasks started there, this is the current stopwatch."""
        token = _CURRENT.set(self)
        try:
            yield
        finally:
            _CURRENT.reset(token)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Book the time of the block on `name`, also when it fails."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.stages.append(Stage(name, start, time.perf_counter()))

    def count(self, name: str, by: int = 1) -> None:
        """Note how much was done, beside when."""
        self.counts[name] = self.counts.get(name, 0) + by

    def seconds(self) -> dict[str, float]:
        """How long each stage ran, in the order in which they first ended.

        While two runs of one stage overlap, the time counts once; two stages that overlap both
        count it, so that the stages may sum to more than the total.
        """
        runs: dict[str, list[Stage]] = {}
        for stage in self.stages:
            runs.setdefault(stage.name, []).append(stage)
        return {
            name: _covered(found) if len(found) > 1 else found[0].end - found[0].start
            for name, found in runs.items()
        }

    def timings(self) -> dict[str, float]:
        """Milliseconds of each stage as `<stage>_ms`, and `total_ms` since the start."""
        total = time.perf_counter() - self.started
        spans = {**self.seconds(), "total": total}
        return {f"{name}_ms": round(s * 1e3, 3) for name, s in spans.items()}


def _covered(stages: list[Stage]) -> float:
    """Seconds in which at least one of the stages ran."""
    covered, until = 0.0, float("-inf")
    for stage in sorted(stages, key=lambda s: s.start):
        covered += max(0.0, stage.end - max(stage.start, until))
        until = max(until, stage.end)
    return covered


_CURRENT: ContextVar[Stopwatch | None] = ContextVar("stopwatch", default=None)
