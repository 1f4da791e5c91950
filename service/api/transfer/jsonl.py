"""Groups as JSON Lines: each line is a body of POST /groups."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from service.api.schemas.preferences import from_core
from service.api.strict_json import Malformed, load
from service.api.transfer.reading import Fault, Raw
from service.core.domain import Group
from service.core.errors import FieldError, InputTooLarge

MEDIA_TYPE = "application/x-ndjson"
MOST_GROUPS = 10_000
"""Lines of one request that hold something."""
_BOM = b"\xef\xbb\xbf"


def read(body: bytes) -> Iterator[Raw]:
    """Each line that holds something. Raises InputTooLarge for more than 10,000."""
    body = body.removeprefix(_BOM)
    filled = 0
    for _, text in _lines(body):
        filled += bool(text)
        if filled > MOST_GROUPS:
            raise InputTooLarge([FieldError("", f"at most {MOST_GROUPS} groups in one request")])
    for line, text in _lines(body):
        if text:
            yield _raw(line, text)


def _lines(body: bytes) -> Iterator[tuple[int, bytes]]:
    line = start = 0
    while start < len(body):
        end = body.find(b"\n", start)
        end = len(body) if end < 0 else end
        line += 1
        yield line, body[start:end].strip()
        start = end + 1


def _raw(line: int, text: bytes) -> Raw:
    try:
        return Raw(line, load(text))
    except Malformed as exc:
        detail = f"cannot be read as JSON: {exc}".replace(" at line 1, column ", " at column ")
        return Raw(line, None, faults=(Fault(line, None, "", detail),))


def body_of(group: Group) -> dict[str, Any]:
    """A group as POST /groups takes it."""
    body: dict[str, Any] = {"id": group.id, "name": group.name}
    if group.description is not None:
        body["description"] = group.description
    if group.metadata is not None:
        body["metadata"] = dict(group.metadata)
    return {**body, "preferences": [from_core(p) for p in group.preferences]}


def write(groups: Sequence[Group]) -> bytes:
    """A line for each group."""
    lines = [
        json.dumps(body_of(group), ensure_ascii=False, separators=(",", ":")) for group in groups
    ]
    return "".join(line + "\n" for line in lines).encode()
