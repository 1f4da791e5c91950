"""Preference files as arrays.

Reads the formats of docs/data.md. Knows no split, no embedder and no network.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.batches import FloatArray, Kind
from models.tables import TableError, read_table

IntArray = NDArray[np.int64]


class DataError(ValueError):
    """A data file cannot be read; the message names the file and the line."""


@dataclass(frozen=True, slots=True)
class Corpus:
    """One file of preferences: I items, N cells (an option of a question, or one response).

    starts (I + 1,): item i owns the cells starts[i]:starts[i + 1].
    values (G, N) in [0, 1], NaN where a group did not answer; weights (G, I) respondents, NaN
    where unknown. ordinal (N,) is the position of an option on its scale, NaN without one.
    question (I,) numbers the distinct normalised question texts (for ratings: prompts).
    """

    name: str
    kind: Kind
    pairs: tuple[tuple[str, str], ...]
    starts: IntArray
    question: IntArray
    values: FloatArray
    weights: FloatArray
    ordinal: FloatArray
    groups: tuple[str, ...]
    sha256: str = ""
    rows: int = 0
    statements: bool = False  # personas and debates: a group's items are its own

    @property
    def items(self) -> int:
        """Number of items, I."""
        return len(self.starts) - 1

    def cells(self, items: IntArray) -> IntArray:
        """The cells of some items, in order."""
        spans = [np.arange(self.starts[i], self.starts[i + 1]) for i in items]
        return np.concatenate(spans) if spans else np.zeros(0, np.int64)

    def answered(self, group: int) -> IntArray:
        """The items that a group answered."""
        return np.flatnonzero(~np.isnan(self.values[group, self.starts[:-1]]))


@dataclass(slots=True)
class _Rows:
    """What is gathered while a file is read, before it becomes arrays."""

    pairs: list[tuple[str, str]] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)
    ordinal: list[float] = field(default_factory=list)
    answers: list[dict[str, tuple[list[float], float]]] = field(default_factory=list)


def normalise(text: str) -> str:
    """Lower case, letters and digits alone: equal for wordings that differ only in layout."""
    return " ".join(re.findall(r"[^\W_]+", text.lower()))


def read_corpus(path: Path) -> Corpus:
    """Read one .jsonl or .csv file, also with .gz. Raises DataError naming the line."""
    raw = path.read_bytes()
    rows, kinds = _Rows(), set()
    for number, row in _lines(path, read_text(path, raw)):
        try:
            kinds.add(_add_row(rows, json.loads(row) if isinstance(row, str) else row))
        except (ValueError, KeyError, TypeError, AttributeError) as exc:
            raise DataError(f"{path}, line {number}: {type(exc).__name__}: {exc}") from exc
    if len(kinds) != 1:
        raise DataError(f"{path}: a file holds survey rows or rating rows, found {len(kinds)}")
    return _to_corpus(_name(path), kinds.pop(), rows, hashlib.sha256(raw).hexdigest())


def _name(path: Path) -> str:
    return path.name.split(".")[0]


def _is_table(path: Path) -> bool:
    return path.name.removesuffix(".gz").endswith(".csv")


def _lines(path: Path, text: str) -> Iterator[tuple[int, str | Mapping[str, Any]]]:
    """What a file says, by the number of the line: JSON still to be read, or a table's rows."""
    if _is_table(path):
        try:
            yield from read_table(text)
        except TableError as exc:
            raise DataError(f"{path}, {exc}") from exc
        return
    # Not splitlines(): a text may hold a line separator such as U+2028 as it is.
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield number, line


