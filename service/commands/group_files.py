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
from typing import BinaryIO, cast

from service.commands.bodies import InputError
from service.remote.transfer import Format

STANDARD = "-"
_BOM = b"\xef\xbb\xbf"
_ID, _NAME = "id ", "name "
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
        return self.content.count(b"\n") + (not self.content.endswith(b"\n"))


def format_of(name: str, given: Format | None) -> Format:
    """The format that was given, or that the name tells. Raises InputError."""
    if given is not None:
        return given
    if name == STANDARD:
        return "jsonl"
    suffixes = [suffix for suffix in Path(name).suffixes if suffix != ".gz"]
    found = _SUFFIXES.get(suffixes[-1].lower()) if suffixes else None
    if found is None:
        raise InputError(f"{name} is neither .jsonl nor .csv; say --format jsonl or --format csv")
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
        line, held, key = self._line + 1, b"", None
        while (row := _next(rows)) is not None:
            content = b"".join(taken)
            taken.clear()
            found = _key(row, names, key)
            if held.strip() and found is not None and key is not None and found != key:
                yield Record(line, held, _id_of(key))
                line, held, key = self._line + 1 - _lines_in(content), b"", None
            held += content
            key = key or found
        if held.strip():
            yield Record(line, held, _id_of(key))


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


def _key(row: list[str], names: dict[str, int], before: str | None) -> str | None:
    """What tells the rows of a group from the next one's; None belongs to the group before."""

    def cell(name: str) -> str:
        at = names.get(name, len(row))
        return row[at] if at < len(row) else ""

    if group_id := cell("group_id"):
        return f"{_ID}{group_id}"
    name = cell("group_name")
    return f"{_NAME}{name}" if name and _id_of(before) is None else None


def _id_of(key: str | None) -> str | None:
    return key.removeprefix(_ID) if key is not None and key.startswith(_ID) else None


def _id_in(content: bytes) -> str | None:
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        return None
    found = body.get("id") if isinstance(body, dict) else None
    return found if isinstance(found, str) else None
