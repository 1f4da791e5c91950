"""The time and the places that a request for completions may use.

Knows neither what is drawn nor what is done with it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager

from service.core.admission import Admission
from service.core.errors import DeadlineExceeded, FieldError, GeneratorRejected, InvalidInput
from service.core.timing import Stopwatch


@asynccontextmanager
async def allotted(
    admission: Admission, *, places: int, timeout_s: float, prompt_at: str
) -> AsyncIterator[float]:
    """Hold `places` while the block runs, which gets its deadline, a time.monotonic() instant.

    The time counts from the arrival of the request. Raises DeadlineExceeded, Overloaded, and
    InvalidInput (at `prompt_at`) for what the model refuses.
    """
    watch = Stopwatch.current()
    left = timeout_s - (time.perf_counter() - watch.started)
    if left <= 0:
        raise DeadlineExceeded("The time for this request was up before its work began.")
    try:
        async with asyncio.timeout(left):
            with ExitStack() as held, watch.running():
                with watch.stage("queue"):
                    held.enter_context(admission.reserve(places))
                yield time.monotonic() + left
    except GeneratorRejected as exc:
        # Nearly always a prompt that is too long for the model; the message tells.
        raise InvalidInput([FieldError(prompt_at, str(exc))]) from exc
    except TimeoutError as exc:
        raise DeadlineExceeded(f"No answer within {timeout_s:g} s.") from exc
