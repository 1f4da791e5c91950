"""Look-ups in one round trip: who goes with whom, and what a failure or a slow one does."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from service.adapters.stores.together import Together
from service.core.errors import StoreUnavailable


class Trips:
    """Doubles numbers when it is let; remembers what went together."""

    def __init__(self) -> None:
        self.made: list[list[int]] = []
        self.gate = asyncio.Event()

    async def fetch(self, keys: Sequence[int]) -> list[int]:
        self.made.append(list(keys))
        await self.gate.wait()
        if 13 in keys:
            raise StoreUnavailable("thirteen")
        return [2 * key for key in keys]


async def begun(together: Together[int, int], *asked: list[int]) -> list[asyncio.Task]:
    tasks = [asyncio.create_task(together.get(keys)) for keys in asked]
    await asyncio.sleep(0)
    return tasks


async def test_who_comes_during_a_trip_goes_with_the_next() -> None:
    trips = Trips()
    together = Together(trips.fetch)
    tasks = await begun(together, [1], [2, 3], [], [4])
    trips.gate.set()
    assert await asyncio.gather(*tasks) == [[2], [4, 6], [], [8]]
    assert trips.made == [[1], [2, 3, 4]]


async def test_a_failure_is_that_of_everyone_on_the_trip_and_of_nobody_else() -> None:
    trips = Trips()
    together = Together(trips.fetch)
    first, bad, beside = await begun(together, [1], [13], [2])
    trips.gate.set()
    assert await first == [2]
    for task in (bad, beside):
        with pytest.raises(StoreUnavailable):
            await task
    assert await together.get([3]) == [6]


async def test_a_caller_that_leaves_changes_nothing_for_the_others() -> None:
    trips = Trips()
    together = Together(trips.fetch)
    first, leaves, stays = await begun(together, [1], [2], [3])
    leaves.cancel()
    trips.gate.set()
    assert await first == [2]
    assert await stays == [6]
    with pytest.raises(asyncio.CancelledError):
        await leaves


async def test_a_slow_trip_holds_nobody_up() -> None:
    trips = Trips()
    together = Together(trips.fetch)
    (slow,) = await begun(together, [1])
    deadline = asyncio.get_running_loop().time() + 30
    more: list[asyncio.Task] = []
    while len(trips.made) < 2 and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(0.005)
        more += await begun(together, [2])
        await asyncio.sleep(0)
    assert len(trips.made) == 2
    trips.gate.set()
    assert await slow == [2]
    assert all(found == [4] for found in await asyncio.gather(*more))


async def test_closing_breaks_off_what_is_under_way() -> None:
    together = Together(Trips().fetch)
    tasks = await begun(together, [1], [2])
    await together.close()
    for task in tasks:
        with pytest.raises(StoreUnavailable):
            await task
