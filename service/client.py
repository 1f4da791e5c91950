"""GPOClient and AsyncGPOClient: a running service from Python.

Owns the names under which calls are found. What they send, read and repeat is in `service.remote`;
errors are in `service.remote.errors`, when a call is sent again in `service.remote.retries`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Self

import httpx

from service.client_settings import ClientSettings
from service.remote import asking, groups, operations, transfer
from service.remote.answers import (
    Candidate,
    CandidateEvent,
    Choice,
    DoneEvent,
    ExportedGroup,
    GenerateEvent,
    Generation,
    Group,
    GroupPage,
    ImportedGroup,
    ImportReport,
    Influence,
    Prediction,
    Predictions,
    Readiness,
    RowProblem,
    ScoredEvent,
    Scores,
    SelectedEvent,
    Version,
)
from service.remote.call import Call, Preference
from service.remote.errors import (
    Conflict,
    ConnectionFailed,
    DeadlineExceeded,
    FieldError,
    GeneratorFailed,
    GPOError,
    InvalidRequest,
    NotFound,
    Overloaded,
    PreconditionFailed,
    ProtocolError,
    RateLimited,
    ServerFailed,
    TimedOut,
    TooLarge,
    Unauthorized,
    Unavailable,
)
from service.remote.methods import Async, Sync, async_method, async_stream, method, stream
from service.remote.retries import Retries
from service.remote.transfer import OnConflict
from service.remote.transports import AsyncTransport, Connection, SyncTransport

__all__ = [
    "AsyncGPOClient",
    "Candidate",
    "CandidateEvent",
    "Choice",
    "Conflict",
    "ConnectionFailed",
    "DeadlineExceeded",
    "DoneEvent",
    "ExportedGroup",
    "FieldError",
    "GPOClient",
    "GPOError",
    "GenerateEvent",
    "Generation",
    "GeneratorFailed",
    "Group",
    "GroupPage",
    "ImportReport",
    "ImportedGroup",
    "Influence",
    "InvalidRequest",
    "NotFound",
    "Overloaded",
    "PreconditionFailed",
    "Prediction",
    "Predictions",
    "Preference",
    "ProtocolError",
    "RateLimited",
    "Readiness",
    "Retries",
    "RowProblem",
    "ScoredEvent",
    "Scores",
    "SelectedEvent",
    "ServerFailed",
    "TimedOut",
    "TooLarge",
    "Unauthorized",
    "Unavailable",
    "Version",
]


class Groups(Sync):
    """The groups of the service: `client.groups`."""

    def __init__(self, transport: SyncTransport) -> None:
        self._transport = transport

    create = method(groups.create)
    get = method(groups.get)
    get_changed = method(groups.get_changed)
    page = method(groups.page)
    put = method(groups.put)
    append = method(groups.append)
    delete = method(groups.delete)
    import_part = method(transfer.import_part)

    def import_(
        self,
        definitions: Iterable[Mapping[str, Any]],
        *,
        on_conflict: OnConflict = "update",
        dry_run: bool = False,
    ) -> Iterator[ImportedGroup]:
        """Create or replace many groups, each as for `create`; yields what became of each.

        They are sent in parts while the results are read: a loop that is left sends no more. A
        group that is stored with the same content is left unchanged. `line` counts the groups.
        """
        for before, content in transfer.parts(definitions):
            part = transfer.import_part(content, on_conflict=on_conflict, dry_run=dry_run)
            yield from transfer.placed(part.read(self._transport.fetch(part)), before)

    def export(self, *, after: str | None = None) -> Iterator[ExportedGroup]:
        """Every group with its preferences in the order of the ids, as `import_` takes them.

        They come while they are read. With `after`, an id, those behind it.
        """
        lines = transfer.Lines()
        with self._transport.opened(transfer.export(after=after)) as response:
            for chunk in response.iter_bytes():
                yield from lines.feed(chunk)

    def list(self, *, page_size: int | None = None) -> Iterator[Group]:
        """Every group in the order of the ids, a page at a time."""
        cursor: str | None = None
        while True:
            page = self.page(limit=page_size, cursor=cursor)
            yield from page.data
            cursor = page.next_cursor
            if not page.has_more or cursor is None:
                return


class AsyncGroups(Async):
    """The groups of the service: `client.groups`."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    create = async_method(groups.create)
    get = async_method(groups.get)
    get_changed = async_method(groups.get_changed)
    page = async_method(groups.page)
    put = async_method(groups.put)
    append = async_method(groups.append)
    delete = async_method(groups.delete)
    import_part = async_method(transfer.import_part)

    async def import_(
        self,
        definitions: Iterable[Mapping[str, Any]],
        *,
        on_conflict: OnConflict = "update",
        dry_run: bool = False,
    ) -> AsyncIterator[ImportedGroup]:
        """Create or replace many groups, each as for `create`; yields what became of each.

        They are sent in parts while the results are read: a loop that is left sends no more. A
        group that is stored with the same content is left unchanged. `line` counts the groups.
        """
        for before, content in transfer.parts(definitions):
            part = transfer.import_part(content, on_conflict=on_conflict, dry_run=dry_run)
            report = part.read(await self._transport.fetch(part))
            for group in transfer.placed(report, before):
                yield group

    async def export(self, *, after: str | None = None) -> AsyncIterator[ExportedGroup]:
        """Every group with its preferences in the order of the ids, as `import_` takes them.

        They come while they are read. With `after`, an id, those behind it.
        """
        lines = transfer.Lines()
        async with self._transport.opened(transfer.export(after=after)) as response:
            async for chunk in response.aiter_bytes():
                for group in lines.feed(chunk):
                    yield group

    async def list(self, *, page_size: int | None = None) -> AsyncIterator[Group]:
        """Every group in the order of the ids, a page at a time."""
        cursor: str | None = None
        while True:
            page = await self.page(limit=page_size, cursor=cursor)
            for group in page.data:
                yield group
            cursor = page.next_cursor
            if not page.has_more or cursor is None:
                return


