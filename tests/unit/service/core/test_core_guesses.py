"""Which questions a language model is asked, and where its guesses end up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from fakes import FakeScorer

from service.core.contexts import GroupContext
from service.core.domain import (
    Context,
    ContextItem,
    FloatArray,
    Guess,
    Preference,
    Question,
    RatingPreference,
    SharePreference,
)
from service.core.errors import GeneratorRejected, InvalidInput
from service.core.guesses import Guesses

RATING = RatingPreference("Describe a good day.", "Quiet.", 0.9)


@dataclass
class Asker:
    """Guesses even shares and keeps what it was asked."""

    asked: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    fault: Exception | None = None

    async def guess(
        self, questions: Sequence[tuple[str, tuple[str, ...]]], *, tenant: str
    ) -> list[Guess]:
        if self.fault is not None:
            raise self.fault
        self.asked += questions
        return [Guess(np.full(len(o), 1 / len(o), np.float32), "asker") for _, o in questions]


class BankScorer(FakeScorer):
    """Knows the questions whose first component is above 0."""

    async def known(
        self, contexts: Sequence[Context], questions: Sequence[FloatArray]
    ) -> list[bool]:
        return [bool(vectors[0, 0] > 0) for vectors in questions]


def share(number: int) -> SharePreference:
    return SharePreference(f"Question {number}?", ("Yes", "No"), (0.7, 0.3))


def group(*numbers: int, group_id: str | None = None) -> GroupContext:
    """Share preferences, of which those with odd numbers are known, and one rating at the end."""
    preferences: list[Preference] = [share(n) for n in numbers]
    items = [
        ContextItem(p.kind, _vectors(n), np.array([0.7, 0.3], np.float32))
        for n, p in zip(numbers, preferences, strict=True)
    ]
    rating = ContextItem(RATING.kind, _vectors(0)[:1], np.array([0.9], np.float32))
    context = Context(f"digest {numbers}", (*items, rating))
    return GroupContext(group_id, None, None, (*preferences, RATING), context)


def _vectors(number: int) -> FloatArray:
    return np.full((2, 3), 1.0 if number % 2 else -1.0, np.float32) * (1 + number)


def guesses_of(asker: Asker, *, most: int = 100) -> Guesses:
    return Guesses(asker, BankScorer(), context_questions=most)


async def test_only_new_questions_with_options_are_asked() -> None:
    asker = Asker()
    given = group(1, 2, 3, 4)
    (context,) = await guesses_of(asker).of_contexts([given])
    assert asker.asked == [("Question 2?", ("Yes", "No")), ("Question 4?", ("Yes", "No"))]
    assert [item.guess is not None for item in context.items] == [False, True, False, True, False]
    assert [i.values.tolist() for i in context.items] == [
        i.values.tolist() for i in given.context.items
    ]


async def test_a_context_with_guesses_has_another_cache_key_but_the_same_content() -> None:
    given = group(1, 2)
    (first,) = await guesses_of(Asker()).of_contexts([given])
    (again,) = await guesses_of(Asker()).of_contexts([given])
    (fewer,) = await guesses_of(Asker(), most=0).of_contexts([given])
    assert first.guessed == again.guessed != given.context.guessed == ""
    assert first.digest == given.context.digest
    assert fewer is given.context
    known = group(1, 3)
    assert (await guesses_of(Asker()).of_contexts([known]))[0] is known.context


async def test_a_large_context_is_asked_up_to_a_bound_whatever_its_order() -> None:
    numbers = range(0, 40, 2)
    asked = []
    for order in (numbers, reversed(numbers)):
        asker = Asker()
        (context,) = await guesses_of(asker, most=5).of_contexts([group(*order)])
        assert sum(item.guess is not None for item in context.items) == 5
        asked.append(sorted(asker.asked))
    assert asked[0] == asked[1]


async def test_questions_of_a_request() -> None:
    asker = Asker()
    questions = [Question("A?", ("Yes", "No")), Question("B?", ("Yes", "No"))]
    found = await guesses_of(asker).of_questions(
        [group().context],
        questions,
        [_vectors(1), _vectors(2)],
        at=["/questions/0", "/questions/1"],
    )
    assert asker.asked == [("B?", ("Yes", "No"))]
    assert found[0] is None
    assert found[1] is not None


@pytest.mark.parametrize(
    ("numbers", "pointer"), [((1, 2), "/questions/1/question"), ((2, 4), "/questions")]
)
async def test_what_the_model_refuses_is_a_fault_of_the_field(
    numbers: tuple[int, int], pointer: str
) -> None:
    guesses = guesses_of(Asker(fault=GeneratorRejected("too long")))
    questions = [Question("A?", ("Yes", "No")), Question("B?", ("Yes", "No"))]
    with pytest.raises(InvalidInput) as caught:
        await guesses.of_questions(
            [group().context],
            questions,
            [_vectors(n) for n in numbers],
            at=["/questions/0", "/questions/1"],
        )
    assert [e.pointer for e in caught.value.errors] == [pointer]


async def test_what_it_refuses_of_a_context_names_the_inline_field_or_stays_as_it_is() -> None:
    guesses = guesses_of(Asker(fault=GeneratorRejected("too long")))
    with pytest.raises(InvalidInput) as caught:
        await guesses.of_contexts([group(2)])
    assert [e.pointer for e in caught.value.errors] == ["/preferences"]
    with pytest.raises(GeneratorRejected):
        await guesses.of_contexts([group(2, group_id="stored")])
