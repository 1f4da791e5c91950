"""The caching embedder: every text once, in order, off the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence

import numpy as np
import pytest

from models.embedders import EmbedderError
from service.adapters.scoring.embedding import CHUNK, ENTRY_OVERHEAD, CachingEmbedder
from service.adapters.scoring.worker import Worker
from service.core.errors import ScorerFailed
from service.core.request_context import TENANT

DIM = 8
Pair = tuple[str, str]


class LetterModel:
    """Counts a text's letters into a vector; refuses `!` in texts; can be held at a gate."""

    id, digest, dim, max_tokens = "letters", "d" * 64, DIM, 100

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()

    def vector(self, pair: Pair) -> np.ndarray:
        """What the pair should get: the prompt's half, then the response's."""
        return np.concatenate([self.half(text) for text in pair])

    def half(self, text: str) -> np.ndarray:
        found = np.zeros(DIM // 2, dtype=np.float32)
        for letter in text:
            found[ord(letter) % (DIM // 2)] += 1
        return found

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        self.calls.append(list(texts))
        self.entered.set()
        assert self.gate.wait(30)
        if any("!" in text for text in texts):
            raise EmbedderError("a text is too loud")
        return np.stack([self.half(text) for text in texts])

    @property
    def embedded(self) -> list[str]:
        return [text for call in self.calls for text in call]


@pytest.fixture
def model() -> LetterModel:
    return LetterModel()


@pytest.fixture
async def embedder(model: LetterModel) -> AsyncIterator[CachingEmbedder]:
    made = CachingEmbedder(model, Worker(), cache_bytes=1_000_000)
    yield made
    await made.close()


def pairs(*texts: str) -> list[Pair]:
    return [("q", text) for text in texts]


async def test_vectors_come_in_order_and_repeated_texts_are_embedded_once(
    embedder: CachingEmbedder, model: LetterModel
) -> None:
    asked = pairs("b", "a", "b", "c", "a")
    vectors = await embedder.embed(asked)
    np.testing.assert_array_equal(vectors, np.stack([model.vector(p) for p in asked]))
    assert vectors.dtype == np.float32
    assert model.calls == [["q", "b", "a", "c"]]
    again = await embedder.embed([*pairs("c"), ("q ", " b"), *pairs("d")])
    np.testing.assert_array_equal(again, np.stack([model.vector(p) for p in pairs("c", "b", "d")]))
    assert model.calls[1:] == [["d"]]
    assert (await embedder.embed([])).shape == (0, DIM)
    assert (embedder.cache.hits, embedder.cache.misses) == (3, 5)


async def test_a_text_is_one_text_as_prompt_and_as_response(
    embedder: CachingEmbedder, model: LetterModel
) -> None:
    asked = [("old", "new"), ("new", "old"), ("", "old"), ("old", " "), ("", "")]
    vectors = await embedder.embed(asked)
    bare = [(prompt, response.strip()) for prompt, response in asked]
    np.testing.assert_array_equal(vectors, np.stack([model.vector(p) for p in bare]))
    assert sorted(model.embedded) == ["", "new", "old"]


async def test_a_callers_array_is_its_own(embedder: CachingEmbedder) -> None:
    first = await embedder.embed(pairs("a"))
    first[:] = 99
    assert (await embedder.embed(pairs("a"))).max() < 99


async def test_requests_that_wait_share_one_call_and_one_text_is_computed_once(
    embedder: CachingEmbedder, model: LetterModel
) -> None:
    model.gate.clear()
    first = asyncio.create_task(embedder.embed(pairs("first")))
    assert await asyncio.to_thread(model.entered.wait, 30)
    tasks = [
        asyncio.create_task(embedder.embed(asked))
        for asked in (pairs("a", "b"), pairs("b", "c"), pairs("first", "c"))
    ]
    await asyncio.sleep(0)
    model.gate.set()
    results = await asyncio.gather(first, *tasks)
    assert model.calls == [["q", "first"], ["a", "b", "c"]]
    np.testing.assert_array_equal(results[1][1], results[2][0])
    np.testing.assert_array_equal(results[3][0], results[0][0])


async def test_long_requests_take_turns_with_short_ones(
    embedder: CachingEmbedder, model: LetterModel
) -> None:
    model.gate.clear()
    long = asyncio.create_task(embedder.embed(pairs(*(f"l{i}" for i in range(5 * CHUNK)))))
    assert await asyncio.to_thread(model.entered.wait, 30)
    short = asyncio.create_task(embedder.embed(pairs("short")))
    await asyncio.sleep(0)
    model.gate.set()
    await short
    assert not long.done()
    assert len(await long) == 5 * CHUNK
    assert "short" in model.calls[1]


async def test_the_rest_of_a_cancelled_request_is_never_embedded(
    embedder: CachingEmbedder, model: LetterModel
) -> None:
    model.gate.clear()
    task = asyncio.create_task(embedder.embed(pairs(*(f"t{i}" for i in range(3 * CHUNK)))))
    assert await asyncio.to_thread(model.entered.wait, 30)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    model.gate.set()
    await embedder.embed(pairs("after"))
    assert len(model.embedded) == CHUNK + 1


async def test_a_failure_is_a_domain_error_and_hits_only_its_request(
    embedder: CachingEmbedder, model: LetterModel
) -> None:
    model.gate.clear()
    first = asyncio.create_task(embedder.embed(pairs("first")))
    assert await asyncio.to_thread(model.entered.wait, 30)
    good = asyncio.create_task(embedder.embed(pairs("good")))
    bad = asyncio.create_task(embedder.embed(pairs("bad!")))
    await asyncio.sleep(0)
    model.gate.set()
    with pytest.raises(ScorerFailed, match="too loud") as caught:
        await bad
    assert isinstance(caught.value.__cause__, EmbedderError)
    np.testing.assert_array_equal((await good)[0], model.vector(("q", "good")))
    await first
    await embedder.check()


async def test_the_cache_is_bounded_in_bytes(model: LetterModel) -> None:
    entry = 4 * DIM // 2 + ENTRY_OVERHEAD
    embedder = CachingEmbedder(model, Worker(), cache_bytes=3 * entry)
    asked = pairs(*"abcdefgh")
    vectors = await embedder.embed(asked)
    np.testing.assert_array_equal(vectors, np.stack([model.vector(p) for p in asked]))
    assert len(embedder.cache) == 3
    assert embedder.cache.bytes == 3 * entry
    await embedder.close()


async def test_closed_means_closed(embedder: CachingEmbedder) -> None:
    await embedder.check()
    await embedder.close()
    with pytest.raises(ScorerFailed):
        await embedder.check()
    with pytest.raises(ScorerFailed):
        await embedder.embed(pairs("a"))


async def test_each_tenant_has_vectors_of_its_own() -> None:
    """How soon an answer comes does not tell what another tenant has sent."""
    model = LetterModel()
    embedder = CachingEmbedder(model, Worker(), cache_bytes=1_000_000)
    try:
        for tenant in ("a", "b", "a", "b"):
            token = TENANT.set(tenant)
            vectors = await embedder.embed([("Is it late?", "No")])
            np.testing.assert_array_equal(vectors[0], model.vector(("Is it late?", "No")))
            TENANT.reset(token)
        assert len(model.calls) == 2
    finally:
        await embedder.close()


class Told:
    """A memory that knows nothing and notes what it is told."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    async def recall(self, texts: Sequence[str]) -> Sequence[None]:
        return [None] * len(texts)

    def keep(self, texts: Sequence[str], vectors: Sequence[np.ndarray]) -> None:
        assert len(texts) == len(vectors)
        self.texts += texts


async def test_at_hand_is_what_embed_gives_or_nothing(
    embedder: CachingEmbedder, model: LetterModel
) -> None:
    asked, memory = pairs("yes", "no", " yes "), Told()
    assert embedder.at_hand(asked) is None
    vectors = await embedder.embed(asked)
    calls, hits = len(model.calls), embedder.cache.hits
    found = embedder.at_hand(asked, memory=memory)
    assert found is not None
    np.testing.assert_array_equal(found, vectors, strict=True)
    assert sorted(memory.texts) == ["no", "q", "yes"]
    assert embedder.cache.hits == hits + 3
    misses = embedder.cache.misses
    assert embedder.at_hand(pairs("yes", "perhaps")) is None
    # Whoever asks goes on to `embed`, which counts.
    assert embedder.cache.misses == misses
    assert len(model.calls) == calls


async def test_what_another_tenant_sent_is_not_at_hand(embedder: CachingEmbedder) -> None:
    await embedder.embed(pairs("yes"))
    token = TENANT.set("another")
    assert embedder.at_hand(pairs("yes")) is None
    TENANT.reset(token)


async def test_an_array_at_hand_is_its_callers_own(embedder: CachingEmbedder) -> None:
    before = await embedder.embed(pairs("yes"))
    found = embedder.at_hand(pairs("yes"))
    assert found is not None
    found[:] = 0
    np.testing.assert_array_equal(embedder.at_hand(pairs("yes")), before)
