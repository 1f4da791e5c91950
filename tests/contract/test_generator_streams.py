"""A text told while it is drawn: what every generator promises of the pieces."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio
from fixtures.generators import KINDS, Opened, opened

from service.core.domain import ChatPrompt, Completion, Message, Prompt, RawPrompt, SamplingParams
from service.core.errors import GeneratorRejected

pytestmark = pytest.mark.asyncio(loop_scope="module")

CHAT = ChatPrompt((Message("user", "Should the town build a new swimming pool?"),))
RAW = RawPrompt("In my opinion the old library")
PARAMS = SamplingParams(temperature=1.0, max_tokens=48)
# At temperature 2 the bytes of the vocabulary come up too, some of them no whole character.
WILD = SamplingParams(temperature=2.0, max_tokens=120)


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=KINDS)
async def subject(request: pytest.FixtureRequest) -> AsyncIterator[Opened]:
    server = request.getfixturevalue("vllm_server") if request.param == "vllm-http" else None
    async with opened(request.param, server) as generator:
        yield generator


async def told(
    subject: Opened, prompt: Prompt = CHAT, params: SamplingParams = PARAMS, *, seed: int = 1
) -> tuple[Completion, list[str]]:
    pieces: list[str] = []
    completion = await subject.generator.generate_one(
        prompt, params, seed=seed, on_text=pieces.append
    )
    return completion, pieces


@pytest.mark.parametrize("prompt", [CHAT, RAW], ids=["chat", "raw"])
async def test_the_pieces_are_the_text_of_the_same_draw(subject: Opened, prompt: Prompt) -> None:
    completion, pieces = await told(subject, prompt)
    assert "".join(pieces) == completion.text
    assert len(pieces) > 5
    assert all(pieces)
    assert completion == await subject.generator.generate_one(prompt, PARAMS, seed=1)


async def test_texts_of_any_characters(subject: Opened) -> None:
    drawn = await asyncio.gather(*(told(subject, params=WILD, seed=s) for s in range(12)))
    for completion, pieces in drawn:
        assert "".join(pieces) == completion.text


async def test_nothing_of_a_stop_string_is_told(subject: Opened) -> None:
    full = await subject.generator.generate_one(CHAT, PARAMS, seed=1)
    stop = full.text[10:22]
    completion, pieces = await told(subject, params=replace(PARAMS, stop=(stop, "\x02" * 5)))
    assert completion.text == full.text[: full.text.index(stop)] == "".join(pieces)
    assert completion.finish_reason == "stop"


async def test_pieces_come_before_the_text_is_whole(subject: Opened) -> None:
    first = asyncio.Event()
    drawing = asyncio.create_task(
        subject.generator.generate_one(CHAT, WILD, seed=3, on_text=lambda _: first.set())
    )
    await asyncio.wait_for(first.wait(), 60)
    assert not drawing.done()
    await drawing


async def test_leaving_early_frees_the_engine(subject: Opened) -> None:
    first = asyncio.Event()
    drawing = asyncio.create_task(
        subject.generator.generate_one(
            CHAT, replace(WILD, max_tokens=900), seed=3, on_text=lambda _: first.set()
        )
    )
    await asyncio.wait_for(first.wait(), 60)
    drawing.cancel()
    await asyncio.gather(drawing, return_exceptions=True)
    async with asyncio.timeout(20):
        while await subject.running():  # noqa: ASYNC110 - the engine has no event to wait for
            await asyncio.sleep(0.02)


async def test_a_prompt_that_is_too_long_is_refused_before_any_piece(subject: Opened) -> None:
    pieces: list[str] = []
    with pytest.raises(GeneratorRejected):
        await subject.generator.generate_one(
            RawPrompt("green park " * 2000), PARAMS, seed=1, on_text=pieces.append
        )
    assert pieces == []
