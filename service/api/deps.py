"""What the routes need: the use cases, and whose data a request may see."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request
from starlette.types import Receive

from service.api.refusals import ClientGone
from service.core.complete import Complete
from service.core.domain import DEFAULT_TENANT
from service.core.groups import Groups
from service.core.health import Readiness
from service.core.limits import Limits
from service.core.predict import Predict
from service.core.score import Score
from service.core.served import ServedModel
from service.core.steer import Steer

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class About:
    """What runs here: the version, and the names of the models."""

    version: str
    generator: str
    scorer: str
    embedder: str


@dataclass(frozen=True, slots=True)
class UseCases:
    """Everything that a route may ask for; `best_of` counts where OpenAI's clients name none."""

    groups: Groups
    predict: Predict
    score: Score
    steer: Steer
    complete: Complete
    served: ServedModel
    readiness: Readiness
    limits: Limits
    best_of: int
    about: Callable[[], About]


def _use_cases(request: Request) -> UseCases:
    found = request.app.state.use_cases
    assert isinstance(found, UseCases)
    return found


def _tenant() -> str:
    return DEFAULT_TENANT


Services = Annotated[UseCases, Depends(_use_cases)]
Tenant = Annotated[str, Depends(_tenant)]


async def while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, which is cancelled when the client leaves. Raises ClientGone.

    The body must have been read: from then on the client's next message is its leaving.
    """
    return await until_gone(request.receive, asyncio.ensure_future(work))


async def until_gone(receive: Receive, task: asyncio.Future[T]) -> T:
    """The result of `task`, which is cancelled when the client leaves. Raises ClientGone."""
    gone = asyncio.ensure_future(_disconnect(receive))
    try:
        both: set[asyncio.Future[Any]] = {task, gone}
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientGone
        return task.result()
    finally:
        for pending in (task, gone):
            pending.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
