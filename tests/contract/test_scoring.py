"""What every Embedder and every Scorer promises: the fakes, and the real ones on real torch."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from fakes import FakeEmbedder, FakeScorer
from fixtures.checkpoints import write_checkpoint

from models.embedders import load_embedder
from service.adapters.scoring.embedding import CachingEmbedder
from service.adapters.scoring.open import open_scoring
from service.adapters.scoring.scoring import ModuleScorer
from service.core.domain import Context, ContextItem, FloatArray, Kind, Prediction, Scores
from service.core.errors import InputTooLarge, ScorerFailed
from service.core.ports import Embedder, Scorer
from service.settings import Settings

QUESTION = "How should the town spend what is left of its budget?"
OPTIONS = ("On the swimming pool", "On new buses", "On paying back debt", "It should save it")
OTHER = ("May shops open on Sundays?", ("Yes", "No"))
ANSWERS = ("A longer answer that speaks of buses", "No", "I would rather have the pool repaired")
TOLERANCE = 1e-5

Parts = tuple[Embedder, Scorer]


@pytest.fixture(scope="module")
def real(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[CachingEmbedder, ModuleScorer]]:
    minilm = load_embedder("minilm")
    folder = write_checkpoint(
        tmp_path_factory.mktemp("checkpoint"), digest=minilm.digest, dim=minilm.dim
    )
    embedder, scorer = open_scoring(Settings(checkpoint=folder, device="cpu"))
    yield embedder, scorer
    asyncio.run(scorer.close())


@pytest.fixture(params=["fake", "real"])
def parts(request: pytest.FixtureRequest) -> Parts:
    if request.param == "fake":
        return FakeEmbedder(), FakeScorer()
    found: Parts = request.getfixturevalue("real")
    return found


@pytest.fixture
def embedder(parts: Parts) -> Embedder:
    return parts[0]


@pytest.fixture
def scorer(parts: Parts) -> Scorer:
    return parts[1]


async def vectors_of(embedder: Embedder, prompt: str, responses: tuple[str, ...]) -> FloatArray:
    return await embedder.embed([(prompt, response) for response in responses])


async def context_of(embedder: Embedder, *, first_share: float = 0.7) -> Context:
    """A context of all three kinds."""
    rest = (1 - first_share) / 2
    share = await vectors_of(embedder, "Which season do you like?", ("Spring", "Summer", "Fall"))
    rating = await vectors_of(embedder, "Describe a good town.", ("Quiet streets and trees",))
    pair = await vectors_of(embedder, "What should we cook?", ("Soup", "Cake"))
    items = (
        ContextItem(Kind.SHARE, share, floats(first_share, rest, rest), weight=200.0),
        ContextItem(Kind.RATING, rating, floats(0.9)),
        ContextItem(Kind.COMPARISON, pair, floats(1, 0)),
    )
    return Context(f"context-{first_share}", items)


def floats(*values: float) -> FloatArray:
    return np.array(values, dtype=np.float32)


EMPTY = Context("empty", ())


def close(a: Prediction | Scores, b: Prediction | Scores) -> None:
    for name in a.__slots__:
        np.testing.assert_allclose(getattr(a, name), getattr(b, name), atol=TOLERANCE)


async def test_vectors_have_the_declared_form_and_order(embedder: Embedder) -> None:
    pairs = [(QUESTION, option) for option in OPTIONS]
    vectors = await embedder.embed(pairs)
    assert vectors.shape == (len(pairs), embedder.identity.dim)
    assert vectors.dtype == np.float32
    backwards = await embedder.embed(pairs[::-1])
    np.testing.assert_allclose(vectors, backwards[::-1], atol=TOLERANCE)
    assert np.abs(vectors[0] - vectors[1]).max() > 1e-3
    assert embedder.identity.digest


async def test_a_vector_does_not_depend_on_what_is_embedded_with_it(embedder: Embedder) -> None:
    pairs = [(QUESTION, option) for option in OPTIONS]
    crowd = [("", "word " * n) for n in range(1, 30)]
    mixed, *alone = await asyncio.gather(
        embedder.embed([*crowd, *pairs, *crowd]), *(embedder.embed([pair]) for pair in pairs)
    )
    middle = mixed[len(crowd) : len(crowd) + len(pairs)]
    np.testing.assert_allclose(middle, np.concatenate(alone), atol=TOLERANCE)


async def test_clip_makes_anything_fit_and_leaves_the_rest_alone(embedder: Embedder) -> None:
    long = "every word counts " * 200
    fine = (QUESTION, OPTIONS[0])
    assert embedder.oversized([fine, (QUESTION, long), (long, "No")]) == [False, True, True]
    assert embedder.clip(*fine) == (*fine, False)
    for pair in ((QUESTION, long), (long, "No"), (long, long)):
        prompt, response, cut = embedder.clip(*pair)
        assert cut
        assert pair[0].strip().endswith(prompt)
        assert pair[1].startswith(response)
        assert embedder.oversized([(prompt, response)]) == [False]
        assert np.isfinite(await embedder.embed([(prompt, response)])).all()


async def test_predictions_are_distributions_with_intervals(parts: Parts) -> None:
    embedder, scorer = parts
    contexts = [await context_of(embedder), EMPTY]
    questions = [
        await vectors_of(embedder, QUESTION, OPTIONS),
        await vectors_of(embedder, *OTHER),
    ]
    rows = await scorer.predict(contexts, questions)
    assert [[len(p.distribution) for p in row] for row in rows] == [[4, 2], [4, 2]]
    for prediction in (p for row in rows for p in row):
        assert prediction.distribution.sum() == pytest.approx(1, abs=1e-5)
        assert (prediction.distribution >= 0).all()
        assert (prediction.low <= prediction.distribution).all()
        assert (prediction.distribution <= prediction.high).all()
        assert (prediction.std > 0).all()


async def test_the_context_counts(parts: Parts) -> None:
    embedder, scorer = parts
    contexts = [await context_of(embedder, first_share=s) for s in (0.05, 0.95)]
    vectors = await vectors_of(embedder, "Which season do you like?", ("Spring", "Summer", "Fall"))
    low, high = (row[0] for row in await scorer.predict(contexts, [vectors]))
    assert np.abs(low.distribution - high.distribution).max() > 1e-3


async def test_the_order_of_options_and_of_the_context_does_not_matter(parts: Parts) -> None:
    embedder, scorer = parts
    context = await context_of(embedder)
    turned = Context("turned", context.items[::-1])
    vectors = await vectors_of(embedder, QUESTION, OPTIONS)
    order = np.array([2, 0, 3, 1])
    ((one,), (two,)) = await scorer.predict([context, turned], [vectors])
    ((three,),) = await scorer.predict([context], [vectors[order]])
    close(one, two)
    shuffled = Prediction(one.distribution[order], one.std[order], one.low[order], one.high[order])
    close(shuffled, three)


async def test_an_answer_does_not_depend_on_its_company(parts: Parts) -> None:
    embedder, scorer = parts
    context = await context_of(embedder)
    another = await context_of(embedder, first_share=0.1)
    vectors = await vectors_of(embedder, QUESTION, OPTIONS)
    other = await vectors_of(embedder, *OTHER)
    ((alone,),) = await scorer.predict([context], [vectors])
    crowd, *rest = await asyncio.gather(
        scorer.predict([another, context], [other, vectors]),
        *(scorer.predict([context], [vectors, other]) for _ in range(5)),
        *(scorer.predict([another], [vectors]) for _ in range(5)),
    )
    close(alone, crowd[1][1])
    for rows in rest[:5]:
        close(alone, rows[0][0])
    for rows in rest[5:]:
        close(crowd[0][1], rows[0][0])


async def test_contexts_that_are_asked_once_are_answered_alike(parts: Parts) -> None:
    embedder, scorer = parts
    whole = await context_of(embedder)
    lesser = [
        Context(f"lesser-{i}", whole.items[:i] + whole.items[i + 1 :])
        for i in range(len(whole.items))
    ]
    questions = [
        await vectors_of(embedder, QUESTION, OPTIONS),
        await vectors_of(embedder, *OTHER),
    ]
    contexts = [whole, *lesser * 6, EMPTY]
    once = await scorer.predict_once(contexts, questions)
    kept = await scorer.predict(contexts, questions)
    assert [len(row) for row in once] == [2] * len(contexts)
    for row, again in zip(once, kept, strict=True):
        for one, two in zip(row, again, strict=True):
            close(one, two)


async def test_nothing_is_kept_of_contexts_that_are_asked_once(
    real: tuple[CachingEmbedder, ModuleScorer],
) -> None:
    embedder, scorer = real
    context = replace(await context_of(embedder, first_share=0.21), digest="asked-once")
    vectors = await vectors_of(embedder, QUESTION, OPTIONS)
    before = (len(scorer.cache), scorer.cache.misses)
    await scorer.predict_once([context], [vectors])
    assert (len(scorer.cache), scorer.cache.misses) == before
    await scorer.predict([context], [vectors])
    assert len(scorer.cache) == before[0] + 1


async def test_a_score_does_not_depend_on_the_other_responses(parts: Parts) -> None:
    embedder, scorer = parts
    contexts = [await context_of(embedder), EMPTY]
    vectors = await vectors_of(embedder, QUESTION, ANSWERS)
    together = await scorer.score(contexts, vectors)
    assert [s.score.shape for s in together] == [(3,), (3,)]
    for scores in together:
        assert (scores.low <= scores.score).all()
        assert (scores.score <= scores.high).all()
        assert (scores.score >= 0).all()
        assert (scores.score <= 1).all()
    alone = await asyncio.gather(*(scorer.score(contexts, row[None]) for row in vectors))
    for i, parts_of in enumerate(alone):
        for scores, single in zip(together, parts_of, strict=True):
            assert single.score[0] == pytest.approx(scores.score[i], abs=TOLERANCE)


async def test_the_scorer_names_its_checkpoint_and_is_alive(scorer: Scorer) -> None:
    name, _, digest = scorer.model.partition("@")
    assert name
    assert digest
    await scorer.check()


async def test_cached_equals_uncached(real: tuple[CachingEmbedder, ModuleScorer]) -> None:
    embedder, scorer = real
    context = await context_of(embedder, first_share=0.33)
    vectors = await vectors_of(embedder, QUESTION, OPTIONS)
    hits, misses = scorer.cache.hits, scorer.cache.misses
    first = await scorer.predict([context], [vectors])
    assert (scorer.cache.hits - hits, scorer.cache.misses - misses) == (0, 1)
    second = await scorer.predict([context], [vectors])
    assert (scorer.cache.hits - hits, scorer.cache.misses - misses) == (1, 1)
    assert 0 < scorer.cache.bytes <= scorer.cache.max_bytes
    close(first[0][0], second[0][0])


async def test_the_real_ones_refuse_what_they_cannot_read_whole(
    real: tuple[CachingEmbedder, ModuleScorer],
) -> None:
    embedder, scorer = real
    with pytest.raises(ScorerFailed, match="reads 256"):
        await embedder.embed([("", "word " * 300)])
    vectors = np.zeros((9000, embedder.identity.dim), dtype=np.float32)
    huge = Context("huge", (ContextItem(Kind.SHARE, vectors, np.full(9000, 1 / 9000, "f4")),))
    with pytest.raises(InputTooLarge, match="9000"):
        await scorer.predict([huge], [vectors[:2]])
    await scorer.check()
