"""`gpo report`: a group's context, predictions, and how far they can be trusted, on one page.

Files get their names when they are whole: what was there before stays until then.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.text import Text

from service.client import GPOClient
from service.commands.bodies import InputError
from service.commands.report.figures import figures
from service.commands.report.gathering import Report, gather
from service.commands.report.json_form import to_json
from service.commands.report.page import to_html
from service.commands.report.plots import require_matplotlib, to_png
from service.commands.report.questions import read_questions
from service.commands.report.wording import percent
from service.commands.session import run_with_client
from service.commands.views import plain

GROUP_ID = r"[A-Za-z0-9._:-]{1,128}"
"""What the service takes for an id: in a path, anything else would be another address."""


def run(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Ask, write and tell; the status."""

    def work(client: GPOClient, console: Console) -> None:
        names = _names(options)
        if options.folds is not None and options.folds < 2:
            raise InputError("--folds must be 2 or more: one part leaves out every preference")
        asked = None if options.questions is None else read_questions(options.questions)
        page = _page(options)
        _check(options, page)
        file = None if options.questions is None else Path(options.questions).name
        report = gather(client, names, asked, folds=options.folds, file=file)
        if options.png is not None:
            for name, png in to_png(report).items():
                _write(options.png / name, png)
        if page is not None:
            _write(page, to_html(report).encode("utf-8", errors="replace"))
        if options.json:
            sys.stdout.write(to_json(report) + "\n")
        else:
            tell(console, report, page, options.png)

    return run_with_client(options, work)


def _names(options: argparse.Namespace) -> list[str]:
    """The ids of the groups. Raises InputError for what can be none."""
    given = [("GROUP", options.group), ("--compare", options.compare)]
    named = [(field, name) for field, name in given if name is not None]
    for field, name in named:
        if not re.fullmatch(GROUP_ID, name):
            raise InputError(
                f"{field}: {name!r} is no group id, which is up to 128 of A-Z a-z 0-9 . _ : -"
            )
    names = [name for _, name in named]
    if len(set(names)) < len(names):
        raise InputError("--compare must name another group")
    return names


def _page(options: argparse.Namespace) -> Path | None:
    """Where the page goes; with --json only where --out says so. Raises InputError."""
    if options.out == "":
        raise InputError("--out names no file")
    if options.out is not None:
        return Path(options.out)
    if options.json:
        return None
    names = [options.group, *([options.compare] if options.compare else [])]
    return Path(f"report-{re.sub(r'[^A-Za-z0-9._-]+', '-', '-'.join(names))}.html")


def _check(options: argparse.Namespace, page: Path | None) -> None:
    """Raise InputError for what could not be written, before anything is asked."""
    if options.png is not None:
        require_matplotlib()
        _trying(options.png, lambda: options.png.mkdir(parents=True, exist_ok=True))
    if page is None:
        return
    if page.is_dir():
        raise InputError(f"--out: {page} is a folder; name a file in it")
    if not page.parent.is_dir():
        raise InputError(f"--out: there is no folder {page.parent}")
    if not os.access(page.parent, os.W_OK):
        raise InputError(f"--out: {page.parent} cannot be written to")


def _write(path: Path, content: bytes) -> None:
    """Put a file in its place as a whole. Raises InputError."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")

    def write() -> None:
        try:
            part.write_bytes(content)
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)

    _trying(path, write)


def _trying(path: Path, act: Callable[[], object]) -> None:
    try:
        act()
    except OSError as exc:
        raise InputError(f"{path} cannot be written: {exc.strerror or exc}") from exc


def tell(console: Console, report: Report, page: Path | None, png: Path | None) -> None:
    """Say on the terminal what was found of each group, and what was written."""
    for place, subject in enumerate(report.subjects):
        found = figures(report.rows, place)
        said = [f"{len(report.rows)} predicted"]
        if found.alignment and found.alignment_prior:
            n = found.alignment.n
            said.append(
                f"alignment {found.alignment.value:.3f} over {n} question{'s' if n > 1 else ''} "
                f"({found.alignment_prior.value:.3f} without its preferences)"
            )
        if found.covered:
            said.append(f"{percent(found.covered.value)} of true shares inside the intervals")
        console.print(Text(f"{plain(subject.group.name)}: {'; '.join(said)}"), soft_wrap=True)
    if report.leaks:
        note = "too good: the bank of the service holds these groups' own answers (GPO_BANK)"
        console.print(Text(f"These figures are {note}.", "yellow"), soft_wrap=True)
    for path in (page, png):
        if path is not None:
            console.print(Text(f"written: {path}"), soft_wrap=True)
