"""The worker around the local model: company, refusals, failures, a full house."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from logging.handlers import QueueHandler
from queue import SimpleQueue
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from service.adapters.generators import transformers_local
from service.adapters.generators.transformers_local import TransformersGenerator
from service.core.domain import ChatPrompt, Completion, Message, RawPrompt, SamplingParams
from service.core.errors import GeneratorRejected, GeneratorUnavailable
from service.settings import RELEASED

LM = RELEASED / "opinion-lm"
CHAT = ChatPrompt((Message("user", "Is a long winter a good thing?"),))
PARAMS = SamplingParams(temperature=1.3, top_p=0.95, max_tokens=30)


@pytest.fixture
async def generator() -> AsyncIterator[TransformersGenerator]:
    generator = TransformersGenerator.load(LM)
    yield generator
    await generator.close()


def random_model() -> Any:
    torch.manual_seed(2)
    config = LlamaConfig(
        vocab_size=6144,
        hidden_size=64,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=1,
        max_position_embeddings=200,
    )
    return LlamaForCausalLM(config).eval()


def tokenizer(**changes: Any) -> Any:
    loaded = AutoTokenizer.from_pretrained(LM, local_files_only=True)
    for name, value in changes.items():
        setattr(loaded, name, value)
    return loaded


async def draw(
    generator: TransformersGenerator, seed: int, params: SamplingParams = PARAMS
) -> Completion:
    return await generator.generate_one(CHAT, params, seed=seed)


async def test_the_texts_do_not_depend_on_the_company(generator: TransformersGenerator) -> None:
    alone = [await draw(generator, seed) for seed in range(12)]
    together = await asyncio.gather(*(draw(generator, seed) for seed in range(12)))

    async def late(seed: int) -> Completion:
        await asyncio.sleep(0.02 * seed)
        return await draw(generator, seed)

    others = [
        asyncio.create_task(generator.generate_one(RawPrompt("We " * n), PARAMS, seed=n))
        for n in (3, 40)
    ]
    joining = await asyncio.gather(*(late(seed) for seed in range(12)))
    await asyncio.gather(*others)
    assert alone == together == joining


async def test_more_calls_than_places_wait_for_one(
    generator: TransformersGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transformers_local, "MAX_ROWS", 3)
    few = await asyncio.gather(*(draw(generator, seed) for seed in range(10)))
    monkeypatch.undo()
    assert few == await asyncio.gather(*(draw(generator, seed) for seed in range(10)))


async def test_a_prompt_that_is_too_long_is_refused_without_a_warning() -> None:
    library, said = logging.getLogger("transformers"), QueueHandler(SimpleQueue())
    library.addHandler(said)
    generator = TransformersGenerator.load(LM)
    try:
        for prompt in (RawPrompt("We " * 3_000), ChatPrompt((Message("user", "We " * 3_000),))):
            with pytest.raises(GeneratorRejected, match="this model reads"):
                await generator.generate_one(prompt, PARAMS, seed=1)
        assert said.queue.empty()
    finally:
        library.removeHandler(said)
        await generator.close()


async def test_a_model_without_a_chat_template_takes_raw_text_only() -> None:
    bare = TransformersGenerator(random_model(), tokenizer(chat_template=None), name="bare")
    with pytest.raises(GeneratorRejected, match="no chat template"):
        await draw(bare, 1)
    assert (await bare.generate_one(RawPrompt("Snow"), PARAMS, seed=1)).completion_tokens == 30
    await bare.close()


async def test_a_template_may_refuse_turns() -> None:
    strict = tokenizer(chat_template="{{ raise_exception('no user turns, please') }}")
    generator = TransformersGenerator(random_model(), strict, name="strict")
    with pytest.raises(GeneratorRejected, match="no user turns, please"):
        await draw(generator, 1)
    await generator.close()


async def test_a_failure_while_decoding_fails_its_calls_alone() -> None:
    model = random_model()
    broken = TransformersGenerator(model, tokenizer(), name="broken")
    head, model.lm_head = model.lm_head, torch.nn.Linear(3, 3)
    results = await asyncio.gather(*(draw(broken, s) for s in range(3)), return_exceptions=True)
    assert all(isinstance(r, GeneratorUnavailable) for r in results)
    model.lm_head = head
    assert (await draw(broken, 1)).completion_tokens == 30
    await broken.close()


async def test_stopping_fails_what_is_under_way() -> None:
    generator = TransformersGenerator(random_model(), tokenizer(), name="slow")
    long = SamplingParams(temperature=1.0, max_tokens=190)
    calls = [asyncio.create_task(draw(generator, s, long)) for s in range(4)]
    async with asyncio.timeout(20):
        while generator.in_flight < 4:  # noqa: ASYNC110 - the worker has no event to wait for
            await asyncio.sleep(0.001)
    await generator.close()
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert any(isinstance(r, GeneratorUnavailable) for r in results)
    assert all(isinstance(r, GeneratorUnavailable | Completion) for r in results)
    await generator.close()
