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
    """The stages of one request; those of one name may come again and may overlap."""

    def __init__(self) -> None:
        self.started = time.perf_counter()
        self.stages: list[Stage] = []

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

    def timings(self) -> dict[str, float]:
        """Milliseconds as `<stage>_ms`, and `total_ms` since the start.

        While two runs of one stage overlap, the time counts once; two stages that overlap both
        count it, so that the stages may sum to more than the total.
        """
        total = time.perf_counter() - self.started
        names = dict.fromkeys(stage.name for stage in self.stages)
        spans = {name: _covered([s for s in self.stages if s.name == name]) for name in names}
        return {f"{name}_ms": round(s * 1e3, 3) for name, s in {**spans, "total": total}.items()}


def _covered(stages: list[Stage]) -> float:
    """Seconds in which at least one of the stages ran."""
    covered, until = 0.0, float("-inf")
    for stage in sorted(stages, key=lambda s: s.start):
        covered += max(0.0, stage.end - max(stage.start, until))
        until = max(until, stage.end)
    return covered


_CURRENT: ContextVar[Stopwatch | None] = ContextVar("stopwatch", default=None)
