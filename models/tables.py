"""CSV tables of preferences, one line for each group and option, as the rows of the JSONL formats.

Reads columns by name and checks every cell; knows no file and no arrays.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

SURVEY = ("question", "option", "group", "share")
RATINGS = ("prompt", "response", "group", "share")
OPTIONAL: Mapping[tuple[str, ...], tuple[str, ...]] = {
    SURVEY: ("n", "ordinal", "id"),
    RATINGS: ("n", "study"),
}
TOLERANCE = 0.01  # by which the shares of a question may miss 1

Row = Mapping[str, Any]


class TableError(ValueError):
    """A table cannot be read; the message names the line and the column."""

    def __init__(self, line: int, column: str, problem: str) -> None:
        place = f"line {line}" + (f", column {column}" if column else "")
        super().__init__(f"{place}: {problem}")


@dataclass(slots=True)
class _Answer:
    """What a group said of one question or text, and the line where it first did."""

    line: int
    shares: dict[str, float] = field(default_factory=dict)
    n: float | None = None


@dataclass(slots=True)
class _Entry:
    """One question, or one response, while its lines are gathered."""

    line: int
    key: tuple[str, ...]
    options: dict[str, float | None] = field(default_factory=dict)
    answers: dict[str, _Answer] = field(default_factory=dict)


def read_table(text: str) -> Iterator[tuple[int, Row]]:
    """The rows of docs/data.md with the line where each begins. Raises TableError."""
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = next(lines, [])
        columns = [name.strip().lower() for name in header]
        layout = _layout(columns)
        entries: dict[tuple[str, ...], _Entry] = {}
        before = lines.line_num
        for cells in lines:
            if any(cell.strip() for cell in cells):
                _add_line(entries, layout, columns, cells, before + 1)
            before = lines.line_num
    except csv.Error as exc:
        raise TableError(lines.line_num, "", str(exc)) from exc
    for entry in entries.values():
        yield entry.line, _survey(entry) if layout is SURVEY else _rating(entry)


def _layout(columns: list[str]) -> tuple[str, ...]:
    for layout in (SURVEY, RATINGS):
        if set(layout) <= set(columns):
            known = {*layout, *OPTIONAL[layout]}
            for name in columns:
                if name not in known or columns.count(name) > 1:
                    what = "twice" if name in known else f"unknown; known are {_names(layout)}"
                    raise TableError(1, name or "without a name", what)
            return layout
    raise TableError(
        1,
        "",
        f"the columns are {_names(SURVEY)}, or {_names(RATINGS)}, separated by commas; "
        f"found {', '.join(columns) or 'none'}",
    )


def _names(layout: tuple[str, ...]) -> str:
    return f"{', '.join(layout)} (optional: {', '.join(OPTIONAL[layout])})"


def _add_line(
    entries: dict[tuple[str, ...], _Entry],
    layout: tuple[str, ...],
    columns: list[str],
    cells: list[str],
    line: int,
) -> None:
    if len(cells) != len(columns):
        raise TableError(line, "", f"{len(cells)} cells for {len(columns)} columns")
    row = {name: cell.strip() for name, cell in zip(columns, cells, strict=True)}
    for name in layout:
        if not row[name]:
            raise TableError(line, name, "empty")
    first, second = row[layout[0]], row[layout[1]]
    ordinal = _number(row, "ordinal", line)
    if layout is SURVEY:
        entry = entries.setdefault(key := (row.get("id", ""), first), _Entry(line, key))
        if entry.options.setdefault(second, ordinal) != ordinal:
            raise TableError(line, "ordinal", f"{second!r} has another position above")
    else:
        entry = entries.setdefault(key := (first, second), _Entry(line, key))
    answer = entry.answers.setdefault(row["group"], _Answer(line))
    if second in answer.shares:
        what = f"group {row['group']!r} has a share for {second!r} above"
        raise TableError(line, layout[1], what)
    answer.shares[second] = _share(row, line)
    n = _size(row, line)
    if len(answer.shares) > 1 and n != answer.n:
        raise TableError(line, "n", f"group {row['group']!r} has another n for this question above")
    answer.n = n


def _share(row: Mapping[str, str], line: int) -> float:
    share = _number(row, "share", line)
    if share is None or not 0 <= share <= 1:
        raise TableError(line, "share", f"a share is from 0 to 1, found {row['share']}")
    return share


def _size(row: Mapping[str, str], line: int) -> float | None:
    n = _number(row, "n", line)
    if n is not None and n <= 0:
        raise TableError(line, "n", f"the number of respondents is above 0, found {row['n']}")
    return n


def _number(row: Mapping[str, str], column: str, line: int) -> float | None:
    """The finite number in a cell; None where the cell is empty or there is no such column."""
    text = row.get(column, "")
    if not text:
        return None
    try:
        value = float(text)
    except ValueError as exc:
        raise TableError(line, column, f"{text!r} is no number") from exc
    if abs(value) == float("inf") or value != value:
        raise TableError(line, column, f"{text!r} is no finite number")
    return value


def _survey(entry: _Entry) -> Row:
    options = list(entry.options)
    if len(options) < 2:
        raise TableError(entry.line, "option", "a question needs two or more different options")
    groups = {g: _answer(g, a, options) for g, a in entry.answers.items()}
    row = {"id": entry.key[0], "question": entry.key[1], "options": options, "groups": groups}
    positions = list(entry.options.values())
    if None in positions and any(p is not None for p in positions):
        raise TableError(entry.line, "ordinal", "give every option of the question one, or none")
    if None not in positions and len(set(positions)) == 1:
        raise TableError(entry.line, "ordinal", "the options have the same position")
    return row | ({"ordinal": positions} if None not in positions else {})


def _answer(group: str, answer: _Answer, options: list[str]) -> Row:
    for option in options:
        if option not in answer.shares:
            what = f"group {group!r} has no share for {option!r}; write 0 if nobody picked it"
            raise TableError(answer.line, "option", what)
    shares = [answer.shares[o] for o in options]
    if abs(sum(shares) - 1) > TOLERANCE:
        what = f"the shares of group {group!r} for this question sum to {sum(shares):.3g}, not 1"
        raise TableError(answer.line, "share", what)
    return _with_size({"p": shares}, answer)


def _rating(entry: _Entry) -> Row:
    prompt, response = entry.key
    agree = {
        g: _with_size({"p": answer.shares[response]}, answer) for g, answer in entry.answers.items()
    }
    return {"prompt": prompt, "response": response, "agree": agree}


def _with_size(row: Row, answer: _Answer) -> Row:
    return {**row, **({"n": answer.n} if answer.n is not None else {})}
