"""One thread for everything that runs torch, with a bounded queue and micro-batches.

Owns order, admission and the way back to the event loop; knows nothing of texts or scores.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from service.core.errors import GpoServeError, Overloaded, ScorerFailed
from service.core.request_context import REQUEST_ID
from service.core.tally import SIZES, Tally

P = TypeVar("P")
R = TypeVar("R")
Handler = Callable[[list[P]], list[R]]

log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _Job:
    handler: Callable[[list[Any]], list[Any]]
    payload: Any
    cost: int
    done: asyncio.Future[Any] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )
    request_id: str | None = field(default_factory=REQUEST_ID.get)


class Worker:
    """Runs jobs in one thread. Jobs of one handler that wait together become one batch.

    `max_jobs` bounds how many wait, `max_batch` the summed cost of one batch. Whatever queued up
    while the last batch ran goes together; when that one held several jobs, `window_s` is the most
    that the next one waits until it holds as many. A job that comes alone never waits.
    """

    def __init__(
        self,
        *,
        max_jobs: int = 1024,
        max_batch: int = 256,
        window_s: float = 0.0,
        prepare: Callable[[], None] = lambda: None,
    ) -> None:
        """`prepare` runs in the thread before the first job."""
        self._prepare = prepare
        self._max_jobs = max_jobs
        self._max_batch = max_batch
        self._window_s = window_s
        self._last_batch = 1
        self._queue: deque[_Job] = deque()
        self._wake = threading.Condition()
        self._closing = False
        self.batch_jobs = Tally(SIZES)
        self._death: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="gpo-scoring", daemon=True)
        self._thread.start()

    async def run(self, handler: Handler[P, R], payload: P, *, cost: int = 1) -> R:
        """What `handler` gives for `payload`, computed in the worker's thread.

        Raises Overloaded when the queue is full, ScorerFailed when the work fails. A caller that
        is cancelled leaves the queue.
        """
        job = _Job(handler, payload, cost)
        with self._wake:
            self._refuse_if_down()
            if len(self._queue) >= self._max_jobs:
                raise Overloaded("The scorer's queue is full.")
            self._queue.append(job)
            self._wake.notify()
        try:
            result: R = await job.done
        except asyncio.CancelledError:
            self._forget(job)
            raise
        return result

    def check(self) -> None:
        """Return when jobs would run. Raises ScorerFailed."""
        with self._wake:
            self._refuse_if_down()

    @property
    def waiting(self) -> int:
        """Number of jobs in the queue."""
        return len(self._queue)

    def close(self) -> None:
        """Finish the batch that runs, fail what still waits, and join the thread."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join()

    def _refuse_if_down(self) -> None:
        if self._death is not None:
            raise ScorerFailed("The scoring worker has died.") from self._death
        if self._closing:
            raise ScorerFailed("The scoring worker is closed.")
        if not self._thread.is_alive():
            raise ScorerFailed("The scoring worker does not run.")

    def _forget(self, job: _Job) -> None:
        with self._wake:
            if job in self._queue:
                self._queue.remove(job)

    def _run(self) -> None:
        try:
            self._prepare()
            while batch := self._next_batch():
                self.batch_jobs.add(len(batch))
                self._work(batch)
        except BaseException as exc:
            log.exception("the scoring worker died")
            self._death = exc
        finally:
            self._fail_waiting()

    def _next_batch(self) -> list[_Job]:
        """The oldest job and those of the same handler behind it; empty when closing."""
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._queue or self._closing)
                if self._window_s and self._last_batch > 1:
                    self._wake.wait_for(self._is_company_there, self._window_s)
                if self._closing:
                    return []
                taken = self._take()
            # A caller that leaves from here on has its job done in vain.
            if batch := [job for job in taken if not job.done.cancelled()]:
                return batch

    def _take(self) -> list[_Job]:
        first = self._queue.popleft()
        batch, cost, left = [first], first.cost, deque[_Job]()
        for job in self._queue:
            if job.handler == first.handler and cost + job.cost <= self._max_batch:
                batch.append(job)
                cost += job.cost
            else:
                left.append(job)
        self._queue = left
        self._last_batch = len(batch)
        return batch

    def _is_company_there(self) -> bool:
        return self._closing or len(self._queue) >= self._last_batch

    def _work(self, batch: list[_Job]) -> None:
        try:
            results = batch[0].handler([job.payload for job in batch])
        except Exception as exc:
            # The outermost handler of a job: whatever went wrong, the worker goes on.
            if len(batch) == 1:
                if not isinstance(exc, GpoServeError):
                    whose = {"request_id": batch[0].request_id}
                    log.warning("a scoring job failed", exc_info=True, extra=whose)
                _deliver(batch, error=_translated(exc))
                return
            # One bad request must not fail the others that happened to wait beside it.
            for job in batch:
                self._work([job])
            return
        except BaseException as exc:
            _deliver(batch, error=_translated(exc))
            raise
        _deliver(batch, results)

    def _fail_waiting(self) -> None:
        with self._wake:
            self._closing = True
            waiting, self._queue = self._queue, deque()
        _deliver(waiting, error=ScorerFailed("The scoring worker has stopped."))


def _deliver(
    jobs: Sequence[_Job], results: Sequence[Any] = (), *, error: GpoServeError | None = None
) -> None:
    """Hand every job its result, or all of them the error, waking each event loop once."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Any]]] = {}
    found = results if error is None else [None] * len(jobs)
    for job, result in zip(jobs, found, strict=True):
        by_loop.setdefault(job.done.get_loop(), []).append((job.done, result))
    for loop, pairs in by_loop.items():
        with suppress(RuntimeError):  # the loop is closed, nobody waits any more
            loop.call_soon_threadsafe(_settle, pairs, error)


def _settle(pairs: Sequence[tuple[asyncio.Future[Any], Any]], error: GpoServeError | None) -> None:
    for done, result in pairs:
        if done.done():
            continue
        if error is None:
            done.set_result(result)
        else:
            done.set_exception(error)


def _translated(exc: BaseException) -> GpoServeError:
    if isinstance(exc, GpoServeError):
        return exc
    failure = ScorerFailed("Embedding or scoring failed.")
    failure.__cause__ = exc
    return failure
