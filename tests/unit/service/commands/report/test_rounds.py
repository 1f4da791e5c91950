"""What is left out when a preference is predicted from the others: all that would tell it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from service.commands.report.items import Item, Kind, in_order_of, known
from service.commands.report.rounds import FOLDS, SINGLE, Round, rounds

PARKS = {"question": "Parks or roads?", "options": ["Parks", "Roads"], "distribution": [0.7, 0.3]}
AGAIN = {"question": "parks or  roads", "options": ["Roads", "Parks", "Both"], "counts": [2, 3, 5]}
SWIM = {"prompt": "A day off?", "response": "A swim.", "score": 4, "scale": [1, 5], "weight": 9}
LAKE = {"prompt": "A day off?", "chosen": "A swim.", "rejected": "A drive."}
MEAL = {"prompt": "A meal?", "response": "A swim.", "score": 0.1}
ALL = [PARKS, AGAIN, SWIM, LAKE, MEAL]


def cut(preferences: Sequence[dict[str, Any]], folds: int = 100) -> list[Round]:
    items = [known(p).item for p in preferences]
    return list(rounds(0, preferences, items, folds=folds))


def test_the_kinds_are_read() -> None:
    shares, counts, rating, pair, _ = (known(p) for p in ALL)
    assert (shares.true, shares.people) == ((0.7, 0.3), None)
    assert (counts.true, counts.people) == ((0.2, 0.3, 0.5), 10)
    assert (rating.item.kind, rating.true, rating.people) == (Kind.RATING, (0.75,), 9)
    assert (pair.item.texts, pair.true) == (("A swim.", "A drive."), (1.0, 0.0))


def test_the_same_question_and_the_same_text_are_left_out_too() -> None:
    contexts = {n: r.context for r in cut(ALL) for _, n in r.items}
    assert contexts[0] == contexts[1] == [SWIM, LAKE, MEAL]
    assert contexts[2] == contexts[3] == [PARKS, AGAIN, MEAL]
    # The same words as an answer to another prompt are another matter.
    assert contexts[4] == [PARKS, AGAIN, SWIM, LAKE]


def test_every_item_is_asked_once_however_few_the_folds() -> None:
    for folds in (1, 2, 3, 100):
        found = cut(ALL, folds)
        assert len(found) == min(folds, len(ALL))
        assert sorted(n for r in found for n in r.items) == [(0, i) for i in range(5)]
        for one in found:
            told = frozenset().union(*(item.told_by for item in one.items.values()))
            assert not any(known(p).item.told_by & told for p in one.context)


def test_a_new_question_is_asked_of_the_whole_context() -> None:
    new = [Item(Kind.QUESTION, f"More trees in {year}?", ("Yes", "No")) for year in range(150)]
    found = list(rounds(1, [PARKS, SWIM], [*new, known(PARKS).item], folds=9))
    assert [r.context for r in found] == [[SWIM], *[[PARKS, SWIM]] * 3]
    assert len({n for r in found for n in r.items}) == 151
    assert next(rounds(0, [], new[:1], folds=9)).context == []
    assert list(rounds(0, [PARKS], [], folds=9)) == []


def test_each_is_on_its_own_until_there_are_many() -> None:
    for number, expected in ((SINGLE, SINGLE), (SINGLE + 1, FOLDS)):
        many = [{**PARKS, "question": f"Parks or roads in {year}?"} for year in range(number)]
        found = list(rounds(0, many, [known(p).item for p in many], folds=None))
        assert len(found) == expected
        assert sum(len(r.items) for r in found) == number


def test_a_key_knows_no_order_and_no_case_but_every_sign_of_an_option() -> None:
    one = Item(Kind.QUESTION, "How far?", ("+1", "1", "So  so"))
    other = Item(Kind.QUESTION, "how far", ("so so", "1", "+1"))
    assert one.key == other.key
    assert in_order_of(one, other, [0.1, 0.2, 0.7]) == (0.7, 0.2, 0.1)
    assert one.key != Item(Kind.QUESTION, "How far?", ("+1", "+1", "So so")).key
    assert in_order_of(one, one, [1, 2, 3]) == pytest.approx((1, 2, 3))