def read_text(path: Path, raw: bytes) -> str:
    """The text of a file, unpacked if its name ends in .gz. Raises DataError."""
    try:
        # Spreadsheets write a byte order mark in front of a CSV file.
        return (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8-sig")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as exc:
        raise DataError(f"{path}: {exc}") from exc


def _add_row(rows: _Rows, row: Mapping[str, Any]) -> Kind:
    if "options" in row:
        options = [str(o) for o in row["options"]]
        if len(options) < 2 or len({o.strip() for o in options}) < len(options):
            raise ValueError("a question needs two or more different options")
        answers = {
            g: (_shares(a["p"], len(options)), float(a.get("n", "nan")))
            for g, a in row["groups"].items()
        }
        ordinal = _ordinal(row.get("ordinal"), len(options))
        rows.pairs += [(row["question"], o) for o in options]
        rows.ordinal += ordinal
        kind, question = Kind.SHARE, row["question"]
    else:
        answers = {g: ([_rate(a["p"])], float(a.get("n", "nan"))) for g, a in row["agree"].items()}
        rows.pairs.append((row["prompt"], row["response"]))
        rows.ordinal.append(float("nan"))
        options, kind, question = [row["response"]], Kind.RATING, row["prompt"]
    rows.sizes.append(len(options))
    rows.questions.append(normalise(question))
    rows.answers.append(answers)
    return kind


def _shares(values: Iterable[float], k: int) -> list[float]:
    p = np.asarray(list(values), np.float64)
    if p.shape != (k,) or not np.isfinite(p).all() or (p < 0).any() or abs(p.sum() - 1) > 0.01:
        raise ValueError(f"p must be {k} shares >= 0 that sum to 1, got {p.tolist()}")
    return [float(v) for v in p / p.sum()]


def _rate(value: float) -> float:
    if not 0 <= value <= 1:
        raise ValueError(f"p must be a share from 0 to 1, got {value}")
    return float(value)


def _ordinal(values: Sequence[float] | None, k: int) -> list[float]:
    if not values:
        return [float("nan")] * k
    at = [float(v) for v in values]
    if len(at) != k or not np.isfinite(at).all() or len(set(at)) == 1:
        raise ValueError(f"ordinal must be {k} positions, not all alike, got {values}")
    return at


def _to_corpus(name: str, kind: Kind, rows: _Rows, sha256: str) -> Corpus:
    groups = sorted({g for answers in rows.answers for g in answers})
    number = {g: i for i, g in enumerate(groups)}
    starts = np.concatenate([[0], np.cumsum(rows.sizes)]).astype(np.int64)
    values = np.full((len(groups), len(rows.pairs)), np.nan, np.float32)
    weights = np.full((len(groups), len(rows.sizes)), np.nan, np.float32)
    for i, answers in enumerate(rows.answers):
        for g, (p, n) in answers.items():
            values[number[g], starts[i] : starts[i + 1]] = p
            weights[number[g], i] = n
    distinct = {q: i for i, q in enumerate(dict.fromkeys(rows.questions))}
    return Corpus(
        name=name,
        kind=kind,
        pairs=tuple(rows.pairs),
        starts=starts,
        question=np.array([distinct[q] for q in rows.questions], np.int64),
        values=values,
        weights=weights,
        ordinal=np.array(rows.ordinal, np.float32),
        groups=tuple(groups),
        sha256=sha256,
        rows=len(rows.sizes),
    )


def preference_files(folder: Path) -> Iterator[Path]:
    """The files of a folder that hold preferences, by name.

    Every .csv file must; .jsonl files with other rows are passed over. Raises DataError if there
    is none, or two would have the same name in reports.
    """
    found = (
        [p for p in sorted(folder.iterdir()) if _holds_preferences(p)] if folder.is_dir() else []
    )
    if not found:
        raise DataError(
            f"{folder}: no .jsonl, .jsonl.gz, .csv or .csv.gz file with preferences (docs/data.md)"
        )
    names: dict[str, Path] = {}
    for path in found:
        if names.setdefault(_name(path), path) is not path:
            other = names[_name(path)].name
            raise DataError(f"{path}: reports would confuse it with {other}; rename one")
    yield from found


def first_row(path: Path) -> dict[str, Any]:
    """The first JSON object of a .jsonl or .jsonl.gz file, or {}. Raises DataError."""
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as lines:
        try:
            first = json.loads(next((line for line in lines if line.strip()), b"{}"))
        except (OSError, EOFError, zlib.error, ValueError) as exc:
            raise DataError(f"{path}: {exc}") from exc
    return first if isinstance(first, dict) else {}


def _holds_preferences(path: Path) -> bool:
    if _is_table(path):
        return True
    if ".jsonl" not in path.name:
        return False
    return bool(first_row(path).keys() & {"groups", "agree", "persona"})
