"""The questions of `--questions FILE`: JSON Lines or CSV, as groups and surveys are written.

Answers that stand beside a question, for a group of the report, become what is true.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from service.commands.bodies import InputError
from service.commands.group_files import format_of, open_to_read
from service.commands.report.items import Item, Kind, Values

_FIELDS = {"id", "question", "options", "ordinal", "distribution", "counts", "groups"}
_TOLERANCE = 0.01
EVERYBODY = ""
"""Whose the answers are where a file names no group: every group's of the report."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A question, and the shares and the number of people, where known, by the group's name."""

    item: Item
    answers: Mapping[str, tuple[Values, float | None]] = field(default_factory=dict)

    def of(self, *names: str) -> tuple[Values, float | None] | None:
        """The answers of the group that has one of these names."""
        found = (self.answers[name] for name in (*names, EVERYBODY) if name in self.answers)
        return next(found, None)


def read_questions(name: str) -> list[Answered]:
    """The questions of a file, `-` for standard input. Raises InputError, with the line."""
    reader = _from_lines if format_of(name) == "jsonl" else _from_rows
    with open_to_read(name) as stream:
        content = stream.read()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise InputError(f"{name} is not UTF-8") from exc
    found = list(reader(name, text))
    if not found:
        raise InputError(f"{name} holds no question")
    return found


def _from_lines(name: str, text: str) -> Iterator[Answered]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        where = f"{name}:{number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as exc:
            raise InputError(f"{where} is not JSON: {exc}") from exc
        if not isinstance(row, dict):
            raise InputError(f"{where} must hold a JSON object, a question with its options")
        for unknown in row.keys() - _FIELDS:
            raise InputError(f"{where}: {unknown}: there is no such field")
        yield _answered(where, row)


def _answered(where: str, row: Mapping[str, Any]) -> Answered:
    options = _texts(where, row.get("options"))
    item = _item(where, row.get("question"), options, row.get("ordinal"))
    answers: dict[str, tuple[Values, float | None]] = {}
    if "distribution" in row and "counts" in row:
        raise InputError(f"{where}: give distribution or counts, not both")
    for key in ("distribution", "counts"):
        if key in row:
            shares, total = _shares(f"{where}: {key}", row[key], options, summed=key == "counts")
            answers[EVERYBODY] = (shares, total if key == "counts" else None)
    groups = row.get("groups", {})
    if not isinstance(groups, dict):
        raise InputError(f"{where}: groups: must be an object of groups with their shares")
    for group, told in groups.items():
        at = f"{where}: groups.{group}"
        if not isinstance(told, dict) or "p" not in told:
            raise InputError(f'{at}: must be an object with "p", the share of each option')
        shares, _ = _shares(f"{at}.p", told["p"], options)
        answers[group] = (shares, _number(f"{at}.n", told["n"]) if "n" in told else None)
    return Answered(item, answers)


@dataclass(slots=True)
class _Gathered:
    """What the rows of one question have said."""

    where: str
    options: dict[str, float | None] = field(default_factory=dict)
    answers: dict[str, dict[str, float]] = field(default_factory=dict)
    counted: bool = False
    people: dict[str, float] = field(default_factory=dict)


def _from_rows(name: str, text: str) -> Iterator[Answered]:
    reader = csv.DictReader(io.StringIO(text, newline=""))
    if not {"question", "option"} <= set(reader.fieldnames or ()):
        raise InputError(f"{name}: the header must name the columns question and option")
    gathered: dict[str, _Gathered] = {}
    try:
        group = EVERYBODY
        for row in reader:
            group = row.get("group") or row.get("group_id") or row.get("group_name") or group
            if row["question"] and row["option"]:
                found = gathered.setdefault(row["question"], _Gathered(f"{name}:{reader.line_num}"))
                _gather(f"{name}:{reader.line_num}", found, row, group)
    except csv.Error as exc:
        raise InputError(f"{name}:{reader.line_num} is not CSV: {exc}") from exc
    for question, found in gathered.items():
        yield _of_rows(question, found)


def _gather(where: str, found: _Gathered, row: Mapping[str, str], group: str) -> None:
    option = row["option"]
    ordinal = row.get("ordinal")
    found.options.setdefault(option, _number(f"{where}: ordinal", ordinal) if ordinal else None)
    for column in ("share", "count"):
        value = row.get(column)
        if value:
            shares = found.answers.setdefault(group, {})
            if option in shares:
                raise InputError(f"{where}: option: {option!r} stands there twice for its question")
            shares[option] = _number(f"{where}: {column}", value)
            found.counted |= column == "count"
    if row.get("n"):
        found.people[group] = _number(f"{where}: n", row["n"])


def _of_rows(question: str, found: _Gathered) -> Answered:
    options = tuple(found.options)
    scale = list(found.options.values()) if None not in found.options.values() else None
    answers = {}
    for group, by_option in found.answers.items():
        where = f"{found.where}: share"
        for option in found.options:
            if option not in by_option:
                whose = f" of {group}" if group else ""
                raise InputError(f"{where}: the answers{whose} lack the option {option!r}")
        given = [by_option[option] for option in options]
        shares, total = _shares(where, given, options, summed=found.counted)
        answers[group] = (shares, total if found.counted else found.people.get(group))
    return Answered(_item(found.where, question, options, scale), answers)


def _item(where: str, question: object, options: tuple[str, ...], scale: object) -> Item:
    if not isinstance(question, str) or not question.strip():
        raise InputError(f"{where}: question: must be a text")
    if len(options) < 2 or len(set(options)) < len(options):
        raise InputError(f"{where}: options: must be two or more, no two alike")
    if scale is None:
        return Item(Kind.QUESTION, question, options)
    positions = _numbers(f"{where}: ordinal", scale, len(options))
    if len(set(positions)) == 1:
        raise InputError(f"{where}: ordinal: the positions are all equal")
    return Item(Kind.QUESTION, question, options, positions)


def _texts(where: str, found: object) -> tuple[str, ...]:
    if not isinstance(found, list) or not all(isinstance(t, str) and t.strip() for t in found):
        raise InputError(f"{where}: options: must be a list of texts")
    return tuple(found)


def _shares(
    where: str, found: object, options: Sequence[str], *, summed: bool = False
) -> tuple[Values, float]:
    """Shares that sum to 1, and what they summed to."""
    values = _numbers(where, found, len(options))
    total = sum(values)
    if min(values) < 0:
        raise InputError(f"{where}: must not be negative")
    if summed and total <= 0:
        raise InputError(f"{where}: nobody answered")
    if not summed and abs(total - 1) > _TOLERANCE:
        raise InputError(f"{where}: must sum to 1 within {_TOLERANCE}; it sums to {total:.4g}")
    return tuple(v / total for v in values), total


def _numbers(where: str, found: object, n: int) -> Values:
    if not isinstance(found, list) or len(found) != n:
        raise InputError(f"{where}: must be a list of {n} numbers, one for each option")
    return tuple(_number(where, value) for value in found)


def _number(where: str, found: object) -> float:
    try:
        readable = isinstance(found, int | float | str) and not isinstance(found, bool)
        value = float(found) if readable else float("nan")  # type: ignore[arg-type]
    except (ValueError, OverflowError):
        value = float("nan")
    if not abs(value) < float("inf"):
        raise InputError(f"{where}: must be a number; found {str(found)[:40]!r}")
    return value
