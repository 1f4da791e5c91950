"""What the routes need: the use cases, and whose data a request may see."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request
from starlette.types import Receive

from service.api.drain import Drain
from service.api.refusals import ClientGone
from service.core.bulk import Bulk
from service.core.complete import Complete
from service.core.errors import DeadlineExceeded
from service.core.groups import Groups
from service.core.health import Readiness
from service.core.limits import Limits
from service.core.predict import Predict
from service.core.quotas import Quota
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
    bulk: Bulk
    predict: Predict
    score: Score
    steer: Steer
    complete: Complete
    served: ServedModel
    readiness: Readiness
    limits: Limits
    best_of: int
    about: Callable[[], About]
    close: Callable[[], Awaitable[None]]


def use_cases_of(request: Request) -> UseCases:
    """What the lifespan has built."""
    found = request.app.state.use_cases
    assert isinstance(found, UseCases)
    return found


def tenant_of(request: Request) -> str:
    """Whose data: that of the key, or where no key is needed that of everyone."""
    tenant = request.scope["state"].get("tenant") or request.app.state.open_tenant
    assert isinstance(tenant, str)  # or a route without a key asks for data
    return tenant


# Coroutines, though they wait for nothing: FastAPI hands plain functions to a thread.
async def _use_cases(request: Request) -> UseCases:
    return use_cases_of(request)


async def _draining(request: Request) -> bool:
    drain = request.app.state.drain
    assert isinstance(drain, Drain)
    return drain.begun


async def _tenant(request: Request) -> str:
    return tenant_of(request)


async def _is_known(request: Request) -> bool:
    """Whether more than strangers may know is told."""
    return request.app.state.open_tenant is not None or "tenant" in request.scope["state"]


Services = Annotated[UseCases, Depends(_use_cases)]
Tenant = Annotated[str, Depends(_tenant)]
Draining = Annotated[bool, Depends(_draining)]
Known = Annotated[bool, Depends(_is_known)]


async def take_candidates(request: Request, n: int, limits: Limits, *, at: str) -> None:
    """Take n from the key's quota of candidates, where there is one.

    `at` points to the field that asks for them. Raises RateLimited, InputTooLarge.
    """
    quota: Quota | None = request.scope["state"].get("quota")
    # What is over the cap is refused in the cap's own words, and takes nothing.
    if quota is not None and n <= limits.n:
        await quota.take("candidates", n, at=at)


async def in_time(request: Request, work: Coroutine[Any, Any, T], *, seconds: float) -> T:
    """What `while_connected` gives, within the seconds that the service allows a request.

    Raises ClientGone, DeadlineExceeded.
    """
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            return await while_connected(request, work)
    except TimeoutError as exc:
        if not limit.expired():
            raise
        raise DeadlineExceeded(f"No answer within {seconds:g} s (GPO_REQUEST_TIMEOUT_S).") from exc


async def while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, which is cancelled when the client leaves. Raises ClientGone.

    The body must have been read: from then on the client's next message is its leaving.
    """
    task = asyncio.current_task()
    assert task is not None
    watch = _Watch(request, task)
    try:
        return await work
    except asyncio.CancelledError:
        if watch.client_left and not task.uncancel():
            raise ClientGone from None
        raise
    finally:
        watch.stop()


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


class _Watch:
    """Cancels a task when the client of its request leaves; answers within `AFTER_S` need none."""

    AFTER_S = 0.1

    def __init__(self, request: Request, task: asyncio.Task[Any]) -> None:
        self.client_left = False
        self._request = request
        self._task = task
        self._watcher: asyncio.Task[None] | None = None
        self._timer = asyncio.get_running_loop().call_later(self.AFTER_S, self._start)

    def stop(self) -> None:
        self._timer.cancel()
        if self._watcher is not None:
            self._watcher.cancel()

    def _start(self) -> None:
        self._watcher = asyncio.ensure_future(self._run())

    async def _run(self) -> None:
        await _disconnect(self._request.receive)
        self.client_left = True
        self._task.cancel()


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
