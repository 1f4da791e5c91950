"""Brings together what a report shows: the groups, what is asked, what is predicted and true."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from service.client import GPOClient, Group, Version
from service.commands.report.items import (
    Item,
    Known,
    Row,
    Side,
    Told,
    Values,
    in_order_of,
    known,
)
from service.commands.report.questions import Answered
from service.commands.report.rounds import Caps, Round, ask, rounds

_PRIOR = -1
"""In the place of a group: what is predicted without any preference."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A group with its preferences, read."""

    group: Group
    known: tuple[Known, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that a page, the plots and the JSON are made of."""

    subjects: tuple[Subject, ...]
    rows: tuple[Row, ...]
    about: Version
    caps: Caps
    url: str
    made: datetime
    folds: int | None
    file: str | None
    """Where the questions come from; None: from the groups' own preferences."""

    @property
    def leaks(self) -> bool:
        """Whether the service's bank holds the very answers that are left out (ADR 9)."""
        own = self.about.bank in ("own", "both")
        return own and any(side.left_out for row in self.rows for side in row.sides)


def gather(
    client: GPOClient,
    names: Sequence[str],
    asked: Sequence[Answered] | None,
    *,
    folds: int | None,
    file: str | None,
) -> Report:
    """Ask the service for all of it. Raises GPOError."""
    subjects = tuple(_subject(client.groups.get(name, preferences=True)) for name in names)
    about = client.version()
    caps = _caps(about)
    given = list(asked) if asked is not None else [Answered(item) for item in _own(subjects)]
    items = [each.item for each in given]
    needed = [Round([], {(_PRIOR, i): item for i, item in enumerate(items)})] if items else []
    for place, subject in enumerate(subjects):
        needed += rounds(place, subject.group.preferences or [], items, folds=folds)
    told = ask(client, needed, caps, title="predicting")
    return Report(
        subjects=subjects,
        rows=tuple(_row(place, each, subjects, told) for place, each in enumerate(given)),
        about=about,
        caps=caps,
        url=client.base_url,
        made=datetime.now(UTC),
        folds=folds,
        file=file,
    )


def _subject(group: Group) -> Subject:
    return Subject(group, tuple(known(each) for each in group.preferences or []))


def _own(subjects: Sequence[Subject]) -> Iterator[Item]:
    """What the groups were asked, once each."""
    seen: set[tuple[str, ...]] = set()
    for subject in subjects:
        for each in subject.known:
            if each.item.key not in seen:
                seen.add(each.item.key)
                yield each.item


def _row(
    place: int,
    asked: Answered,
    subjects: Sequence[Subject],
    told: Mapping[tuple[int, int], Told],
) -> Row:
    sides = []
    for number, subject in enumerate(subjects):
        true, people = _true(asked, subject)
        sides.append(
            Side(
                told=told[number, place],
                prior=told[_PRIOR, place],
                true=true,
                people=people,
                left_out=any(k.item.told_by & asked.item.told_by for k in subject.known),
            )
        )
    return Row(asked.item, tuple(sides))


def _true(asked: Answered, subject: Subject) -> tuple[Values | None, float | None]:
    """What the file says of the group, else what it was registered with."""
    found = asked.of(subject.group.id, subject.group.name)
    if found is not None:
        return found
    same = [k for k in subject.known if k.item.key == asked.item.key]
    if not same:
        return None, None
    weights = [k.people or 1.0 for k in same]
    values = [in_order_of(asked.item, k.item, k.true) for k in same]
    pooled = tuple(
        sum(w * v for w, v in zip(weights, column, strict=True)) / sum(weights)
        for column in zip(*values, strict=True)
    )
    people = [k.people for k in same if k.people is not None]
    return pooled, sum(people) if people else None


def _caps(about: Version) -> Caps:
    """What the service takes at most; the usual, where it is too old to say."""
    if about.limits is None:
        return Caps()
    most = about.limits
    return Caps(preferences=most.preferences, questions=most.questions, responses=most.responses)
