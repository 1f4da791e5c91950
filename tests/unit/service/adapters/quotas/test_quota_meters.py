"""Sliding windows: what is left, how long to wait, and the same over memory and Redis."""

from __future__ import annotations

import asyncio
import math
import time
from pathlib import Path

import pytest
from fixtures.keys import KEYS
from fixtures.redis_server import RedisServer
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from service.adapters.quotas.meters import Window
from service.adapters.quotas.open import open_meters, parse_rate
from service.settings import Settings, SettingsError


def later(window: Window, seconds: float) -> Window:
    """The window after a time in which nothing was asked for."""
    end = window.current_s - window.seconds if window.current else math.inf
    if seconds < end:
        return Window(
            window.seconds, window.last, max(window.last_s - seconds, 0), window.current,
            window.current_s - seconds,
        )  # fmt: skip
    return Window(window.seconds, window.current, max(window.current_s - seconds, 0), 0, 0.0)


def fits(window: Window, most: int, cost: int) -> bool:
    return window.used + cost <= most


@given(
    seconds=st.integers(1, 3_600),
    most=st.integers(1, 500),
    data=st.data(),
)
def test_what_waits_as_long_as_it_is_told_fits_and_not_much_sooner(
    seconds: int, most: int, data: st.DataObject
) -> None:
    last = data.draw(st.integers(0, most))
    current = data.draw(st.integers(0, most))
    ends = data.draw(st.floats(0.01, 1.0)) * seconds
    window = Window(
        seconds, last, ends if last else 0.0, current, ends + seconds if current else 0.0
    )
    cost = data.draw(st.integers(1, most))
    wait = window.wait_s(most, cost)
    assert wait is not None
    if fits(window, most, cost):
        return
    assert fits(later(window, wait + 1e-3), most, cost)
    if wait > 0.01 * seconds:
        assert not fits(later(window, wait - 0.01 * seconds), most, cost)
    assert wait <= window.reset_s + 1e-6
    assert later(window, window.reset_s + 1e-3).used == 0


def test_more_than_the_quota_never_fits() -> None:
    assert Window(60, 0, 0, 0, 0).wait_s(5, 6) is None


@pytest.mark.parametrize(
    ("text", "amount", "seconds"),
    [
        ("100/minute", 100, 60), ("5 per 10 seconds", 5, 10), ("2000/hour", 2000, 3600),
        ("1/2days", 1, 172_800),
    ],
)  # fmt: skip
def test_a_quota_in_the_notation_of_limits(text: str, amount: int, seconds: int) -> None:
    item = parse_rate(text, "requests")
    assert (item.amount, item.get_expiry()) == (amount, seconds)


@pytest.mark.parametrize(
    "text",
    ["", "many", "100", "100/fortnight", "0/minute", "-1/minute", "1/minute;5/hour"],
)
def test_what_is_no_quota_is_refused_with_its_setting(text: str) -> None:
    with pytest.raises(SettingsError, match="GPO_RATE_CANDIDATES"):
        parse_rate(text, "candidates")


def settings_of(url: str, rate: str = "4/hour") -> Settings:
    return Settings(store_url=url, api_keys=SecretStr(KEYS), rate_candidates=rate)


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
async def test_all_or_nothing(kind: str, tmp_path: Path, redis_url: str) -> None:
    url = redis_url if kind == "redis" else f"sqlite:///{tmp_path / 'x.db'}"
    async with open_meters(settings_of(url)) as meters:
        assert set(meters) == {"candidates"}
        meter = meters["candidates"]
        taken = await meter.take("ann/1", 3)
        assert (taken.granted, taken.most, taken.left, taken.wait_s) == (True, 4, 1, 0.0)
        over = await meter.take("ann/1", 2)
        assert (over.granted, over.left) == (False, 1)
        assert over.wait_s is not None
        assert 0 < over.wait_s <= over.reset_s <= 7_200
        assert (await meter.take("ann/1", 1)).left == 0
        never = await meter.take("ann/1", 5)
        assert (never.granted, never.wait_s) == (False, None)
        assert (await meter.take("bob/1", 4)).granted


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
async def test_many_at_once_get_no_more_than_there_is(
    kind: str, tmp_path: Path, redis_url: str
) -> None:
    url = redis_url if kind == "redis" else f"sqlite:///{tmp_path / 'x.db'}"
    async with open_meters(settings_of(url, "10/hour")) as meters:
        taken = await asyncio.gather(*(meters["candidates"].take("ann", 1) for _ in range(40)))
    assert sum(one.granted for one in taken) == 10


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
async def test_it_fits_again_when_it_was_told_to(kind: str, tmp_path: Path, redis_url: str) -> None:
    url = redis_url if kind == "redis" else f"sqlite:///{tmp_path / 'x.db'}"
    async with open_meters(settings_of(url, "2/second")) as meters:
        meter = meters["candidates"]
        while (over := await meter.take("ann", 2)).granted:
            pass
        assert over.wait_s is not None
        assert over.wait_s <= 2
        await asyncio.sleep(over.wait_s + 0.01)
        assert (await meter.take("ann", 2)).granted


async def test_replicas_share_one_count_in_redis(redis_url: str) -> None:
    settings = settings_of(redis_url)
    async with open_meters(settings) as here, open_meters(settings) as there:
        assert (await here["candidates"].take("ann", 3)).granted
        assert not (await there["candidates"].take("ann", 2)).granted
        assert (await there["candidates"].take("ann", 1)).left == 0


async def test_while_redis_is_down_each_process_counts_by_itself(tmp_path: Path) -> None:
    server = RedisServer(tmp_path)
    server.start()
    try:
        async with open_meters(settings_of(server.url)) as meters:
            meter = meters["candidates"]
            assert (await meter.take("ann", 3)).left == 1
            server.kill()
            began = time.monotonic()
            assert (await meter.take("ann", 4)).granted
            assert not (await meter.take("ann", 1)).granted
            assert time.monotonic() - began < 2
            server.start()
            deadline = time.monotonic() + 5
            while (await meter.take("bob", 1)).left != 3 or not await _counted(server):
                assert time.monotonic() < deadline, "it does not heal"
                await asyncio.sleep(0.2)
    finally:
        server.kill()


async def _counted(server: RedisServer) -> bool:
    import redis.asyncio as aioredis

    async with aioredis.Redis(port=server.port) as client:
        return bool(await client.keys("gpo:quota:*"))
