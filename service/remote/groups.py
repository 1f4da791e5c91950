"""The calls for groups. The clients take their methods from here."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import httpx

from service.remote.answers import Group, GroupPage, read
from service.remote.call import Call, Effect, Preference, present


def create(
    *,
    name: str,
    preferences: Sequence[Preference],
    id: str | None = None,
    description: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    idempotency_key: str | None = None,
) -> Call[Group]:
    """Register a group. Raises Conflict if the id is taken.

    An idempotency key is made if none is given, so a repeated try creates no second group.
    """
    body = present(
        id=id, name=name, description=description, metadata=metadata, preferences=preferences
    )
    return Call(
        method="POST",
        path="/groups",
        headers={"Idempotency-Key": idempotency_key or uuid.uuid4().hex},
        body=body,
        effect=Effect.ONCE,
        answers=frozenset({201}),
        read=_group,
    )


def get(group_id: str, *, preferences: bool = False) -> Call[Group]:
    """One group, with its preferences if asked for. Raises NotFound."""
    query = {"include": "preferences"} if preferences else {}
    return Call(method="GET", path=_at(group_id), query=query, read=_group)


def get_changed(group_id: str, *, etag: str | int, preferences: bool = False) -> Call[Group | None]:
    """The group if it is at another version than `etag`, else None. Raises NotFound."""
    return Call(
        method="GET",
        path=_at(group_id),
        query={"include": "preferences"} if preferences else {},
        headers={"If-None-Match": _tag(etag)},
        answers=frozenset({200, 304}),
        read=lambda response: None if response.status_code == 304 else _group(response),
    )


def page(*, limit: int | None = None, cursor: str | None = None) -> Call[GroupPage]:
    """One page of the groups, in the order of their ids."""
    query = present(limit=None if limit is None else str(limit), cursor=cursor)
    return Call(
        method="GET", path="/groups", query=query, read=lambda response: read(GroupPage, response)
    )


def put(
    group_id: str,
    *,
    name: str,
    preferences: Sequence[Preference],
    description: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    if_match: str | int | None = None,
    create_only: bool = False,
) -> Call[Group]:
    """Create or replace a group.

    `if_match` (an etag or a version) replaces that version alone, `create_only` replaces none;
    otherwise PreconditionFailed.
    """
    body = present(name=name, description=description, metadata=metadata, preferences=preferences)
    return put_body(group_id, body, if_match=if_match, create_only=create_only)


def put_body(
    group_id: str,
    body: Mapping[str, Any],
    *,
    if_match: str | int | None = None,
    create_only: bool = False,
) -> Call[Group]:
    """The same with the body as it is."""
    headers = {} if if_match is None else {"If-Match": _tag(if_match)}
    if create_only:
        headers["If-None-Match"] = "*"
    return Call(
        method="PUT",
        path=_at(group_id),
        headers=headers,
        body=body,
        effect=Effect.ONCE,
        answers=frozenset({200, 201}),
        read=_group,
    )


def append(
    group_id: str,
    preferences: Sequence[Preference],
    *,
    if_match: str | int | None = None,
    idempotency_key: str | None = None,
) -> Call[Group]:
    """Add preferences to a group, all or none. Raises NotFound, PreconditionFailed.

    `if_match` (an etag or a version) adds to that version alone. An idempotency key is made if none
    is given, so a repeated try adds nothing twice.
    """
    headers = {"Idempotency-Key": idempotency_key or uuid.uuid4().hex}
    if if_match is not None:
        headers["If-Match"] = _tag(if_match)
    return Call(
        method="POST",
        path=_at(group_id) + "/preferences",
        headers=headers,
        body={"preferences": list(preferences)},
        effect=Effect.ONCE,
        read=_group,
    )


def delete(group_id: str, *, if_match: str | int | None = None) -> Call[None]:
    """Remove a group and everything derived from it. Raises NotFound, PreconditionFailed."""
    return Call(
        method="DELETE",
        path=_at(group_id),
        headers={} if if_match is None else {"If-Match": _tag(if_match)},
        effect=Effect.ONCE,
        answers=frozenset({204}),
        gone_is_done=True,
        read=lambda response: None,
    )


def _group(response: httpx.Response) -> Group:
    return read(Group, response)


def _at(group_id: str) -> str:
    # "." and ".." as they stand would be taken for steps along the path, and lead elsewhere.
    dotted = group_id.strip(".") == ""
    return "/groups/" + (group_id.replace(".", "%2E") if dotted else quote(group_id, safe=""))


def _tag(etag: str | int) -> str:
    """A header's value: 3 and "3" name the same version."""
    if isinstance(etag, int) or etag.isdigit():
        return f'"{etag}"'
    return etag
