"""Runs the candidates of one request side by side, each from its draw to its score.

All of them, or an error; or, when the caller allows it, those whose draw succeeded in time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from service.core.domain import Completion, Prompt, SamplingParams
from service.core.errors import DeadlineExceeded, GeneratorError
from service.core.ports import Generator, OnText

T = TypeVar("T")


async def draw_one(
    generator: Generator,
    prompt: Prompt,
    params: SamplingParams,
    *,
    seed: int,
    deadline: float,
    cache_salt: str,
    on_text: OnText | None = None,
) -> Completion:
    """One completion before `deadline`, a time.monotonic() instant; `on_text` as in the port.

    Raises GeneratorError, DeadlineExceeded.
    """
    try:
        async with asyncio.timeout(deadline - time.monotonic()):
            return await generator.generate_one(
                prompt,
                params,
                seed=seed,
                deadline=deadline,
                cache_salt=cache_salt,
                on_text=on_text,
            )
    except TimeoutError as exc:
        raise DeadlineExceeded("A candidate was not drawn in time.") from exc


async def run_all(
    candidates: Sequence[Coroutine[Any, Any, T]], *, allow_partial: bool
) -> list[T | None]:
    """What the candidates give, in their order; None where the draw failed and may fail.

    A draw fails with GeneratorError or DeadlineExceeded; anything else fails the request at once,
    and so does the first failed draw unless `allow_partial`. Leaving early for any reason, a
    cancellation included, stops every candidate.
    """
    tasks = [asyncio.create_task(candidate) for candidate in candidates]
    pending = set(tasks)
    try:
        while pending:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                error = task.exception()
                if error is not None and not (allow_partial and _may_fail(error)):
                    raise error
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    results = [None if task.exception() else task.result() for task in tasks]
    if all(result is None for result in results):
        raise next(error for task in tasks if (error := task.exception()))
    return results


def _may_fail(error: BaseException) -> bool:
    return isinstance(error, GeneratorError | DeadlineExceeded)
