"""The time between the signal to stop and the end: what runs finishes, new work is refused.

Pure ASGI. Knows no routes: what only reads (the probes, the groups) is served to the end.
"""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.problems import problem_response

CODE = "draining"
DETAIL = "The service is shutting down."
RETRY_AFTER_S = 1
_READS = {"GET", "HEAD", "OPTIONS"}


class Drain:
    """Whether the service is stopping, and how much work it still has. For one event loop."""

    def __init__(self) -> None:
        self.begun = False
        self.running = 0

    def begin(self) -> None:
        """Take no new work from now on; may be called in a signal handler."""
        self.begun = True


class DrainGate:
    """Counts the requests that are work, and refuses them once the drain has begun."""

    def __init__(self, app: ASGIApp, *, drain: Drain) -> None:
        self._app = app
        self._drain = drain

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve or refuse one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_last(message: Message) -> None:
            # A client that keeps its connection would find it closed at its next request.
            if message["type"] == "http.response.start" and self._drain.begun:
                MutableHeaders(scope=message)["Connection"] = "close"
            await send(message)

        if scope["method"] in _READS:
            await self._app(scope, receive, send_last)
        elif self._drain.begun:
            await refusal(scope)(scope, receive, send_last)
        else:
            self._drain.running += 1
            try:
                await self._app(scope, receive, send_last)
            finally:
                self._drain.running -= 1


def refusal(scope: Scope) -> Response:
    """What new work gets, and what is left at the end."""
    headers = {"Retry-After": str(RETRY_AFTER_S)}
    return problem_response(scope, status=503, code=CODE, detail=DETAIL, headers=headers)
