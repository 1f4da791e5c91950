"""The columns of groups as CSV, and a group as rows of them: one for each option or response."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence

from service.core.domain import Group, Preference, RatingPreference, SharePreference

MEDIA_TYPE = "text/csv"
GROUP = {
    "group_id": "id",
    "group_name": "name",
    "group_description": "description",
    "group_metadata": "metadata",
}
"""Columns that say something of a group, with the fields that they fill."""
NUMBER = "preference"
SHARE = ("question", "option", "share", "count")
OTHERS = ("prompt", "response", "score", "chosen", "rejected", "weight")
COLUMNS = (*GROUP, NUMBER, *SHARE, *OTHERS)
Row = dict[str, str]


def write(groups: Sequence[Group], *, header: bool) -> bytes:
    """The rows of groups, below the header where it is wanted."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
    if header:
        writer.writeheader()
    for group in groups:
        writer.writerows(_rows(group))
    return text.getvalue().encode()


def _rows(group: Group) -> Iterator[Row]:
    named = {"group_id": group.id, "group_name": group.name}
    first = dict(named)
    if group.description is not None:
        first["group_description"] = group.description
    if group.metadata is not None:
        first["group_metadata"] = json.dumps(dict(group.metadata), ensure_ascii=False)
    if not group.preferences:
        yield first
    for number, preference in enumerate(group.preferences, 1):
        for row in _preference(preference):
            yield {**first, NUMBER: str(number), **row}
            first = named


def _preference(preference: Preference) -> Iterator[Row]:
    if isinstance(preference, SharePreference):
        column = "share" if preference.counts is None else "count"
        values = preference.distribution if preference.counts is None else preference.counts
        for option, value in zip(preference.options, values, strict=True):
            yield {"question": preference.question, "option": option, column: _number(value)}
        return
    row = {"prompt": preference.prompt}
    if isinstance(preference, RatingPreference):
        row |= {"response": preference.response, "score": _number(preference.score)}
    else:
        row |= {"chosen": preference.chosen, "rejected": preference.rejected}
    yield row if preference.weight is None else {**row, "weight": _number(preference.weight)}


def _number(value: float) -> str:
    """As short as it can be without changing the value."""
    return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
