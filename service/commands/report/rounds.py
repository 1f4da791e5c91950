"""Asks a service for a report: what of which context, in how few requests.

A round is a context with the items that are predicted from it. Contexts are sent as preferences, so
that what is shown and what is asked are of one moment.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn

from service.client import GPOClient
from service.commands.progress import progress
from service.commands.report.items import Item, Kind, Told, known

# The service answers requests that come together in one pass of its module.
_AT_ONCE = 4
_MOST_AT_ONCE = 256
"""Questions or responses of a request, where the service does not say."""
_LARGE = 256
"""A context of more takes the service seconds: one at a time, so that none times out."""
SINGLE, FOLDS = 100, 20
"""How many items are left out one by one; of more, the number of parts."""
_PART = 64
"""Items of a round, so that the bar moves."""

Preference = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Caps:
    """The most that the service takes, as /version says; None where it does not."""

    preferences: int | None = None
    questions: int = _MOST_AT_ONCE
    responses: int = _MOST_AT_ONCE


@dataclass(frozen=True, slots=True)
class Round:
    """Items that are predicted from one context, and the names under which they come back."""

    context: Sequence[Preference]
    items: Mapping[tuple[int, int], Item]


def rounds(
    group: int, preferences: Sequence[Preference], items: Sequence[Item], *, folds: int | None
) -> Iterator[Round]:
    """What predicts every item from those of the preferences that do not tell it.

    Items that no preference tells are predicted from all of them; the others are cut into `folds`
    parts at most, by default of one item each up to SINGLE items, and of more into FOLDS.
    """
    tells = [known(preference).item.told_by for preference in preferences]
    all_told = frozenset().union(*tells)
    told = [place for place, item in enumerate(items) if item.told_by & all_told]
    free = [place for place in range(len(items)) if not items[place].told_by & all_told]
    parts = folds or (len(told) if len(told) <= SINGLE else FOLDS)
    for fold in range(min(parts, len(told))):
        asked = told[fold::parts]
        left_out = frozenset().union(*(items[place].told_by for place in asked))
        rest = [p for p, own in zip(preferences, tells, strict=True) if not own & left_out]
        yield Round(rest, {(group, place): items[place] for place in asked})
    for start in range(0, len(free), _PART):
        part = free[start : start + _PART]
        yield Round(preferences, {(group, place): items[place] for place in part})


def ask(
    client: GPOClient, rounds: Sequence[Round], caps: Caps, *, title: str
) -> dict[tuple[int, int], Told]:
    """Every item's prediction under its name. Raises GPOError."""
    told: dict[tuple[int, int], Told] = {}
    with progress(TextColumn(title, markup=False), BarColumn(), MofNCompleteColumn()) as shown:
        task = shown.add_task(title, total=sum(len(r.items) for r in rounds))
        large = any(len(r.context) > _LARGE for r in rounds)
        pool = ThreadPoolExecutor(1 if large else _AT_ONCE)
        try:
            for done in as_completed([pool.submit(_asked, client, r, caps) for r in rounds]):
                found = done.result()
                told |= found
                shown.advance(task, len(found))
        finally:
            # After an error or Ctrl-C what has not begun is not sent any more.
            pool.shutdown(cancel_futures=True)
    return told


def _asked(client: GPOClient, one: Round, caps: Caps) -> dict[tuple[int, int], Told]:
    questions = [(n, i) for n, i in one.items.items() if i.kind is Kind.QUESTION]
    told: dict[tuple[int, int], Told] = {}
    for start in range(0, len(questions), caps.questions):
        part = questions[start : start + caps.questions]
        answer = client.predict(
            questions=[{"question": i.prompt, "options": i.texts} for _, i in part],
            preferences=one.context,
        )
        for (name, _), p in zip(part, answer.predictions, strict=True):
            told[name] = _told(p.distribution, p.interval)
    return told | _scored(client, one, caps)


def _scored(client: GPOClient, one: Round, caps: Caps) -> dict[tuple[int, int], Told]:
    """Ratings and comparisons, those of one prompt together."""
    by_prompt: dict[str, list[tuple[tuple[int, int], Item]]] = {}
    for name, item in one.items.items():
        if item.kind is not Kind.QUESTION:
            by_prompt.setdefault(item.prompt, []).append((name, item))
    told: dict[tuple[int, int], Told] = {}
    for prompt, asked in by_prompt.items():
        texts = list(dict.fromkeys(text for _, item in asked for text in item.texts))
        found: dict[str, tuple[float, tuple[float, float]]] = {}
        for start in range(0, len(texts), caps.responses):
            part = texts[start : start + caps.responses]
            [scores] = client.score(prompt, part, preferences=one.context).scores
            found |= {part[r.index]: (r.score, r.interval) for r in scores.results}
        for name, item in asked:
            values = [found[text] for text in item.texts]
            told[name] = _told([v for v, _ in values], [v for _, v in values])
    return told


def _told(shares: Sequence[float], interval: Sequence[tuple[float, float]]) -> Told:
    low, high = zip(*interval, strict=True)
    return Told(tuple(shares), tuple(low), tuple(high))
