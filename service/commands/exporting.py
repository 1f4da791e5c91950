"""`gpo groups export`: every group into a file, or to standard output.

A file gets its name when it is whole; until then it has `.part` behind it, and the same command
goes on with that.
"""

from __future__ import annotations

import argparse
import gzip
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import httpx

from service.client import GPOClient
from service.commands.bodies import InputError
from service.commands.group_files import STANDARD, Record, Records, format_given
from service.commands.import_report import Bar
from service.remote.transfer import Format, export

_SHOWN_EACH = 100


def run(client: GPOClient, options: argparse.Namespace) -> int:
    """Export; 0. Raises GPOError, InputError."""
    format = format_given(options.file, options.format)
    if options.file == STANDARD:
        sys.stdout.flush()
        _copy(client, sys.stdout.buffer, format, after=None, had=0)
        sys.stdout.buffer.flush()
        return 0
    whole = Path(options.file)
    part = whole.with_name(whole.name + ".part")
    try:
        packed = whole.suffix == ".gz"
        after, had = (None, 0) if packed or options.restart else _go_on(part, format)
        with _opened(part, packed=packed, begun=after is not None) as sink:
            groups = _copy(client, sink, format, after=after, had=had)
        os.replace(part, whole)
    except OSError as exc:
        raise InputError(f"{options.file} cannot be written: {exc.strerror or exc}") from exc
    sys.stderr.write(f"{groups:,} groups in {options.file}\n")
    return 0


@contextmanager
def _opened(part: Path, *, packed: bool, begun: bool) -> Iterator[BinaryIO]:
    with part.open("ab" if begun else "wb") as file:
        if not packed:
            yield file
            return
        with gzip.GzipFile(fileobj=file, mode="wb", filename="") as packer:
            yield cast(BinaryIO, packer)


def _go_on(part: Path, format: Format) -> tuple[str | None, int]:
    """Cut off what may be torn at the end of a part; the last id that is whole, and the groups."""
    if not part.exists():
        return None, 0
    last: Record | None = None
    before: Record | None = None
    groups = kept = 0
    with part.open("rb") as file:
        records = Records(file, format)
        for record in records:
            if last is not None:
                before, groups = last, groups + 1
                kept += len(last.content)
            last = record
        kept += len(records.header)
    if before is None or before.id is None:
        return None, 0
    os.truncate(part, kept)
    return before.id, groups


def _copy(client: GPOClient, sink: BinaryIO, format: Format, *, after: str | None, had: int) -> int:
    """Write what comes, group by group; the number of groups that are there then."""
    groups, lines, begun = had, 0, after is not None
    with client.opened(export(format=format, after=after)) as response:
        records = Records(_lines(response.iter_bytes()), format)
        with Bar("exporting", total=_total(response)) as bar:
            for record in records:
                if not begun:
                    sink.write(records.header)
                    begun = True
                sink.write(record.content)
                groups, lines = groups + 1, lines + record.lines
                if groups % _SHOWN_EACH == 0:
                    bar.set(done=groups, groups=groups, lines=lines, new=groups - had)
            bar.set(done=groups, groups=groups, lines=lines, new=groups - had)
        if not begun:
            sink.write(records.header)
    return groups


def _lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line + b"\n"
    if rest:
        yield rest


def _total(response: httpx.Response) -> int | None:
    found = response.headers.get("x-total-count", "")
    return int(found) if found.isdigit() else None
