"""A stopwatch books stages, also those that overlap or fail."""

import asyncio
import contextlib
import time

import pytest

from service.core.timing import Stage, Stopwatch


def test_runs_of_a_stage_count_once_where_they_overlap() -> None:
    watch = Stopwatch()
    at = watch.started
    watch.stages += [
        Stage("draw", at, at + 1.0),
        Stage("draw", at + 0.5, at + 2.0),
        Stage("embed", at + 0.5, at + 1.0),
        Stage("draw", at + 3.0, at + 3.5),
        Stage("draw", at + 3.1, at + 3.2),
    ]
    timings = watch.timings()
    assert timings["draw_ms"] == pytest.approx(2500)
    assert timings["embed_ms"] == pytest.approx(500)
    assert list(timings) == ["draw_ms", "embed_ms", "total_ms"]


def test_a_stage_that_fails_is_booked() -> None:
    watch = Stopwatch()
    with contextlib.suppress(ValueError), watch.stage("draw"):
        time.sleep(0.002)
        raise ValueError
    assert watch.timings()["total_ms"] >= watch.timings()["draw_ms"] >= 2


async def test_tasks_of_a_request_share_its_stopwatch() -> None:
    async def work() -> Stopwatch:
        return Stopwatch.current()

    watch = Stopwatch()
    with watch.running():
        assert await asyncio.create_task(work()) is watch
    assert Stopwatch.current() is not watch


def test_counts_add_up_and_are_no_stages() -> None:
    watch = Stopwatch()
    watch.count("drawn")
    watch.count("drawn", 2)
    assert watch.counts == {"drawn": 3}
    assert watch.seconds() == {}
