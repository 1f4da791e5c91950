"""Makes methods of calls: one for a client that waits, one for a client that is awaited.

The parameters and the words of a method are those of the function that builds its call.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from typing import Any, Concatenate, ParamSpec, TypeVar

from service.remote.answers import GenerateEvent, Generation
from service.remote.asking import streamed
from service.remote.call import Call
from service.remote.transports import AsyncTransport, SyncTransport

P = ParamSpec("P")
T = TypeVar("T")
_SELF = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
_STREAM_DOC = """The same as `generate`, told while it happens.

CandidateEvent for each text as it is drawn and scored, then ScoredEvent, SelectedEvent, DoneEvent.
Leaving the loop closes the connection and ends the work; a stream that is kept in a variable is
closed by `contextlib.closing` (`aclosing`).
"""


class Sync:
    """What sends calls and waits."""

    _transport: SyncTransport


class Async:
    """What sends calls and is awaited."""

    _transport: AsyncTransport


def method(build: Callable[P, Call[T]]) -> Callable[Concatenate[Sync, P], T]:
    """A method that sends the call and reads its answer."""

    def send(self: Sync, /, *args: P.args, **kwargs: P.kwargs) -> T:
        call = build(*args, **kwargs)
        return call.read(self._transport.fetch(call))

    _describe(send, build)
    return send


def async_method(build: Callable[P, Call[T]]) -> Callable[Concatenate[Async, P], Awaitable[T]]:
    """The same to be awaited."""

    async def send(self: Async, /, *args: P.args, **kwargs: P.kwargs) -> T:
        call = build(*args, **kwargs)
        return call.read(await self._transport.fetch(call))

    _describe(send, build)
    return send


def stream(
    build: Callable[P, Call[Generation]],
) -> Callable[Concatenate[Sync, P], Generator[GenerateEvent, None, None]]:
    """A method that yields the events of a generation."""

    def send(
        self: Sync, /, *args: P.args, **kwargs: P.kwargs
    ) -> Generator[GenerateEvent, None, None]:
        return self._transport.events(streamed(build(*args, **kwargs)))

    _describe(send, build, doc=_STREAM_DOC)
    return send


def async_stream(
    build: Callable[P, Call[Generation]],
) -> Callable[Concatenate[Async, P], AsyncGenerator[GenerateEvent, None]]:
    """The same for `async for`."""

    def send(
        self: Async, /, *args: P.args, **kwargs: P.kwargs
    ) -> AsyncGenerator[GenerateEvent, None]:
        return self._transport.events(streamed(build(*args, **kwargs)))

    _describe(send, build, doc=_STREAM_DOC)
    return send


def _describe(
    send: Callable[..., Any], build: Callable[..., Any], *, doc: str | None = None
) -> None:
    """Give a method the parameters and the words of `build`, so that `help` shows them."""
    signature = inspect.signature(build)
    answer = str(signature.return_annotation).removeprefix("Call[").removesuffix("]")
    send.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[_SELF, *signature.parameters.values()],
        return_annotation=answer if doc is None else signature.empty,
    )
    send.__doc__ = build.__doc__ if doc is None else doc
    send.__name__ = build.__name__
