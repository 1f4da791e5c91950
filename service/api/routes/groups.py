"""Groups: create, list, read, replace, append, delete."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Header, Path, Query, Request, Response

from service.api.deps import Services, Tenant
from service.api.errors import documented
from service.api.etags import CONDITION, creates_only, etag, if_match, is_unchanged
from service.api.schemas.base import SOME_TEXT, capped
from service.api.schemas.groups import AppendIn, GroupIn, GroupOut, GroupPageOut
from service.api.schemas.preferences import to_core
from service.api.strict_json import JsonRoute
from service.core.domain import Group
from service.core.errors import FieldError, InvalidInput
from service.core.groups import ID_PATTERN
from service.core.ports import Idempotency

router = APIRouter(tags=["groups"], route_class=JsonRoute)
_BODY_ERRORS = (400, 413, 415, 422, 503)
_MOST_KEY_CHARS = 255

# What the use cases check: a wrong one is named by them, here it is for the document.
GroupPath = Annotated[
    str, Path(examples=["city-dwellers"], json_schema_extra={"pattern": f"^{ID_PATTERN}$"})
]
IfMatch = Annotated[
    str | None,
    Header(
        alias="If-Match",
        description='The versions that the write may meet: ETags such as "3", or *.',
        examples=['"1"'],
        json_schema_extra=CONDITION,
    ),
]
IfNoneMatch = Annotated[
    str | None,
    Header(
        alias="If-None-Match",
        description='The version that is known: an ETag such as "3". If it is current: 304.',
        examples=['"1"'],
        json_schema_extra=CONDITION,
    ),
]
OnlyNew = Annotated[
    str | None,
    Header(
        alias="If-None-Match",
        description="* creates only.",
        examples=["*"],
        json_schema_extra={"enum": ["*"]},
    ),
]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description="Makes a repetition give what the first request created.",
        examples=["3f1c7e52-import-1"],
        json_schema_extra={"minLength": 1, "maxLength": _MOST_KEY_CHARS, "pattern": SOME_TEXT},
    ),
]


@router.post(
    "/groups",
    operation_id="create_group",
    status_code=201,
    response_model_exclude_unset=True,
    responses=documented(*_BODY_ERRORS, 409),
)
async def create_group(
    request: Request,
    response: Response,
    services: Services,
    tenant: Tenant,
    body: Annotated[GroupIn, Body()],
    idempotency_key: IdempotencyKey = None,
) -> GroupOut:
    """Register a group with a few preferences.

    The same `Idempotency-Key` with the same body gives the group that it created before.
    """
    group = await services.groups.create(
        tenant,
        body.to_core(services.limits),
        group_id=body.id,
        idempotency=_idempotency(idempotency_key, await request.json()),
    )
    response.headers["Location"] = f"{request.url.path.rstrip('/')}/{group.id}"
    return _tagged(response, group)


@router.get(
    "/groups",
    operation_id="list_groups",
    response_model_exclude_unset=True,
    responses=documented(413, 422, 503),
)
async def list_groups(
    services: Services,
    tenant: Tenant,
    limit: Annotated[
        int | None,
        Query(ge=1, description="Groups on a page, else 50.", json_schema_extra=capped("list")),
    ] = None,
    cursor: Annotated[str | None, Query(description="`next_cursor` of the page before.")] = None,
) -> GroupPageOut:
    """Groups in the order of their ids, without their preferences."""
    page = await services.groups.list(tenant, limit=limit, cursor=cursor)
    return GroupPageOut(
        data=[GroupOut.of(group) for group in page.groups],
        has_more=page.next_cursor is not None,
        next_cursor=page.next_cursor,
    )


@router.get(
    "/groups/{group_id}",
    operation_id="get_group",
    response_model=GroupOut,
    response_model_exclude_unset=True,
    responses={**documented(404, 422, 503), 304: {"description": "Still at this version."}},
)
async def get_group(
    response: Response,
    services: Services,
    tenant: Tenant,
    group_id: GroupPath,
    include: Annotated[Literal["preferences"] | None, Query()] = None,
    if_none_match: IfNoneMatch = None,
) -> GroupOut | Response:
    """One group, with its preferences when asked for."""
    group = await services.groups.get(tenant, group_id)
    if is_unchanged(if_none_match, group.version):
        return Response(status_code=304, headers={"ETag": etag(group.version)})
    return _tagged(response, group, with_preferences=include is not None)


@router.put(
    "/groups/{group_id}",
    operation_id="put_group",
    response_model_exclude_unset=True,
    responses={
        **documented(*_BODY_ERRORS, 412),
        201: {"description": "Created.", "model": GroupOut},
    },
)
async def put_group(
    request: Request,
    response: Response,
    services: Services,
    tenant: Tenant,
    group_id: GroupPath,
    body: Annotated[GroupIn, Body()],
    match: IfMatch = None,
    none_match: OnlyNew = None,
) -> GroupOut:
    """Create or replace a group.

    `If-Match` replaces that version alone, `If-None-Match: *` only creates.
    """
    if body.id is not None and body.id != group_id:
        raise InvalidInput([FieldError("/id", "is not the id of the address")])
    group, created = await services.groups.put(
        tenant,
        group_id,
        body.to_core(services.limits),
        expected=if_match(match),
        create_only=creates_only(none_match),
    )
    if created:
        response.status_code = 201
        response.headers["Location"] = request.url.path
    return _tagged(response, group)


@router.post(
    "/groups/{group_id}/preferences",
    operation_id="append_preferences",
    response_model_exclude_unset=True,
    responses=documented(*_BODY_ERRORS, 404, 412),
)
async def append_preferences(
    response: Response,
    services: Services,
    tenant: Tenant,
    group_id: GroupPath,
    body: Annotated[AppendIn, Body()],
    match: IfMatch = None,
) -> GroupOut:
    """Add preferences to a group, all of them or none."""
    group = await services.groups.append(
        tenant,
        group_id,
        to_core(body.preferences, services.limits),
        expected=if_match(match),
    )
    return _tagged(response, group)


@router.delete(
    "/groups/{group_id}",
    operation_id="delete_group",
    status_code=204,
    responses=documented(404, 412, 422, 503),
)
async def delete_group(
    services: Services, tenant: Tenant, group_id: GroupPath, match: IfMatch = None
) -> None:
    """Remove a group and everything derived from it."""
    await services.groups.delete(tenant, group_id, expected=if_match(match))


def _tagged(response: Response, group: Group, *, with_preferences: bool = False) -> GroupOut:
    response.headers["ETag"] = etag(group.version)
    return GroupOut.of(group, with_preferences=with_preferences)


def _idempotency(key: str | None, body: Any) -> Idempotency | None:
    """The key with a digest of what was sent, whatever its order and spacing."""
    if key is None:
        return None
    if not key.strip() or len(key) > _MOST_KEY_CHARS:
        detail = f"must hold 1 to {_MOST_KEY_CHARS} characters"
        raise InvalidInput([FieldError("/Idempotency-Key", detail)])
    sent = json.dumps(body, sort_keys=True)
    return Idempotency(key, hashlib.sha256(sent.encode()).hexdigest())
