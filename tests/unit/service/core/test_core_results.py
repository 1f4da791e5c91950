"""Predictions that are given again: the same numbers, and only while nothing has changed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from fakes import FakeEmbedder, FakeScorer

from service.adapters.stores.sqlite_store import SqliteStore
from service.core.contexts import Contexts, Target
from service.core.domain import GroupDraft, Question, SharePreference
from service.core.errors import GroupNotFound, InvalidInput
from service.core.limits import Limits
from service.core.predict import Predict, Predictions
from service.core.results import Results

T = "tenant"
ASKED = Question("Which?", ("this one", "that one"))
OTHER = Question("Who?", ("we", "they", "you"))
LIKES = SharePreference("What?", ("tea", "coffee"), (0.9, 0.1))
LOATHES = SharePreference("What?", ("tea", "coffee"), (0.1, 0.9))


def draft(*preferences: SharePreference) -> GroupDraft:
    return GroupDraft("name", preferences)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(tmp_path / "groups.db")
    for name in ("a", "b"):
        await store.create(T, name, draft(LIKES), embedder="fake@0123456789ab")
    yield store
    await store.close()


class Bench:
    def __init__(self, store: SqliteStore, *, cached: bool = True, own: bool = False) -> None:
        self.scorer, self.embedder = FakeScorer(), FakeEmbedder()
        self.results = Results(100_000, state=store.tag if own else None) if cached else None
        self.contexts = Contexts(store, self.embedder, Limits(), cache_bytes=100_000)
        self.predict = Predict(
            self.contexts, self.embedder, self.scorer, Limits(), results=self.results
        )

    async def ask(self, questions: Sequence[Question], *ids: str) -> Predictions:
        at = [f"/questions/{i}" for i in range(len(questions))]
        return await self.predict.run(T, Target(ids), questions, at=at)


def shares(found: Predictions) -> list[object]:
    return [(p.group.group_id, p.question, p.shares) for p in found.predictions]


async def test_an_answer_is_given_again_without_embedding_or_scoring(store: SqliteStore) -> None:
    bench = Bench(store)
    first = await bench.ask([ASKED, OTHER], "a")
    embedded, scored = len(bench.embedder.embedded), len(bench.scorer.contexts)
    again = await bench.ask([OTHER, ASKED], "a")
    assert shares(again) == shares(first)[::-1]
    assert (len(bench.embedder.embedded), len(bench.scorer.contexts)) == (embedded, scored)
    assert again.embedded_texts == 5
    assert bench.results is not None
    assert bench.results.cache.hits == 2


async def test_what_is_new_is_asked_beside_what_is_known(store: SqliteStore) -> None:
    bench, plain = Bench(store), Bench(store, cached=False)
    await bench.ask([ASKED], "a")
    found = await bench.ask([OTHER, ASKED], "a", "b")
    assert shares(found) == shares(await plain.ask([OTHER, ASKED], "a", "b"))


async def test_a_change_of_the_group_is_answered_at_once(store: SqliteStore) -> None:
    bench, plain = Bench(store), Bench(store, cached=False)
    before = await bench.ask([ASKED], "a")
    await store.put(T, "a", draft(LOATHES), embedder="fake@0123456789ab")
    after = await bench.ask([ASKED], "a")
    assert after.predictions[0].group.group_version == 2
    assert shares(after) != shares(before)
    assert shares(after) == shares(await plain.ask([ASKED], "a"))
    await store.delete(T, "a")
    with pytest.raises(GroupNotFound):
        await bench.ask([ASKED], "a")


async def test_the_order_of_the_options_is_that_of_the_request(store: SqliteStore) -> None:
    bench = Bench(store)
    there = (await bench.ask([ASKED], "a")).predictions[0].shares
    back = Question(ASKED.question, ASKED.options[::-1])
    assert (await bench.ask([back], "a")).predictions[0].shares == there[::-1]


async def test_where_own_groups_count_another_group_changes_the_answer(store: SqliteStore) -> None:
    bench = Bench(store, own=True)
    await bench.ask([ASKED], "a")
    await bench.ask([ASKED], "a")
    assert len(bench.scorer.contexts) == 1
    await store.put(T, "b", draft(LOATHES), embedder="fake@0123456789ab")
    await bench.ask([ASKED], "a")
    assert len(bench.scorer.contexts) == 2


async def test_where_own_groups_count_a_group_is_not_answered_for_its_twin(
    store: SqliteStore,
) -> None:
    bench = Bench(store, own=True)
    await bench.ask([ASKED], "a")
    await bench.ask([ASKED], "b")
    assert len(bench.scorer.contexts) == 2


async def test_a_text_that_is_too_long_is_refused_with_results_too(store: SqliteStore) -> None:
    long = Question("word " * 50, ("yes", "no"))
    with pytest.raises(InvalidInput):
        await Bench(store).ask([ASKED, long], "a")


async def test_a_group_is_read_once_for_each_version(store: SqliteStore) -> None:
    bench = Bench(store, cached=False)
    for _ in range(3):
        await bench.ask([ASKED], "a", "b")
    assert (bench.contexts.cache.misses, bench.contexts.cache.hits) == (2, 4)
    await store.put(T, "b", draft(LOATHES), embedder="fake@0123456789ab")
    await bench.ask([ASKED], "a", "b")
    assert bench.contexts.cache.misses == 3


async def test_groups_that_are_kept_are_bounded_in_bytes(store: SqliteStore) -> None:
    contexts = Contexts(store, FakeEmbedder(), Limits(), cache_bytes=4_000)
    for name in ("a", "b", "a", "b"):
        await contexts.load(T, Target((name,)))
    assert len(contexts.cache) == 1
    assert 0 < contexts.cache.bytes <= 4_000
