"""Readiness asks every part, and waits for none of them long."""

from __future__ import annotations

import asyncio
import time

from service.core.errors import StoreUnavailable
from service.core.health import Component, Readiness


async def test_a_part_that_hangs_or_fails_does_not_hide_the_others() -> None:
    async def good() -> None:
        return None

    async def bad() -> None:
        raise StoreUnavailable("The disk is full.")

    async def stuck() -> None:
        await asyncio.sleep(3600)

    started = time.monotonic()
    found = await Readiness({"a": good, "b": bad, "c": stuck}, timeout_s=0.1).run()
    assert time.monotonic() - started < 20
    assert found == {
        "a": Component(True),
        "b": Component(False, "The disk is full."),
        "c": Component(False, "no answer within 0.1 s"),
    }
