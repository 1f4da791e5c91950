"""The worker: batches what waits, refuses when full, forgets who left, survives bad jobs."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator

import pytest

from service.adapters.scoring.worker import Worker
from service.core.errors import Overloaded, ScorerFailed
from service.core.request_context import REQUEST_ID


class Doubler:
    """Doubles numbers; can be held, and records every batch and the thread it ran in."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.batches: list[list[int]] = []
        self.threads: set[int] = set()

    def __call__(self, payloads: list[int]) -> list[int]:
        self.batches.append(payloads)
        self.threads.add(threading.get_ident())
        self.entered.set()
        assert self.gate.wait(30)
        if -1 in payloads:
            raise ValueError("a negative number")
        if -2 in payloads:
            raise SystemExit
        return [2 * n for n in payloads]


@pytest.fixture
async def worker() -> AsyncIterator[Worker]:
    made = Worker(max_jobs=4, max_batch=3)
    yield made
    await asyncio.to_thread(made.close)


@pytest.fixture
def doubler() -> Doubler:
    return Doubler()


async def hold(worker: Worker, doubler: Doubler) -> asyncio.Task[int]:
    """Occupies the worker with one job until the gate opens."""
    doubler.gate.clear()
    doubler.entered.clear()
    task = asyncio.create_task(worker.run(doubler, 0))
    assert await asyncio.to_thread(doubler.entered.wait, 30)
    return task


async def start(worker: Worker, doubler: Doubler, *numbers: int) -> list[asyncio.Task[int]]:
    before = worker.waiting
    tasks = [asyncio.create_task(worker.run(doubler, n)) for n in numbers]
    await asyncio.sleep(0)
    assert worker.waiting == before + len(numbers)
    return tasks


def closed(worker: Worker) -> None:
    """Returns when the worker takes no more jobs."""
    for _ in range(30_000):
        try:
            worker.check()
        except ScorerFailed:
            return
        time.sleep(0.001)
    raise AssertionError("the worker never began to close")


async def test_jobs_that_wait_together_run_together(worker: Worker, doubler: Doubler) -> None:
    first = await hold(worker, doubler)
    tasks = await start(worker, doubler, 1, 2, 3, 4)
    doubler.gate.set()
    assert await asyncio.gather(first, *tasks) == [0, 2, 4, 6, 8]
    assert doubler.batches == [[0], [1, 2, 3], [4]]
    assert threading.get_ident() not in doubler.threads
    assert len(doubler.threads) == 1


async def test_batches_do_not_mix_handlers_and_nobody_is_overtaken_forever(
    worker: Worker, doubler: Doubler
) -> None:
    other = Doubler()
    first = await hold(worker, doubler)
    tasks = [
        *await start(worker, other, 1),
        *await start(worker, doubler, 2),
        *await start(worker, other, 3),
    ]
    doubler.gate.set()
    assert await asyncio.gather(first, *tasks) == [0, 2, 4, 6]
    assert other.batches == [[1, 3]]
    assert doubler.batches == [[0], [2]]


async def test_the_event_loop_runs_on_meanwhile(worker: Worker, doubler: Doubler) -> None:
    task = await hold(worker, doubler)
    for _ in range(50):
        await asyncio.sleep(0.001)
    assert not task.done()
    doubler.gate.set()
    assert await task == 0


async def test_a_full_queue_refuses_at_once(worker: Worker, doubler: Doubler) -> None:
    first = await hold(worker, doubler)
    tasks = await start(worker, doubler, 1, 2, 3, 4)
    with pytest.raises(Overloaded):
        await worker.run(doubler, 5)
    doubler.gate.set()
    assert await asyncio.gather(first, *tasks) == [0, 2, 4, 6, 8]


async def test_a_cancelled_job_is_never_run_and_frees_its_place(
    worker: Worker, doubler: Doubler
) -> None:
    first = await hold(worker, doubler)
    tasks = await start(worker, doubler, 1, 2, 3, 4)
    tasks[1].cancel()
    with pytest.raises(asyncio.CancelledError):
        await tasks[1]
    assert worker.waiting == 3
    late = await start(worker, doubler, 5)
    doubler.gate.set()
    assert await asyncio.gather(first, tasks[0], *tasks[2:], *late) == [0, 2, 6, 8, 10]
    assert 2 not in [n for batch in doubler.batches for n in batch]


async def test_cancelling_a_running_job_harms_nobody(worker: Worker, doubler: Doubler) -> None:
    first = await hold(worker, doubler)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    doubler.gate.set()
    assert await worker.run(doubler, 7) == 14


