"""Look-ups of concurrent callers in one round trip.

While one is under way, those who come wait for the next one: what a caller reads was read after
it asked. Knows no store; all of its calls come from one event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Generic, TypeVar

from service.core.errors import GpoServeError, StoreUnavailable

K = TypeVar("K")
V = TypeVar("V")
_Batch = list[tuple[Sequence[K], asyncio.Future[Sequence[V]]]]
# A round trip that takes longer holds nobody up.
_SLOW_S = 0.02


class Together(Generic[K, V]):
    """Gathers keys until the round trip before has ended."""

    def __init__(self, fetch: Callable[[Sequence[K]], Awaitable[Sequence[V]]]) -> None:
        """`fetch` gives a value for each key, in order."""
        self._fetch = fetch
        self._waiting: _Batch[K, V] = []
        self._latest: asyncio.Task[None] | None = None
        self._since = 0.0
        self._running: set[asyncio.Task[None]] = set()

    async def get(self, keys: Sequence[K]) -> Sequence[V]:
        """A value for each key. Raises what `fetch` raises."""
        loop = asyncio.get_running_loop()
        found: asyncio.Future[Sequence[V]] = loop.create_future()
        self._waiting.append((keys, found))
        if self._latest is None or loop.time() - self._since > _SLOW_S:
            self._start()
        return await found

    async def close(self) -> None:
        """Break off what is under way; whoever waits gets StoreUnavailable."""
        _fail(self._waiting)
        self._waiting = []
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def _start(self) -> None:
        batch, self._waiting = self._waiting, []
        loop = asyncio.get_running_loop()
        task = self._latest = loop.create_task(self._run(batch))
        self._since = loop.time()
        self._running.add(task)
        task.add_done_callback(partial(self._ended, batch))

    def _ended(self, batch: _Batch[K, V], task: asyncio.Task[None]) -> None:
        # Nobody is left waiting, not even by a task that was cancelled before it began.
        _fail(batch)
        self._running.discard(task)
        if task is self._latest:
            self._latest = None
            if self._waiting:
                self._start()

    async def _run(self, batch: _Batch[K, V]) -> None:
        try:
            values = await self._fetch([key for keys, _ in batch for key in keys])
        except GpoServeError as exc:
            for _, found in batch:
                if not found.done():
                    found.set_exception(exc)
            return
        start = 0
        for keys, found in batch:
            if not found.done():
                found.set_result(values[start : start + len(keys)])
            start += len(keys)


def _fail(batch: _Batch[K, V]) -> None:
    for _, found in batch:
        if not found.done():
            found.set_exception(StoreUnavailable("The group store is closed."))
