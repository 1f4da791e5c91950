"""A group of an import on its way from a file's rows to a draft, with the place of each field.

What JSON Lines and CSV share; knows neither.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from service.api.errors import fields_of
from service.api.schemas.groups import GroupIn
from service.core.domain import GroupDraft
from service.core.errors import FieldError, InvalidInput
from service.core.limits import Limits

MOST_FAULTS = 5
"""Faults that are told of one group."""
_DETAIL_CHARS = 200
_POINTER_CHARS = 200


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong, and where: a line from 1, a column of CSV, a pointer into the group."""

    line: int
    column: str | None
    pointer: str
    detail: str


@dataclass(frozen=True, slots=True)
class Raw:
    """A group as it stands in a file: a body that nobody has checked, and its cells by pointer."""

    line: int
    body: Any
    cells: Mapping[str, tuple[int, str | None]] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()

    def fault(self, error: FieldError) -> Fault:
        """The fault with the place of the longest known part of its pointer."""
        at = error.pointer
        while at and at not in self.cells:
            at = at.rpartition("/")[0]
        line, column = self.cells.get(at, (self.line, None))
        pointer, detail = error.pointer[:_POINTER_CHARS], error.detail[:_DETAIL_CHARS]
        return Fault(line, column, pointer, detail)


@dataclass(frozen=True, slots=True)
class Read:
    """A group that can be written, or the faults that keep it from that (then no draft)."""

    raw: Raw
    group_id: str | None
    draft: GroupDraft | None
    faults: tuple[Fault, ...] = ()


class Reader:
    """Checks the groups of one request, one after the other; an id may come once."""

    def __init__(self, raws: Iterator[Raw], limits: Limits) -> None:
        self._raws = raws
        self._limits = limits
        self._lines: dict[str, int] = {}

    def take(self, most: int) -> list[Read]:
        """The next groups, none at the end. Raises InvalidInput where the file cannot be read."""
        found: list[Read] = []
        for raw in self._raws:
            found.append(self._read(raw))
            if len(found) == most:
                break
        return found

    def _read(self, raw: Raw) -> Read:
        named = raw.body.get("id") if isinstance(raw.body, dict) else None
        group_id = named if isinstance(named, str) else None
        if raw.faults:
            return Read(raw, group_id, None, raw.faults[:MOST_FAULTS])
        try:
            body = GroupIn.model_validate(raw.body)
            draft = body.to_core(self._limits)
        except ValidationError as exc:
            found = exc.errors(include_url=False)[:MOST_FAULTS]
            errors = fields_of([{**error, "loc": ("body", *error["loc"])} for error in found])
            return _refused(raw, group_id, errors)
        except InvalidInput as exc:
            return _refused(raw, group_id, exc.errors)
        if body.id is None:
            return Read(raw, _id_of(raw.body), draft)
        first = self._lines.setdefault(body.id, raw.line)
        if first != raw.line:
            twice = FieldError("/id", f"the group of line {first} has this id already")
            return _refused(raw, body.id, [twice])
        return Read(raw, body.id, draft)


def _refused(raw: Raw, group_id: str | None, errors: Sequence[FieldError]) -> Read:
    return Read(raw, group_id, None, tuple(raw.fault(error) for error in errors[:MOST_FAULTS]))


def _id_of(body: Any) -> str:
    """An id made of the content, so that the same group is not added again by another import."""
    content = json.dumps(body, sort_keys=True, ensure_ascii=True)
    return f"grp_{hashlib.sha256(content.encode()).hexdigest()[:32]}"
