"""Groups from CSV: rows that follow each other become a group, with the cell of each field.

A share is a question's rows, one for each option; a rating or a comparison is one row.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from typing import Any

from service.api.refusals import Refusal
from service.api.strict_json import Malformed, load
from service.api.transfer.csv_columns import COLUMNS, GROUP, NUMBER, SHARE, Row
from service.api.transfer.reading import Fault, Raw
from service.core.errors import FieldError, InputTooLarge, InvalidInput

MOST_LINES = 100_000
_NUMBERS = {"share", "count", "score", "weight"}
_SCATTERED = "the rows of a group must follow each other; those of this one ended at line {}"


def read(body: bytes) -> Iterator[Raw]:
    """Each group. Raises Refusal (400), InvalidInput for the header, InputTooLarge."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        detail = f"The body cannot be read as CSV: it is not UTF-8 at byte {exc.start}."
        raise Refusal(400, "malformed_csv", detail) from exc
    if text.count("\n") > MOST_LINES:
        raise InputTooLarge([FieldError("", f"at most {MOST_LINES} lines in one request")])
    rows = _Rows(text)
    ended: dict[str, int] = {}
    group: _Group | None = None
    for line, row, faults in rows:
        if group is None or not group.takes(row):
            if group is not None:
                yield group.raw()
                ended[group.group_id] = rows.before
            group = _Group(line)
            if group_id := row.get("group_id"):
                faults += _scattered(line, ended.get(group_id))
        group.add(line, row, faults)
    if group is not None:
        yield group.raw()


class _Rows:
    """The rows of a CSV text: the line of each, its cells that hold something, its faults."""

    def __init__(self, text: str) -> None:
        # Lines end at \n alone: a \r may stand in a quoted text.
        self._csv = csv.reader(_lines(text))
        self.before = self.line = 0
        try:
            header = next(self._csv, [])
        except csv.Error as exc:
            detail = f"the first line cannot be read as CSV: {exc}"
            raise InvalidInput([FieldError("", detail)]) from exc
        _check_header(header)
        self._header = header

    def __iter__(self) -> Iterator[tuple[int, Row, list[Fault]]]:
        while True:
            start = self._csv.line_num + 1
            try:
                cells = next(self._csv)
            except StopIteration:
                return
            except csv.Error as exc:
                self.before, self.line = self.line, start
                yield start, {}, [Fault(start, None, "", f"cannot be read as CSV: {exc}")]
                continue
            if not any(cells):
                continue
            self.before, self.line = self.line, start
            faults = []
            if len(cells) > len(self._header):
                detail = f"{len(cells)} cells below {len(self._header)} columns"
                faults.append(Fault(start, None, "", detail))
            row = {name: cell for name, cell in zip(self._header, cells, strict=False) if cell}
            yield start, row, faults


def _scattered(line: int, before: int | None) -> list[Fault]:
    return [] if before is None else [Fault(line, "group_id", "/id", _SCATTERED.format(before))]


def _lines(text: str) -> Iterator[str]:
    start = 0
    while start < len(text):
        end = text.find("\n", start) + 1 or len(text)
        yield text[start:end]
        start = end


def _check_header(header: Sequence[str]) -> None:
    wrong = [
        FieldError(f"/{name[:100]}", f"is not a column of groups; those are {', '.join(COLUMNS)}")
        for name in header
        if name not in COLUMNS
    ]
    twice = {name for name in header if header.count(name) > 1}
    wrong += [FieldError(f"/{name[:100]}", "comes twice in the header") for name in sorted(twice)]
    if not header:
        wrong = [FieldError("", "the first line must name the columns")]
    elif "group_id" not in header and "group_name" not in header:
        wrong.append(FieldError("/group_name", "is missing in the header"))
    if wrong:
        raise InvalidInput(wrong)


class _Group:
    """Gathers the rows of one group."""

    def __init__(self, line: int) -> None:
        self._line = line
        self._fields: dict[str, Any] = {}
        self._preferences: list[dict[str, Any]] = []
        self._cells: dict[str, tuple[int, str | None]] = {}
        self._faults: list[Fault] = []
        self._open: tuple[str, str] | None = None

    @property
    def group_id(self) -> str:
        """The id, empty where there is none."""
        return str(self._fields.get("id", ""))

    def takes(self, row: Row) -> bool:
        """Whether a row is of this group: by its id, without one by its name, without both too."""
        if "group_id" in row:
            return row["group_id"] == self.group_id
        return row.get("group_name") in (None, self._fields.get("name"))

    def add(self, line: int, row: Row, faults: Sequence[Fault]) -> None:
        """One more row."""
        self._faults += faults
        for column, field in GROUP.items():
            if column in row:
                self._set(line, column, field, row[column])
        cells = {column: cell for column, cell in row.items() if column not in GROUP}
        number = cells.pop(NUMBER, "")
        if not cells:
            return
        if not cells.keys().isdisjoint(SHARE):
            self._add_option(line, number, cells)
        else:
            self._open = None
            self._begin(line, cells)

    def _set(self, line: int, column: str, field: str, cell: str) -> None:
        if field not in self._fields:
            self._fields[field] = cell
            self._cells[f"/{field}"] = (line, column)
        elif self._fields[field] != cell:
            first = self._cells[f"/{field}"][0]
            detail = f"is another one than in line {first}, of the same group"
            self._faults.append(Fault(line, column, f"/{field}", detail))

    def _add_option(self, line: int, number: str, cells: Row) -> None:
        question = cells.pop("question", "")
        if self._open != (number, question) or not self._preferences:
            self._open = (number, question)
            self._begin(line, {"question": question} if question else {})
            self._preferences[-1]["options"] = []
        preference = self._preferences[-1]
        at = f"/preferences/{len(self._preferences) - 1}"
        index = len(preference["options"])
        preference["options"].append(cells.pop("option", ""))
        self._cells[f"{at}/options/{index}"] = (line, "option")
        for column, field in (("share", "distribution"), ("count", "counts")):
            if column in cells:
                values = preference.setdefault(field, [])
                self._cells[f"{at}/{field}/{len(values)}"] = (line, column)
                self._cells.setdefault(f"{at}/{field}", (line, column))
                values.append(_number(cells.pop(column)))
        for column, cell in cells.items():  # of another kind: the schema refuses them
            preference[column] = cell
            self._cells[f"{at}/{column}"] = (line, column)

    def _begin(self, line: int, cells: Row) -> None:
        at = f"/preferences/{len(self._preferences)}"
        self._cells[at] = (line, None)
        for column in cells:
            self._cells[f"{at}/{column}"] = (line, column)
        self._preferences.append(
            {c: _number(cell) if c in _NUMBERS else cell for c, cell in cells.items()}
        )

    def raw(self) -> Raw:
        """The group as a body of POST /groups."""
        body = {**self._fields, "preferences": self._preferences}
        if "metadata" in body:
            try:
                body["metadata"] = load(body["metadata"].encode())
            except Malformed as exc:
                line, column = self._cells["/metadata"]
                self._faults.append(Fault(line, column, "/metadata", f"is not JSON: {exc}"))
        return Raw(self._line, body, self._cells, tuple(self._faults))


def _number(cell: str) -> float | str:
    """The number in a cell; what is none is left for the schema to name."""
    try:
        return float(cell)
    except ValueError:
        return cell
