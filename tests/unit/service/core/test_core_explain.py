"""Explanations: each preference left out, as if the group had been registered without it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from fakes import FakeEmbedder, FakeScorer

from service.adapters.stores.sqlite_store import SqliteStore
from service.core.context_digest import ContextDigest
from service.core.contexts import Contexts, Target
from service.core.domain import (
    ComparisonPreference,
    Context,
    FloatArray,
    GroupDraft,
    Guess,
    Prediction,
    Preference,
    Question,
    RatingPreference,
    SharePreference,
)
from service.core.errors import InputTooLarge, ScorerFailed
from service.core.explain import LABEL_CHARS, Explanation, label_of
from service.core.guesses import Guesses
from service.core.limits import Limits
from service.core.predict import Predict, Predictions
from service.core.results import OptionShare, Results

T = "tenant"
ASKED = Question("Which?", ("this one", "that one"))
OTHER = Question("Who?", ("we", "they", "you"))
TEA = SharePreference("What?", ("tea", "coffee"), (0.9, 0.1))
LAKE = RatingPreference("A day off?", "A swim in the lake.", 0.95, weight=12.0)
SOUP = ComparisonPreference("A meal?", "Soup.", "Cake.")
MUSIC = SharePreference("Music?", ("loud", "quiet", "none"), (0.2, 0.5, 0.3))
ALL: tuple[Preference, ...] = (TEA, LAKE, SOUP, MUSIC)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(tmp_path / "groups.db")
    yield store
    await store.close()


class Bench:
    def __init__(
        self,
        store: SqliteStore,
        *,
        limits: Limits | None = None,
        scorer: FakeScorer | None = None,
        cached: bool = False,
        guesses: Guesses | None = None,
    ) -> None:
        self.store = store
        self.scorer, self.embedder = scorer or FakeScorer(), FakeEmbedder()
        self.results = Results(100_000) if cached else None
        self.contexts = Contexts(store, self.embedder, limits or Limits(), cache_bytes=100_000)
        self.predict = Predict(
            self.contexts,
            self.embedder,
            self.scorer,
            limits or Limits(),
            guesses=guesses,
            results=self.results,
        )

    async def register(self, group_id: str, *preferences: Preference) -> None:
        draft = GroupDraft("name", preferences)
        await self.store.put(T, group_id, draft, embedder="fake@0123456789ab")

    async def ask(
        self, target: Target, questions: Sequence[Question] = (ASKED,), *, explain: bool = False
    ) -> Predictions:
        at = [f"/questions/{i}" for i in range(len(questions))]
        return await self.predict.run(T, target, questions, at=at, explain=explain)

    async def explained(self, *preferences: Preference) -> Explanation:
        [found] = (await self.ask(Target(preferences=preferences), explain=True)).predictions
        assert found.explanation is not None
        return found.explanation


def shares_of(found: Predictions) -> list[list[float]]:
    return [[option.share for option in one.shares] for one in found.predictions]


def by_index(explanation: Explanation) -> list[tuple[float, ...]]:
    return [one.without for one in sorted(explanation.influences, key=lambda one: one.index)]


async def test_without_a_preference_is_what_a_group_without_it_is_answered(
    store: SqliteStore,
) -> None:
    bench = Bench(store)
    await bench.register("whole", *ALL)
    found = await bench.ask(Target(("whole",)), (ASKED, OTHER), explain=True)
    for index in range(len(ALL)):
        await bench.register("whole", *ALL[:index], *ALL[index + 1 :])
        registered = shares_of(await bench.ask(Target(("whole",)), (ASKED, OTHER)))
        for one, shares in zip(found.predictions, registered, strict=True):
            assert one.explanation is not None
            np.testing.assert_allclose(by_index(one.explanation)[index], shares, atol=1e-7)
    await bench.register("whole")
    nobody = shares_of(await bench.ask(Target(("whole",)), (ASKED, OTHER)))
    for one, shares in zip(found.predictions, nobody, strict=True):
        assert one.explanation is not None
        assert list(one.explanation.prior) == shares


@pytest.mark.parametrize("index", range(4))
def test_a_digest_without_one_is_that_of_the_others(index: int) -> None:
    others = [*ALL[:index], *ALL[index + 1 :]]
    assert ContextDigest(T, "e", ALL).without(index) == ContextDigest(T, "e", others).whole()
    assert ContextDigest(T, "e", ALL).without(index) != ContextDigest(T, "e", ALL).whole()
    assert ContextDigest(T, "e", others[::-1]).whole() == ContextDigest(T, "e", others).whole()


async def test_the_figures_of_an_influence_fit_each_other(store: SqliteStore) -> None:
    found = await Bench(store).ask(Target(preferences=ALL), (ASKED, OTHER), explain=True)
    for one in found.predictions:
        assert one.explanation is not None
        assert sorted(e.index for e in one.explanation.influences) == [0, 1, 2, 3]
        assert sum(one.explanation.prior) == pytest.approx(1, abs=1e-12)
        for entry in one.explanation.influences:
            shares = np.array([option.share for option in one.shares])
            np.testing.assert_allclose(shares - entry.without, entry.influence, atol=1e-15)
            assert sum(entry.influence) == pytest.approx(0, abs=1e-12)
            assert entry.strength == pytest.approx(np.abs(entry.influence).sum() / 2)
            assert 0 < entry.strength <= 1
            assert entry.kind is ALL[entry.index].kind


async def test_the_strongest_comes_first_of_equals_the_one_registered_first(
    store: SqliteStore,
) -> None:
    found = await Bench(store).explained(SOUP, TEA, MUSIC, TEA, LAKE)
    strengths = [one.strength for one in found.influences]
    assert strengths == sorted(strengths, reverse=True)
    assert [one.index for one in found.influences if one.label == "What?"] == [1, 3]


async def test_a_duplicate_has_the_influence_of_its_twin(store: SqliteStore) -> None:
    twice = by_index(await Bench(store).explained(TEA, LAKE, TEA))
    np.testing.assert_allclose(twice[0], twice[2], atol=1e-7)
    once = [option.share for option in await _answer(Bench(store), TEA, LAKE)]
    np.testing.assert_allclose(twice[0], once, atol=1e-7)


async def _answer(bench: Bench, *preferences: Preference) -> tuple[OptionShare, ...]:
    return (await bench.ask(Target(preferences=preferences))).predictions[0].shares


async def test_a_permutation_of_the_preferences_permutes_the_explanation(
    store: SqliteStore,
) -> None:
    order = [2, 0, 3, 1]
    first = by_index(await Bench(store).explained(*ALL))
    second = by_index(await Bench(store).explained(*(ALL[i] for i in order)))
    for place, i in enumerate(order):
        np.testing.assert_allclose(first[i], second[place], atol=1e-6)


async def test_nothing_explains_the_answer_of_a_group_without_preferences(
    store: SqliteStore,
) -> None:
    bench = Bench(store)
    found = await bench.explained()
    assert found.influences == ()
    assert [list(found.prior)] == shares_of(await bench.ask(Target(preferences=())))


async def test_the_only_preference_is_left_out_to_the_prior(store: SqliteStore) -> None:
    found = await Bench(store).explained(LAKE)
    assert found.influences[0].without == found.prior


async def test_no_text_is_embedded_for_it_but_those_of_the_questions(store: SqliteStore) -> None:
    bench = Bench(store)
    await bench.register("g", *ALL)
    await bench.ask(Target(("g",)))
    before = len(bench.embedder.embedded)
    await bench.ask(Target(("g",)), explain=True)
    assert {prompt for prompt, _ in bench.embedder.embedded[before:]} == {ASKED.question}


async def test_lesser_groups_are_asked_once_and_only_where_it_was_asked_for(
    store: SqliteStore,
) -> None:
    bench = Bench(store)
    found = await bench.ask(Target(preferences=ALL))
    assert bench.scorer.once == 0
    assert found.predictions[0].explanation is None
    await bench.explained(*ALL)
    assert bench.scorer.once == len(ALL) + 1


async def test_an_answer_from_the_results_is_explained_too(store: SqliteStore) -> None:
    bench, plain = Bench(store, cached=True), Bench(store)
    await bench.register("g", *ALL)
    first = await bench.ask(Target(("g",)), (ASKED, OTHER))
    again = await bench.ask(Target(("g",)), (ASKED, OTHER), explain=True)
    assert bench.results is not None
    assert bench.results.cache.hits == 2
    assert shares_of(first) == shares_of(again)
    expected = await plain.ask(Target(("g",)), (ASKED, OTHER), explain=True)
    assert [p.explanation for p in again.predictions] == [
        p.explanation for p in expected.predictions
    ]
    assert len(bench.results.cache) == 2


async def test_several_groups_are_explained_each_by_its_own(store: SqliteStore) -> None:
    bench = Bench(store)
    await bench.register("a", TEA, LAKE)
    await bench.register("b", SOUP)
    both = await bench.ask(Target(("a", "b"), many=True), (ASKED, OTHER), explain=True)
    alone = [await bench.ask(Target((name,)), (ASKED, OTHER), explain=True) for name in ("a", "b")]
    assert [p.explanation for p in both.predictions] == [
        p.explanation for one in alone for p in one.predictions
    ]
    counts = [len(p.explanation.influences) for p in both.predictions if p.explanation]
    assert counts == [2, 2, 1, 1]


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (Limits(explained=7), "at most 7 preferences, each counted for each question; found 8"),
        (Limits(explained_tokens=7), "at most 7 (prompt, response) pairs in a group; found 8"),
    ],
)
async def test_more_than_the_cap_is_refused_before_anything_is_computed(
    store: SqliteStore, limits: Limits, said: str
) -> None:
    bench = Bench(store, limits=limits)
    with pytest.raises(InputTooLarge) as caught:
        await bench.ask(Target(preferences=ALL), (ASKED, OTHER), explain=True)
    assert [(e.pointer, e.detail) for e in caught.value.errors] == [("/explain", said)]
    assert bench.scorer.contexts == []
    assert len((await bench.ask(Target(preferences=ALL), (ASKED, OTHER))).predictions) == 2


async def test_at_the_cap_it_is_explained(store: SqliteStore) -> None:
    bench = Bench(store, limits=Limits(explained=8, explained_tokens=8))
    found = await bench.ask(Target(preferences=ALL), (ASKED, OTHER), explain=True)
    assert all(p.explanation and len(p.explanation.influences) == 4 for p in found.predictions)


async def test_a_large_group_is_explained_like_a_small_one(store: SqliteStore) -> None:
    """Above some sizes work goes to a thread, and in several parts."""
    many = [RatingPreference("A day off?", f"Number {n}.", (n % 10) / 10) for n in range(130)]
    limits = Limits(explained=200)
    found = by_index(await Bench(store, limits=limits).explained(*many))
    assert len(found) == 130
    for index in (0, 63, 64, 129):
        less = [option.share for option in await _answer(Bench(store), *_but(many, index))]
        np.testing.assert_allclose(found[index], less, atol=1e-6)


def _but(preferences: Sequence[Preference], index: int) -> list[Preference]:
    return [*preferences[:index], *preferences[index + 1 :]]


class Slow(FakeScorer):
    """Answers lesser groups never, and knows who left."""

    left = False

    async def predict_once(
        self,
        contexts: Sequence[Context],
        questions: Sequence[FloatArray],
        *,
        guesses: Sequence[Guess | None] | None = None,
    ) -> list[list[Prediction]]:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            self.left = True
            raise
        return []


async def test_who_leaves_ends_the_work(store: SqliteStore) -> None:
    scorer = Slow()
    bench = Bench(store, scorer=scorer)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await bench.explained(*ALL)
    assert scorer.left


class Crowded(FakeScorer):
    """Knows how many ask for lesser groups at a time."""

    now = most = 0

    async def predict_once(
        self,
        contexts: Sequence[Context],
        questions: Sequence[FloatArray],
        *,
        guesses: Sequence[Guess | None] | None = None,
    ) -> list[list[Prediction]]:
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await asyncio.sleep(0.001)
            return await super().predict_once(contexts, questions, guesses=guesses)
        finally:
            self.now -= 1


async def test_however_many_are_explained_few_are_at_work(store: SqliteStore) -> None:
    scorer = Crowded()
    bench = Bench(store, scorer=scorer)
    alone = await bench.explained(*ALL)
    leaving = [asyncio.create_task(bench.explained(*ALL)) for _ in range(4)]
    staying = [asyncio.create_task(bench.explained(*ALL)) for _ in range(8)]
    await asyncio.sleep(0.01)
    for task in leaving:
        task.cancel()
    # A place of who left is free again.
    found = await asyncio.wait_for(asyncio.gather(*staying), 30)
    assert all(by_index(one) == by_index(alone) for one in found)
    assert scorer.most == 2


async def test_a_share_that_is_not_finite_is_no_explanation(store: SqliteStore) -> None:
    bench = Bench(store, cached=True)
    await bench.register("g", *ALL)
    await bench.ask(Target(("g",)))
    bench.scorer.nan = True
    with pytest.raises(ScorerFailed):
        await bench.ask(Target(("g",)), explain=True)


class Guessing:
    """A language model that finds the first option likely."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, tuple[str, ...]]] = []

    async def guess(
        self, questions: Sequence[tuple[str, tuple[str, ...]]], *, tenant: str
    ) -> list[Guess]:
        self.asked += questions
        return [Guess(np.full(len(o), 1 / len(o), np.float32), "lm") for _, o in questions]


