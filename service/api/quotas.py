"""Quotas of keys on the way in and out, pure ASGI: takes one request, tells what is left.

Only there where a quota is set. What takes candidates is in `deps`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.auth import OPEN_PATHS
from service.api.errors import problem_of
from service.core.errors import RateLimited
from service.core.quotas import Meter, Quota, Resource


class Quotas:
    """Wraps the application; inside, `state` has the `quota` of a request with a key."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve or refuse one request. Probes are not counted."""
        caller = scope["state"].get("caller") if scope["type"] == "http" else None
        if caller is None or scope["path"] in OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        meters: Mapping[Resource, Meter] = scope["app"].state.meters
        quota = scope["state"]["quota"] = Quota(caller, meters)

        async def send_standings(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *_headers(quota)]}
            await send(message)

        try:
            await quota.take("requests", 1)
        except RateLimited as exc:
            await problem_of(Request(scope), exc)(scope, receive, send_standings)
            return
        await self._app(scope, receive, send_standings)


def _headers(quota: Quota) -> list[tuple[bytes, bytes]]:
    """OpenAI's names, and the same for candidates."""
    found = []
    for resource, standing in quota.standings.items():
        values = {
            "limit": str(standing.most),
            "remaining": str(standing.left),
            "reset": f"{math.ceil(standing.reset_s)}s",
        }
        for name, value in values.items():
            found.append((f"x-ratelimit-{name}-{resource}".encode(), value.encode()))
    return found
