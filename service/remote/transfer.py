"""The calls for many groups at a time: imports in parts, exports line by line.

The clients take their methods from here; opens no connection.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from service.remote.answers import ExportedGroup, ImportedGroup, ImportReport, read, read_json
from service.remote.call import Call, Effect, plain, present

Format = Literal["jsonl", "csv"]
OnConflict = Literal["update", "skip", "fail"]
MEDIA_TYPES: Mapping[Format, str] = {"jsonl": "application/x-ndjson", "csv": "text/csv"}
PART_GROUPS = 500
PART_BYTES = 2_000_000
"""A part is sent when it holds so many groups or bytes; the service takes 8 MB by default."""
_WORK_S = 300.0


def import_part(
    content: bytes,
    *,
    format: Format = "jsonl",
    on_conflict: OnConflict = "update",
    dry_run: bool = False,
) -> Call[ImportReport]:
    """Create or replace the groups that JSON Lines or CSV hold, in one request of at most 8 MB.

    A group that is stored with the same content is left unchanged: it may be sent again.
    """
    return Call(
        method="POST",
        path="/groups/import",
        query={"on_conflict": on_conflict, "dry_run": "true" if dry_run else "false"},
        headers={"Content-Type": MEDIA_TYPES[format]},
        content=content,
        effect=Effect.NONE if dry_run else Effect.ONCE,
        work_s=_WORK_S,
        read=lambda response: read(ImportReport, response),
    )


def export(*, format: Format = "jsonl", after: str | None = None) -> Call[bytes]:
    """Every group in the order of the ids, from the one behind `after` on."""
    return Call(
        method="GET",
        path="/groups/export",
        query=present(format=format, after=after),
        headers={"Accept": MEDIA_TYPES[format]},
        work_s=_WORK_S,
        read=lambda response: response.content,
    )


def parts(groups: Iterable[Mapping[str, Any]]) -> Iterator[tuple[int, bytes]]:
    """Groups as JSON Lines in parts, each with the number of groups before it.

    Raises ValueError for numbers that JSON does not have.
    """
    lines: list[bytes] = []
    size = before = 0
    for group in groups:
        line = json.dumps(group, allow_nan=False, default=plain).encode()
        if lines and (len(lines) == PART_GROUPS or size + len(line) >= PART_BYTES):
            yield before, b"\n".join(lines)
            before += len(lines)
            lines, size = [], 0
        lines.append(line)
        size += len(line) + 1
    if lines:
        yield before, b"\n".join(lines)


def placed(report: ImportReport, before: int) -> Iterator[ImportedGroup]:
    """What became of the groups of a part; `line` counts from the first group of all."""
    for group in report.results:
        errors = [e.model_copy(update={"line": e.line + before}) for e in group.errors]
        yield group.model_copy(update={"line": group.line + before, "errors": errors})


class Lines:
    """Bytes in, exported groups out."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> Iterator[ExportedGroup]:
        """The groups that are whole by now. Raises ProtocolError."""
        *whole, self._rest = (self._rest + chunk).split(b"\n")
        for line in whole:
            if line:
                yield read_json(ExportedGroup, line, request_id=None)
