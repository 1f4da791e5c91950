"""Draws n completions at once, each its own request to the generator with its own seed.

All of them, or an error; or, when the caller allows it, those that came in time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from service.core.domain import Completion, Prompt, SamplingParams
from service.core.errors import DeadlineExceeded, GeneratorError
from service.core.ports import Generator


async def draw_all(
    generator: Generator,
    prompt: Prompt,
    params: SamplingParams,
    *,
    seeds: Sequence[int],
    deadline: float,
    allow_partial: bool,
) -> list[Completion | None]:
    """One completion for each seed, in their order; None where a part failed that may fail.

    `deadline` is a time.monotonic() instant. The first failure stops the others, unless
    `allow_partial`; leaving early for any reason, a cancellation included, stops them all.
    Raises GeneratorError, DeadlineExceeded.
    """
    tasks = [
        asyncio.create_task(generator.generate_one(prompt, params, seed=seed, deadline=deadline))
        for seed in seeds
    ]
    try:
        await asyncio.wait(
            tasks,
            timeout=max(deadline - time.monotonic(), 0.0),
            return_when=asyncio.ALL_COMPLETED if allow_partial else asyncio.FIRST_EXCEPTION,
        )
        late = [not task.done() for task in tasks]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return _collect(tasks, late, allow_partial=allow_partial)


def _collect(
    tasks: Sequence[asyncio.Task[Completion]], late: Sequence[bool], *, allow_partial: bool
) -> list[Completion | None]:
    completions: list[Completion | None] = []
    failure: BaseException | None = None
    for task, was_late in zip(tasks, late, strict=True):
        error = None if was_late or task.cancelled() else task.exception()
        if error is not None and not isinstance(error, GeneratorError | DeadlineExceeded):
            raise error
        failure = failure or error
        is_there = not was_late and not task.cancelled() and error is None
        completions.append(task.result() if is_there else None)
    drawn = sum(completion is not None for completion in completions)
    if drawn == len(tasks) or (drawn and allow_partial):
        return completions
    raise failure or DeadlineExceeded(f"{drawn} of {len(tasks)} candidates were drawn in time.")
