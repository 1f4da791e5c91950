"""Import and export of groups as JSON Lines and CSV."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from email.message import Message
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse

from service.api.deps import Services, Tenant, UseCases, while_connected
from service.api.errors import documented
from service.api.refusals import Refusal
from service.api.schemas.transfer import ImportedGroup, ImportOut
from service.api.strict_json import check_uncompressed
from service.api.transfer import csv_columns, csv_rows, jsonl
from service.api.transfer.reading import Raw, Read, Reader
from service.core.domain import OnConflict
from service.core.groups import ID_PATTERN

router = APIRouter(tags=["groups"])
PORTION = 100
"""Groups that are read and written at a time; between two portions others have their turn."""
_READERS: dict[str, Callable[[bytes], Iterator[Raw]]] = {
    "application/x-ndjson": jsonl.read,
    "application/ndjson": jsonl.read,
    "application/jsonl": jsonl.read,
    "application/x-jsonlines": jsonl.read,
    "text/csv": csv_rows.read,
}
_JSONL_EXAMPLE = (
    '{"id": "city-dwellers", "name": "City dwellers", "preferences": [{"prompt": "A good holiday?",'
    ' "response": "Two weeks in a tent.", "score": 0.2}]}\n'
)
_CSV_EXAMPLE = (
    "group_id,group_name,question,option,share\n"
    "city-dwellers,City dwellers,Parks or roads?,Parks,0.7\n"
    "city-dwellers,City dwellers,Parks or roads?,Roads,0.3\n"
)
# Lines of groups have no schema of their own: each line that is none is refused by itself.
_CONTENT = {
    jsonl.MEDIA_TYPE: {
        "schema": {"description": "Each line is a body of `POST /groups`."},
        "example": _JSONL_EXAMPLE,
    },
    csv_columns.MEDIA_TYPE: {
        "schema": {"description": "The columns are in docs/groups.md."},
        "example": _CSV_EXAMPLE,
    },
}
_EXPORTED = {
    "description": "Every group in the order of the ids. `X-Total-Count` tells how many there were "
    "at the beginning; it counts those before `after` too.",
    "content": _CONTENT,
}
Switch = Literal["true", "false"]


@router.post(
    "/groups/import",
    operation_id="import_groups",
    responses=documented(400, 413, 415, 422, 503),
    openapi_extra={"requestBody": {"required": True, "content": _CONTENT}},
)
async def import_groups(
    request: Request,
    services: Services,
    tenant: Tenant,
    on_conflict: Annotated[
        OnConflict, Query(description="For a group that exists with other content.")
    ] = OnConflict.UPDATE,
    dry_run: Annotated[Switch, Query(description="Check everything, write nothing.")] = "false",
) -> ImportOut:
    """Create or replace many groups: JSON Lines, each a body of `POST /groups`, or CSV.

    Each group is written as a whole or refused on its own, with its line. A group that is stored
    with the same content is left unchanged, so the same import can be sent again. A group without
    an id gets one made of its content. Larger imports are sent in parts.
    """
    checks_only = dry_run == "true"
    reader = Reader(_reader_of(request)(await request.body()), services.limits)

    async def work() -> list[ImportedGroup]:
        results: list[ImportedGroup] = []
        while portion := await _read(services, reader):
            async with services.bulk.places:
                results += await _write(services, tenant, portion, on_conflict, dry_run=checks_only)
        return results

    return ImportOut.of(await while_connected(request, work()), dry_run=checks_only)


async def _read(services: UseCases, reader: Reader) -> list[Read]:
    async with services.bulk.places:
        return await asyncio.to_thread(reader.take, PORTION)


async def _write(
    services: UseCases, tenant: str, portion: list[Read], on_conflict: OnConflict, *, dry_run: bool
) -> list[ImportedGroup]:
    drafts = [
        (read.group_id, read.draft)
        for read in portion
        if read.group_id is not None and read.draft is not None
    ]
    written = iter(
        await services.bulk.put(tenant, drafts, on_conflict=on_conflict, dry_run=dry_run)
    )
    return [
        ImportedGroup.of(read, None if read.draft is None else next(written)) for read in portion
    ]


@router.get(
    "/groups/export",
    operation_id="export_groups",
    response_class=StreamingResponse,
    responses={**documented(422, 503), 200: _EXPORTED},
)
async def export_groups(
    services: Services,
    tenant: Tenant,
    format: Annotated[Literal["jsonl", "csv"], Query()] = "jsonl",
    after: Annotated[
        str | None,
        Query(
            pattern=f"^{ID_PATTERN}$",
            description="Begin behind this id: go on with an export.",
            examples=["city-dwellers"],
        ),
    ] = None,
) -> StreamingResponse:
    """Every group with its preferences, as `POST /groups/import` takes them.

    In the order of the ids, each group as of one instant. One that is written meanwhile may be
    among them or not.
    """
    total = await services.bulk.count(tenant)
    pages = services.bulk.pages(tenant, after=after)
    first = await anext(pages)  # so that a store that is down is a 503

    async def content() -> AsyncIterator[bytes]:
        def encode(groups: Any, *, header: bool) -> bytes:
            if format == "csv":
                return csv_columns.write(groups, header=header)
            return jsonl.write(groups)

        yield await asyncio.to_thread(encode, first, header=True)
        async for groups in pages:
            yield await asyncio.to_thread(encode, groups, header=False)

    media_type = csv_columns.MEDIA_TYPE if format == "csv" else jsonl.MEDIA_TYPE
    return StreamingResponse(
        content(),
        media_type=media_type,
        headers={
            "X-Total-Count": str(total),
            "Content-Disposition": f'attachment; filename="groups.{format}"',
        },
    )


def _reader_of(request: Request) -> Callable[[bytes], Iterator[Raw]]:
    """What reads the body. Raises Refusal (415)."""
    check_uncompressed(request)
    given = request.headers.get("content-type", "")
    message = Message()
    message["content-type"] = given or "application/octet-stream"
    found = _READERS.get(message.get_content_type())
    charset = (message.get_content_charset() or "utf-8").lower()
    if found is None or charset not in ("utf-8", "utf8", "us-ascii"):
        detail = f"Send {jsonl.MEDIA_TYPE} or {csv_columns.MEDIA_TYPE} in UTF-8"
        detail += f", not {given[:100]!r}." if given else "."
        raise Refusal(415, "unsupported_media_type", detail)
    return found
