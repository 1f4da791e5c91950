"""How far an import has come, in a file beside the imported one, so that it can go on from there.

A journal is trusted only for the same server, options and beginning of the file.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

SUFFIX = ".gpo-import"
_SCHEMA = 1
MOST_REFUSED = 1_000
"""Refused groups that are told again when an import goes on."""


class Digest:
    """Names the records that were read so far."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def add(self, content: bytes) -> None:
        """One more record."""
        self._hash.update(len(content).to_bytes(8, "big") + content)

    def __str__(self) -> str:
        return self._hash.hexdigest()


@dataclass(slots=True)
class Progress:
    """What is done: so many records from the beginning, and what became of them.

    `first` and `last` are ids of groups that the server said to have: whoever goes on asks for
    them, since a server with another store has not got the rest either.
    """

    target: str
    records: int = 0
    digest: str = ""
    line: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    refused: list[dict[str, Any]] = field(default_factory=list)
    first: str | None = None
    last: str | None = None
    schema: int = _SCHEMA

    @property
    def witnesses(self) -> list[str]:
        """Groups that must be there."""
        return [name for name in (self.first, self.last) if name is not None]


class Journal:
    """The file that holds the progress; without a path nothing is kept."""

    def __init__(self, path: Path | None) -> None:
        self._path = path

    @classmethod
    def beside(cls, file: str | None) -> Self:
        """The journal of an imported file; None for what has no place, such as standard input."""
        return cls(None if file is None else Path(file + SUFFIX))

    @property
    def is_kept(self) -> bool:
        """Whether an import that is interrupted can go on from here."""
        return self._path is not None

    def read(self, target: str) -> Progress | None:
        """The progress of an import to the same target, if there is one that can be read."""
        if self._path is None:
            return None
        try:
            found = Progress(**json.loads(self._path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None
        return found if (found.target, found.schema) == (target, _SCHEMA) else None

    def write(self, progress: Progress) -> None:
        """Put the progress in place of the last one, whole or not at all."""
        if self._path is None:
            return
        whole = json.dumps(asdict(progress))
        new = self._path.with_name(self._path.name + ".new")
        try:
            new.write_text(whole, encoding="utf-8")
            os.replace(new, self._path)
        except OSError as exc:
            sys.stderr.write(
                f"gpo: {self._path} cannot be written ({exc.strerror}); an import that is "
                "interrupted will begin anew\n"
            )
            self._path = None

    def remove(self) -> None:
        """The import is done."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)


def keep_refused(progress: Progress, refused: Sequence[dict[str, Any]]) -> None:
    """Remember refused groups, the first thousand."""
    progress.refused += refused[: MOST_REFUSED - len(progress.refused)]
