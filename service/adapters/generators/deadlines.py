"""Ends a generator call at its deadline with the service's own error."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from service.core.errors import DeadlineExceeded


@asynccontextmanager
async def deadline_scope(deadline: float | None) -> AsyncIterator[None]:
    """Cancel the block at `deadline`, a time.monotonic() instant. Raises DeadlineExceeded.

    The distance to the instant is used, since an event loop may keep another clock.
    """
    if deadline is None:
        yield
        return
    left = deadline - time.monotonic()
    if left <= 0:
        raise DeadlineExceeded("The time for this request was up before a completion was drawn.")
    scope = asyncio.timeout(left)
    try:
        async with scope:
            yield
    except TimeoutError as exc:
        if not scope.expired():
            raise
        raise DeadlineExceeded("A completion was still being drawn when time was up.") from exc