async def test_a_bad_job_fails_alone(worker: Worker, doubler: Doubler) -> None:
    first = await hold(worker, doubler)
    tasks = await start(worker, doubler, 1, -1, 3)
    doubler.gate.set()
    good, bad, other = await asyncio.gather(*tasks, return_exceptions=True)
    assert (await first, good, other) == (0, 2, 6)
    assert isinstance(bad, ScorerFailed)
    assert isinstance(bad.__cause__, ValueError)
    worker.check()
    assert await worker.run(doubler, 4) == 8


async def test_a_dead_worker_says_so_and_leaves_nobody_waiting(
    worker: Worker, doubler: Doubler
) -> None:
    first = await hold(worker, doubler)
    tasks = await start(worker, doubler, 1, 2, -2, 4)
    doubler.gate.set()
    results = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 30)
    assert await first == 0
    assert all(isinstance(result, ScorerFailed) for result in results)
    await asyncio.to_thread(worker._thread.join, 30)
    with pytest.raises(ScorerFailed, match="died"):
        worker.check()
    with pytest.raises(ScorerFailed, match="died"):
        await worker.run(doubler, 1)


async def test_closing_finishes_the_batch_and_fails_the_rest(doubler: Doubler) -> None:
    worker = Worker()
    first = await hold(worker, doubler)
    tasks = await start(worker, doubler, 1, 2)
    closing = asyncio.create_task(asyncio.to_thread(worker.close))
    await asyncio.to_thread(closed, worker)
    doubler.gate.set()
    await closing
    assert await first == 0
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(result, ScorerFailed) for result in results)
    assert not worker._thread.is_alive()
    with pytest.raises(ScorerFailed, match="closed"):
        await worker.run(doubler, 1)
    with pytest.raises(ScorerFailed, match="closed"):
        worker.check()
    worker.close()


async def test_the_sizes_of_batches_are_counted(worker: Worker, doubler: Doubler) -> None:
    first = await hold(worker, doubler)
    tasks = await start(worker, doubler, 1, 2, 3)
    doubler.gate.set()
    await asyncio.gather(first, *tasks)
    assert (worker.batch_jobs.sum, worker.batch_jobs.cumulative()[-1]) == (4, 2)


async def test_a_failed_job_is_logged_with_the_id_of_its_request(
    worker: Worker, doubler: Doubler, caplog: pytest.LogCaptureFixture
) -> None:
    token = REQUEST_ID.set("r-3")
    with pytest.raises(ScorerFailed):
        await worker.run(doubler, -1)
    REQUEST_ID.reset(token)
    assert [vars(record)["request_id"] for record in caplog.records] == ["r-3"]


async def test_under_load_a_batch_waits_until_it_is_as_large_as_the_last(doubler: Doubler) -> None:
    worker = Worker(max_jobs=8, max_batch=3, window_s=60.0)
    first = await hold(worker, doubler)
    together = await start(worker, doubler, 1, 2)
    doubler.gate.set()
    await asyncio.gather(first, *together)
    assert doubler.batches == [[0], [1, 2]]
    (early,) = await start(worker, doubler, 3)
    assert not early.done()
    late = asyncio.create_task(worker.run(doubler, 4))
    assert await asyncio.gather(early, late) == [6, 8]
    assert doubler.batches[-1] == [3, 4]
    await asyncio.to_thread(worker.close)


async def test_a_batch_waits_no_longer_than_its_window(doubler: Doubler) -> None:
    worker = Worker(max_jobs=8, max_batch=3, window_s=0.01)
    first = await hold(worker, doubler)
    together = await start(worker, doubler, 1, 2)
    doubler.gate.set()
    await asyncio.gather(first, *together)
    assert await worker.run(doubler, 3) == 6
    await asyncio.to_thread(worker.close)


async def test_a_job_that_comes_alone_never_waits(doubler: Doubler) -> None:
    worker = Worker(window_s=3600.0)
    assert [await worker.run(doubler, n) for n in (1, 2)] == [2, 4]
    await asyncio.to_thread(worker.close)


async def test_the_thread_is_prepared_before_its_first_job(doubler: Doubler) -> None:
    prepared: list[int] = []
    worker = Worker(prepare=lambda: prepared.append(threading.get_ident()))
    await worker.run(doubler, 1)
    assert set(prepared) == doubler.threads
    await asyncio.to_thread(worker.close)