class GPOClient(Sync):
    """A running service. Methods raise GPOError; the client may be shared by threads.

    `base_url` is else GPO_URL or http://127.0.0.1:8000, `api_key` else GPO_API_KEY. `timeout_s` is
    for each read; a generation has at least its own `timeout_s`.
    """

    def __init__(
        self,
        base_url: str | None = None,
        *,
        api_key: str | None = None,
        timeout_s: float = 60.0,
        retries: Retries | None = None,
    ) -> None:
        self._transport = SyncTransport(_connection(base_url, api_key, timeout_s, retries))
        self.groups = Groups(self._transport)

    predict = method(asking.predict)
    score = method(asking.score)
    generate = method(asking.generate)
    generate_stream = stream(asking.generate)
    live = method(operations.live)
    ready = method(operations.ready)
    version = method(operations.version)

    @property
    def base_url(self) -> str:
        """Where the service is, without a password."""
        return self._transport.address

    def fetch(self, call: Call[Any]) -> httpx.Response:
        """The answer to a call as it came; `call.read` makes it typed."""
        return self._transport.fetch(call)

    def opened(self, call: Call[Any]) -> AbstractContextManager[httpx.Response]:
        """The answer to a call, whose body is read as it comes."""
        return self._transport.opened(call)

    def events(self, call: Call[Generation]) -> Generator[GenerateEvent, None, None]:
        """The events of a generation."""
        return self._transport.events(asking.streamed(call))

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class AsyncGPOClient(Async):
    """The same for asyncio: every method is awaited, `groups.list` and streams are `async for`."""

    def __init__(
        self,
        base_url: str | None = None,
        *,
        api_key: str | None = None,
        timeout_s: float = 60.0,
        retries: Retries | None = None,
    ) -> None:
        self._transport = AsyncTransport(_connection(base_url, api_key, timeout_s, retries))
        self.groups = AsyncGroups(self._transport)

    predict = async_method(asking.predict)
    score = async_method(asking.score)
    generate = async_method(asking.generate)
    generate_stream = async_stream(asking.generate)
    live = async_method(operations.live)
    ready = async_method(operations.ready)
    version = async_method(operations.version)

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()


def _connection(
    base_url: str | None, api_key: str | None, timeout_s: float, retries: Retries | None
) -> Connection:
    settings = ClientSettings.from_environment()
    return Connection(
        base_url=base_url or settings.url,
        api_key=api_key or settings.api_key,
        timeout_s=timeout_s,
        retries=retries or Retries(),
    )