async def test_the_lesser_groups_carry_the_guesses_that_they_would_carry(
    store: SqliteStore,
) -> None:
    """At most one question of a context is guessed: without it another one is."""
    guesser, scorer = Guessing(), FakeScorer()
    bench = Bench(store, scorer=scorer, guesses=Guesses(guesser, scorer, context_questions=1))
    await bench.explained(TEA, MUSIC)
    whole, *lesser, nobody = scorer.contexts
    assert [sum(item.guess is not None for item in c.items) for c in (whole, *lesser)] == [1, 1, 1]
    assert nobody.items == ()
    assert {text for text, _ in guesser.asked} == {"What?", "Music?", ASKED.question}


def test_a_label_says_what_it_is_about_in_one_short_line() -> None:
    assert label_of(TEA) == "What?"
    assert label_of(LAKE) == "A day off? – A swim in the lake."
    assert label_of(SOUP) == "A meal? – Soup."
    long = RatingPreference("word " * 80, "other\n" * 80, 0.5)
    found = label_of(long)
    assert len(found) <= LABEL_CHARS
    assert found.startswith("word word")
    assert "… – other other" in found
    assert "\n" not in found
    assert len(label_of(SharePreference("x" * 500, ("a", "b"), (0.5, 0.5)))) == LABEL_CHARS
