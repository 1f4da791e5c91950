"""`gpo groups import`: sends a file in parts, goes on where it stopped, tells what was refused.

What a part of a file becomes on its way is in `import_parts`, how far an import has come in
`journal`.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import sys
import tempfile
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from service.client import (
    ConnectionFailed,
    DeadlineExceeded,
    GeneratorFailed,
    GPOClient,
    GPOError,
    NotFound,
    RateLimited,
    ServerFailed,
    Unavailable,
)
from service.client_settings import ClientSettings
from service.commands.bodies import InputError
from service.commands.group_files import STANDARD, Records, format_given, open_to_read
from service.commands.import_parts import Part, Poster, parts
from service.commands.import_report import Bar, Report
from service.commands.journal import Digest, Journal, Progress, keep_refused

# The server has work while the next part is read; parts are taken for done in their order.
_AT_ONCE = 2
# What may be gone when the same command is given again; a file that is wrong stays wrong. A proxy
# in front of the service answers 502 and 504, too.
_PASSING = (
    ConnectionFailed,
    DeadlineExceeded,
    GeneratorFailed,
    RateLimited,
    ServerFailed,
    Unavailable,
)


def run(client: GPOClient, options: argparse.Namespace) -> int:
    """Import the file; 0, or 1 where groups were refused. Raises GPOError, InputError."""
    with _readable_twice(options) as name:
        one = _Import(client, options, name)
        if options.strict and not options.dry_run:
            checked = one.send(dry_run=True)
            if checked.counts["refused"]:
                checked.end(dry_run=True)
                return 1
        report = one.send(dry_run=options.dry_run)
        report.end(dry_run=options.dry_run)
        return 1 if report.counts["refused"] else 0


@contextmanager
def _readable_twice(options: argparse.Namespace) -> Iterator[str]:
    """The name of what is read; standard input that is checked first is put down meanwhile."""
    if not (options.file == STANDARD and options.strict and not options.dry_run):
        yield options.file
        return
    with tempfile.NamedTemporaryFile(prefix="gpo-import-") as spool:
        shutil.copyfileobj(sys.stdin.buffer, spool)
        spool.flush()
        yield spool.name


class _Import:
    """One file and where it goes."""

    def __init__(self, client: GPOClient, options: argparse.Namespace, name: str) -> None:
        self._client = client
        self._name = name
        self._options = options
        self._format = format_given(options.file, options.format)
        self._journal = Journal.beside(None if options.file == STANDARD else options.file)
        whose = _fingerprint(options.api_key or ClientSettings.from_environment().api_key)
        self._target = f"{client.base_url} {whose} {self._format} {options.on_conflict}"

    def send(self, *, dry_run: bool) -> Report:
        """Send all that is not there yet, or check all of it."""
        before = None if dry_run or self._options.restart else self._unfinished()
        if before is not None:
            with self._opened(dry_run=False) as sending:
                if sending.skip(before):
                    _say(f"going on behind line {before.line:,}")
                    return sending.run()
            _say("the file has changed since the import that was interrupted; beginning anew")
        with self._opened(dry_run=dry_run) as sending:
            return sending.run()

    def _unfinished(self) -> Progress | None:
        """What an import before has done, where the server still has it."""
        found = self._journal.read(self._target)
        for name in () if found is None else found.witnesses:
            try:
                self._client.groups.get(name)
            except NotFound:
                _say(f"the server has no group {name!r} any more; beginning anew")
                return None
        return found

    @contextmanager
    def _opened(self, *, dry_run: bool) -> Iterator[_Sending]:
        with open_to_read(self._name) as stream:
            poster = Poster(self._client, self._format, self._options.on_conflict, dry_run=dry_run)
            shown = "standard input" if self._options.file == STANDARD else self._options.file
            report = Report(shown, as_json=self._options.json)
            journal = Journal(None) if dry_run else self._journal
            records = Records(stream, self._format)
            total = None
            if self._name != STANDARD and not self._name.endswith(".gz"):
                total = Path(self._name).stat().st_size
            title = "checking" if dry_run else "importing"
            yield _Sending(
                records, poster, report, journal, Progress(self._target), Bar(title, total=total)
            )


class _Sending:
    """One pass over a file."""

    def __init__(
        self,
        records: Records,
        poster: Poster,
        report: Report,
        journal: Journal,
        progress: Progress,
        bar: Bar,
    ) -> None:
        self._file = records
        self._records = iter(records)
        self._poster = poster
        self._report = report
        self._journal = journal
        self._progress = progress
        self._bar = bar
        self._digest = Digest()
        self._lines: dict[str, int] = {}
        self._bytes = 0
        self._skipped = 0

    def skip(self, before: Progress) -> bool:
        """Pass over what is done; False where the file does not begin in the same way."""
        for _ in range(before.records):
            record = next(self._records, None)
            if record is None:
                return False
            self._digest.add(record.content)
            self._bytes += len(record.content)
            if record.id is not None:
                self._lines.setdefault(record.id, record.line)
        if str(self._digest) != before.digest:
            return False
        self._progress = before
        self._report.counts.update(before.counts)
        self._skipped = self._report.counts.total()
        for group in before.refused:
            self._report.refused(group)
        return True

    def run(self) -> Report:
        """Send the rest; what was told to be done is in the journal whatever happens.

        Raises GPOError, and InputError for CSV without a header.
        """
        pending: deque[tuple[Part, Future[list[dict[str, Any]]]]] = deque()
        cut = parts(
            self._records, self._lines, self._digest, read=self._progress.records, size=self._bytes
        )
        with self._bar, ThreadPoolExecutor(_AT_ONCE) as pool:
            try:
                for part in cut:
                    pending.append((part, pool.submit(self._poster.post, self._file, part)))
                    if len(pending) == _AT_ONCE:
                        self._settle(pending)
                while pending:
                    self._settle(pending)
            except KeyboardInterrupt:
                # What is under way is done by the server anyway; a second one ends this too.
                while pending:
                    self._settle(pending)
                self._tell_interruption()
                raise
            except GPOError as exc:
                if self._there or isinstance(exc, _PASSING):
                    self._tell_interruption()
                raise
        if self._file.lacks_header:
            raise InputError(f"{self._report.name} has no header: CSV begins with its columns")
        if self._file.header and not self._progress.records:
            self._poster.check(self._file.header)  # no row brought it to the server
        self._journal.remove()
        self._report.lines = self._progress.line
        return self._report

    def _settle(self, pending: deque[tuple[Part, Future[list[dict[str, Any]]]]]) -> None:
        """Wait for the oldest part, and note what became of it."""
        part, future = pending[0]
        results = future.result()
        pending.popleft()
        refused = [group for group in results if group["status"] == "refused"]
        for group in refused:
            self._report.refused(group)
        self._report.counts.update(group["status"] for group in results)
        there = [g["id"] for g in results if g["status"] in ("created", "updated", "unchanged")]
        progress = self._progress
        progress.records, progress.digest, progress.line = part.read, part.digest, part.line
        progress.counts = dict(self._report.counts)
        if there:
            progress.first, progress.last = progress.first or there[0], there[-1]
        keep_refused(progress, refused)
        self._journal.write(progress)
        groups = self._report.counts.total()
        self._bar.set(done=part.size, groups=groups, lines=part.line, new=groups - self._skipped)

    @property
    def _there(self) -> int:
        """Groups of the file that the server has."""
        return self._report.counts.total() - self._report.counts["refused"]

    def _tell_interruption(self) -> None:
        again = (
            "the same command goes on from there" if self._journal.is_kept else "nothing is kept"
        )
        done = "1 group is in" if self._there == 1 else f"{self._there:,} groups are in"
        _say(f"interrupted behind line {self._progress.line:,}, {done}; {again}")


def _fingerprint(api_key: str | None) -> str:
    """Tells keys apart, and so tenants, without telling the key."""
    return hashlib.sha256(api_key.encode()).hexdigest()[:8] if api_key else "-"


def _say(text: str) -> None:
    sys.stderr.write(f"gpo: {text}\n")
