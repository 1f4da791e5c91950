"""Files of groups, record by record: where each group begins and ends, and its id.

A record is a line of JSON Lines, or the rows of one group of CSV. Knows no server; what a record
holds is the server's to judge.
"""

from __future__ import annotations

import csv
import gzip
import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self, cast

from service.commands.bodies import InputError
from service.remote.transfer import Format

STANDARD = "-"
_BOM = b"\xef\xbb\xbf"
_SUFFIXES: dict[str, Format] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".csv": "csv",
}


@dataclass(frozen=True, slots=True)
class Record:
    """One group as it stands in a file: its first line from 1, its bytes, its id if it says one."""

    line: int
    content: bytes
    id: str | None

    @property
    def lines(self) -> int:
        """Number of lines."""
        return _lines_in(self.content)


def format_given(name: str, given: Format | None) -> Format:
    """What --format gave, or else the name tells. Raises InputError, which names the option."""
    if given is not None:
        return given
    try:
        return format_of(name)
    except InputError as exc:
        raise InputError(f"{exc}; say --format jsonl or --format csv") from exc


def format_of(name: str) -> Format:
    """The format that the name tells. Raises InputError."""
    if name == STANDARD:
        return "jsonl"
    suffixes = [suffix for suffix in Path(name).suffixes if suffix != ".gz"]
    found = _SUFFIXES.get(suffixes[-1].lower()) if suffixes else None
    if found is None:
        raise InputError(f"{name} is neither .jsonl nor .csv")
    return found


@contextmanager
def open_to_read(name: str) -> Iterator[BinaryIO]:
    """The bytes of a file, unpacked if its name ends in .gz; `-` is standard input.

    Raises InputError, also while it is read.
    """
    shown = "standard input" if name == STANDARD else name
    try:
        if name == STANDARD:
            yield sys.stdin.buffer
        elif name.endswith(".gz"):
            with gzip.open(name) as unpacked:
                yield cast(BinaryIO, unpacked)
        else:
            with Path(name).open("rb") as file:
                yield file
    except (OSError, EOFError) as exc:
        if isinstance(exc, BrokenPipeError):
            raise
        raise InputError(
            f"{shown} cannot be read: {getattr(exc, 'strerror', None) or exc}"
        ) from exc


class Records:
    """The records of lines, one after the other. `header` is what stands above those of CSV."""

    def __init__(self, stream: Iterable[bytes], format: Format) -> None:
        self.header = b""
        self._format = format
        self._line = 0
        self._lines = self._read(stream)

    def __iter__(self) -> Iterator[Record]:
        """Every record that holds something. A CSV's rows of one group follow each other."""
        return self._jsonl() if self._format == "jsonl" else self._csv()

    @property
    def lacks_header(self) -> bool:
        """Whether this is CSV that has been read and begins with no names of columns."""
        return self._format == "csv" and not self.header.strip()

    def _read(self, stream: Iterable[bytes]) -> Iterator[bytes]:
        for number, line in enumerate(stream, 1):
            self._line = number
            yield line.removeprefix(_BOM) if number == 1 else line

    def _jsonl(self) -> Iterator[Record]:
        for content in self._lines:
            if content.strip():
                yield Record(self._line, content, _id_in(content))

    def _csv(self) -> Iterator[Record]:
        taken: list[bytes] = []

        def texts() -> Iterator[str]:
            for content in self._lines:
                taken.append(content)
                # What is not UTF-8 goes to the server as it is, which refuses it with its place.
                yield content.decode("utf-8", "replace")

        rows = csv.reader(texts())
        header = _next(rows) or []
        self.header = b"".join(taken)
        taken.clear()
        names = {name: at for at, name in enumerate(header)}
        line, held, whose = self._line + 1, b"", _Whose()
        while (row := _next(rows)) is not None:
            content = b"".join(taken)
            taken.clear()
            found = _Whose.of(row, names)
            if held.strip() and not whose.takes(found):
                yield Record(line, held, whose.id)
                line, held, whose = self._line + 1 - _lines_in(content), b"", _Whose()
            held += content
            whose = _Whose(whose.id or found.id, whose.name or found.name)
        if held.strip():
            yield Record(line, held, whose.id)


@dataclass(frozen=True, slots=True)
class _Whose:
    """The group that a row of CSV names, as the service tells groups apart."""

    id: str | None = None
    name: str | None = None

    @classmethod
    def of(cls, row: list[str], names: dict[str, int]) -> Self:
        """What the cells say."""

        def cell(name: str) -> str | None:
            at = names.get(name, len(row))
            return (row[at] or None) if at < len(row) else None

        return cls(cell("group_id"), cell("group_name"))

    def takes(self, row: _Whose) -> bool:
        """Whether a row is of this group: by its id, without one by its name, without both too."""
        if row.id is not None:
            return row.id == self.id
        return row.name in (None, self.name)


def _lines_in(content: bytes) -> int:
    return content.count(b"\n") + (not content.endswith(b"\n"))


def _next(rows: Iterator[list[str]]) -> list[str] | None:
    """The next row, empty where it cannot be read; None at the end."""
    while True:
        try:
            return next(rows)
        except StopIteration:
            return None
        except csv.Error:
            return []


def _id_in(content: bytes) -> str | None:
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        return None
    found = body.get("id") if isinstance(body, dict) else None
    return found if isinstance(found, str) else None
