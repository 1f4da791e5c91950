"""Parts of a file of groups: what is sent in one request, and its results by the file's lines."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from service.client import GPOClient, ImportReport, TooLarge
from service.commands.group_files import Record, Records
from service.commands.journal import Digest
from service.remote.transfer import PART_BYTES, PART_GROUPS, Format, OnConflict, import_part


@dataclass(slots=True)
class Part:
    """Records that go out together, and `twice` those whose id came before: they are not sent.

    The rest is how far the file has been read with it, from its beginning: records, bytes, the
    last line, the digest.
    """

    records: list[Record] = field(default_factory=list)
    twice: list[tuple[Record, int]] = field(default_factory=list)
    read: int = 0
    size: int = 0
    line: int = 0
    digest: str = ""


def parts(
    records: Iterator[Record], lines: dict[str, int], digest: Digest, *, read: int, size: int
) -> Iterator[Part]:
    """The records in parts; `lines` holds the first line of each id, and grows."""
    part, bytes_held = Part(read=read, size=size), 0
    for record in records:
        digest.add(record.content)
        first = record.line if record.id is None else lines.setdefault(record.id, record.line)
        if first == record.line:
            part.records.append(record)
            bytes_held += len(record.content)
        else:
            part.twice.append((record, first))
        part.read += 1
        part.size += len(record.content)
        part.line = record.line + record.lines - 1
        full = len(part.records) + len(part.twice) >= PART_GROUPS or bytes_held >= PART_BYTES
        if full:
            part.digest = str(digest)
            yield part
            part, bytes_held = Part(read=part.read, size=part.size), 0
    if part.records or part.twice:
        part.digest = str(digest)
        yield part


class Poster:
    """Sends parts, and gives what became of each group as JSON has it."""

    def __init__(
        self, client: GPOClient, format: Format, on_conflict: OnConflict, *, dry_run: bool
    ) -> None:
        self._client = client
        self._format = format
        self._on_conflict = on_conflict
        self._dry_run = dry_run

    def post(self, file: Records, part: Part) -> list[dict[str, Any]]:
        """The results in the order of the lines. Raises GPOError."""
        results = self._send(file.header, part.records) if part.records else []
        results += [
            _refused(record, "/id", f"the group of line {first} has this id already")
            for record, first in part.twice
        ]
        return sorted(results, key=lambda group: int(group["line"]))

    def check(self, header: bytes) -> None:
        """Ask about a header alone, which writes nothing. Raises GPOError for a wrong one."""
        self._client.fetch(
            import_part(
                _ended(header), format=self._format, on_conflict=self._on_conflict, dry_run=True
            )
        )

    def _send(self, header: bytes, records: Sequence[Record]) -> list[dict[str, Any]]:
        call = import_part(
            b"".join([_ended(header), *(_ended(record.content) for record in records)]),
            format=self._format,
            on_conflict=self._on_conflict,
            dry_run=self._dry_run,
        )
        try:
            report = call.read(self._client.fetch(call))
        except TooLarge as exc:
            # The server takes less at a time than usual.
            if len(records) == 1:
                return [_refused(records[0], "", exc.detail)]
            half = len(records) // 2
            return self._send(header, records[:half]) + self._send(header, records[half:])
        return _by_the_files_lines(report, records, header.count(b"\n"))


def _ended(content: bytes) -> bytes:
    return content if not content or content.endswith(b"\n") else content + b"\n"


def _by_the_files_lines(
    report: ImportReport, records: Sequence[Record], above: int
) -> list[dict[str, Any]]:
    """Results of a part, whose lines count from the header of the request."""
    starts, at = [], above + 1
    for record in records:
        starts.append(at)
        at += record.lines

    def placed(line: int) -> int:
        index = max(bisect_right(starts, line) - 1, 0)
        return records[index].line + line - starts[index]

    found = []
    for group in report.results:
        errors = [{**error.model_dump(), "line": placed(error.line)} for error in group.errors]
        found.append({**group.model_dump(), "line": placed(group.line), "errors": errors})
    return found


def _refused(record: Record, pointer: str, detail: str) -> dict[str, Any]:
    error = {"line": record.line, "column": None, "pointer": pointer, "detail": detail}
    refused = {"status": "refused", "version": None, "errors": [error]}
    return {"line": record.line, "id": record.id, **refused}
