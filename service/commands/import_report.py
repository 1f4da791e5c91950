"""What an import tells: a bar while it runs, refused groups with their lines, counts at its end.

The bar and the refused groups go to standard error; with --json, lines of JSON to standard output.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from rich.progress import BarColumn, SpinnerColumn, TaskProgressColumn, TextColumn

from service.commands.progress import progress
from service.commands.views import plain

MOST_SHOWN = 100
STATUSES = ("created", "updated", "unchanged", "skipped", "refused")


class Bar:
    """A progress bar on standard error, where that is a terminal."""

    def __init__(self, title: str, *, total: int | None) -> None:
        self._progress = progress(
            SpinnerColumn(),
            TextColumn(title, markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[groups]:,} groups, {task.fields[lines]:,} lines"),
            TextColumn("{task.fields[rate]}"),
        )
        self._task = self._progress.add_task(title, total=total, groups=0, lines=0, rate="")

    def set(self, *, done: float, groups: int, lines: int, new: int | None = None) -> None:
        """How far it has come; `new` are the groups of this run, whose rate is shown."""
        elapsed = self._progress.tasks[0].elapsed or 0.0
        rate = f"{(groups if new is None else new) / elapsed:,.0f} groups/s" if elapsed else ""
        self._progress.update(self._task, completed=done, groups=groups, lines=lines, rate=rate)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()


class Report:
    """Tells of refused groups as they come, and counts all."""

    def __init__(self, name: str, *, as_json: bool) -> None:
        self.counts: Counter[str] = Counter()
        self.lines = 0
        self.name = name
        self._as_json = as_json
        self._shown = 0

    def refused(self, group: Mapping[str, Any]) -> None:
        """Tell of one refused group: its line, and what is wrong."""
        if self._as_json:
            sys.stdout.write(json.dumps(group) + "\n")
            return
        for error in group["errors"]:
            self._shown += 1
            if self._shown > MOST_SHOWN:
                continue
            at = error["column"] or error["pointer"] or "group"
            where = f"{self.name}:{error['line']}: {at}"
            sys.stderr.write(f"{plain(where)}: {plain(error['detail'])}\n")

    def end(self, *, dry_run: bool) -> None:
        """Tell the counts."""
        if self._as_json:
            summary = {
                "dry_run": dry_run,
                **{s: self.counts[s] for s in STATUSES},
                "lines": self.lines,
            }
            sys.stdout.write(json.dumps(summary) + "\n")
            return
        if self._shown > MOST_SHOWN:
            more = self._shown - MOST_SHOWN
            sys.stderr.write(f"… and {more:,} more faults; --json tells all of them\n")
        found = [f"{self.counts[s]:,} {s}" for s in STATUSES if self.counts[s]]
        would = " (dry run, nothing was written)" if dry_run else ""
        sys.stdout.write(f"{', '.join(found) or 'no groups'}{would}\n")
