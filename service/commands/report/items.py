"""What a report asks about, and what came of it. Knows no server and no page.

An item is a question with options, a rated response, or a comparison of two responses. Each of its
values is a share in [0, 1]: of the group that picks the option, or that approves of the response.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Values = tuple[float, ...]


class Kind(enum.Enum):
    """The kinds of preferences, and of what is asked."""

    QUESTION = "question"
    RATING = "rating"
    COMPARISON = "comparison"


@dataclass(frozen=True, slots=True)
class Item:
    """`texts` are the options, the response, or the chosen and the rejected response.

    `scale` holds the position of each option, where the options have an order.
    """

    kind: Kind
    prompt: str
    texts: tuple[str, ...]
    scale: Values | None = None

    @property
    def key(self) -> tuple[str, ...]:
        """The same for the same question or texts, in whatever order and case."""
        return (self.kind.value, _words(self.prompt), *sorted(map(_spaced, self.texts)))

    @property
    def told_by(self) -> frozenset[tuple[str, str]]:
        """Two items that share one of these tell each other: whoever knows one knows the other.

        So do a question that is asked twice, with other options even, and two judgements of one
        response to one prompt.
        """
        if self.kind is Kind.QUESTION:
            return frozenset({("question", _words(self.prompt))})
        return frozenset((_words(self.prompt), _spaced(text)) for text in self.texts)


@dataclass(frozen=True, slots=True)
class Told:
    """What the service predicts: a value with its 90 % interval for each text of an item."""

    shares: Values
    low: Values
    high: Values


@dataclass(frozen=True, slots=True)
class Side:
    """One group's side of an item. `prior`: what is predicted without any preference.

    `true` is what the group answered, where that is known: for a comparison (1, 0). `left_out`:
    it is among the group's preferences, and was predicted from the others.
    """

    told: Told
    prior: Told
    true: Values | None = None
    people: float | None = None
    left_out: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """An item with the side of each group, in the order of the groups."""

    item: Item
    sides: tuple[Side, ...]


@dataclass(frozen=True, slots=True)
class Known:
    """A preference of a group as an item, with what it says; `people` may be unknown."""

    item: Item
    true: Values
    people: float | None


def known(preference: Mapping[str, Any]) -> Known:
    """A stored preference, as the service gives it back."""
    if "question" in preference:
        counts = preference.get("counts")
        values = [float(v) for v in counts or preference["distribution"]]
        total = sum(values)
        return Known(
            Item(Kind.QUESTION, preference["question"], tuple(preference["options"])),
            tuple(v / total for v in values),
            total if counts else None,
        )
    people = preference.get("weight")
    if "response" in preference:
        low, high = preference.get("scale") or (0.0, 1.0)
        value = (float(preference["score"]) - low) / (high - low)
        item = Item(Kind.RATING, preference["prompt"], (preference["response"],))
        return Known(item, (value,), people)
    texts = (preference["chosen"], preference["rejected"])
    return Known(Item(Kind.COMPARISON, preference["prompt"], texts), (1.0, 0.0), people)


def in_order_of(item: Item, other: Item, values: Sequence[float]) -> Values:
    """Values of `other`, which has the same key, in the order of the texts of `item`."""
    if item.texts == other.texts:
        return tuple(values)
    places = {_spaced(text): value for text, value in zip(other.texts, values, strict=True)}
    return tuple(places[_spaced(text)] for text in item.texts)


def _spaced(text: str) -> str:
    """An answer without its case and spaces' lengths: +1 and 1 are two options."""
    return " ".join(text.casefold().split())


def _words(text: str) -> str:
    """A question without its case and punctuation; itself if nothing else is there."""
    return " ".join(re.findall(r"\w+", text.casefold())) or text
