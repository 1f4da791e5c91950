"""HTTP connections for many calls at a time, spread over several small pools.

A pool of httpx looks through all its connections whenever one changes, so its cost grows with the
square of the calls: 256 at a time took 1.5 to 1.8 s of processor time, in lanes 0.5 to 0.7 s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from service.core.request_context import TRACE_HEADERS

WIDTH = 16
"""Calls that share one pool."""

KEEPALIVE_S = 2.0
"""Idle connections close before a server's usual 5 seconds, so none is reused as it dies."""

OnEvent = Callable[[bytes], None]

_TIMEOUT = httpx.Timeout(600.0, connect=5.0, pool=None)
_LIMITS = httpx.Limits(keepalive_expiry=KEEPALIVE_S)


@dataclass(slots=True, eq=False)
class _Lane:
    client: httpx.AsyncClient
    calls: set[asyncio.Task[httpx.Response]] = field(default_factory=set)


class Lanes:
    """As many pools as the calls under way need, each filled before the next is opened."""

    def __init__(self, *, headers: dict[str, str] | None = None) -> None:
        """`headers` go out with every request."""
        self._headers = headers
        self._ssl = httpx.create_ssl_context()
        self._lanes: list[_Lane] = []
        self.closed = False

    async def request(
        self, method: str, url: str, *, json: Any = None, on_event: OnEvent | None = None
    ) -> httpx.Response:
        """Send one request and read its answer. Raises what httpx raises.

        Server-sent events go to `on_event` as they come, cut anywhere; the answer is then empty.
        The call is a task of its own, cancelled once however often the caller is: a second
        cancellation in the middle of httpx's cleanup would leave its connection open.
        """
        lane = self._free_lane()
        call = asyncio.ensure_future(_call(lane.client, method, url, json, on_event))
        lane.calls.add(call)
        call.add_done_callback(lane.calls.discard)
        try:
            return await asyncio.shield(call)
        except asyncio.CancelledError:
            call.cancel()
            raise

    async def close(self) -> None:
        """Close all connections, those in use too."""
        self.closed = True
        under_way = [call for lane in self._lanes for call in lane.calls]
        for call in under_way:
            call.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
        for lane in self._lanes:
            await lane.client.aclose()

    def _free_lane(self) -> _Lane:
        for lane in self._lanes:
            if len(lane.calls) < WIDTH:
                return lane
        client = httpx.AsyncClient(
            headers=self._headers, timeout=_TIMEOUT, limits=_LIMITS, verify=self._ssl
        )
        self._lanes.append(_Lane(client))
        return self._lanes[-1]


async def _call(
    client: httpx.AsyncClient, method: str, url: str, json: Any, on_event: OnEvent | None
) -> httpx.Response:
    trace = TRACE_HEADERS.get()
    if on_event is None:
        return await client.request(method, url, json=json, headers=trace)
    async with client.stream(method, url, json=json, headers=trace) as response:
        if response.is_success and is_event_stream(response):
            async for data in response.aiter_bytes():
                on_event(data)
        else:
            await response.aread()
        return response


def is_event_stream(response: httpx.Response) -> bool:
    """Whether the answer comes as server-sent events."""
    return str(response.headers.get("content-type", "")).startswith("text/event-stream")
