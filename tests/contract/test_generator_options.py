"""What every generator says of given answers, beside a direct forward pass of the bundled model."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from functools import cache
from typing import Any

import pytest
import pytest_asyncio
import torch
from fixtures.generators import KINDS, LM, Opened, opened
from fixtures.openai_fake import Reply, Request, chat, fake_server, models
from transformers import AutoModelForCausalLM, AutoTokenizer

from service.adapters.generators.vllm_http import VllmHttpGenerator
from service.core.domain import ChatPrompt, Message, RawPrompt, SamplingParams
from service.core.errors import (
    DeadlineExceeded,
    GeneratorProtocolError,
    GeneratorRejected,
    GeneratorUnavailable,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

TOLERANCE = 1e-3
QUESTION = "Question: May shops open on Sundays?\nOptions:\n- Yes\n- No\nAnswer:"
CHAT = ChatPrompt((Message("user", QUESTION),))
SYSTEM = ChatPrompt((Message("system", "Answer as a gardener."), *CHAT.messages))
OPTIONS = (
    "Yes",
    "No",
    "Yes, but only in the weeks before a holiday",  # begins like another option
    "Weder noch: über so etwas denke ich nicht nach 🤷",  # many byte tokens
    "end",  # as in the token that ends a turn
    "1",
)


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=KINDS)
async def subject(request: pytest.FixtureRequest) -> AsyncIterator[Opened]:
    server = request.getfixturevalue("vllm_server") if request.param == "vllm-http" else None
    async with opened(request.param, server) as generator:
        yield generator


@cache
def tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(LM, local_files_only=True)


@cache
def model() -> Any:
    return AutoModelForCausalLM.from_pretrained(LM, dtype=torch.float32).eval()


@torch.inference_mode()
def direct(start: Sequence[int], rest: Sequence[int]) -> float:
    """The sum of log p(token | all before it) over `rest`, one pass, no batch, no padding."""
    ids = torch.tensor([[*start, *rest]])
    logs = torch.log_softmax(model()(ids).logits[0].double(), dim=-1)
    return sum(float(logs[len(start) + i - 1, token]) for i, token in enumerate(rest))


def expected(prompt: ChatPrompt) -> list[float]:
    """The bundled model's template ends in a special token, so a border lies behind the prompt."""
    turns = [{"role": m.role, "content": m.content} for m in prompt.messages]
    text = tokenizer().apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    start = tokenizer().encode(text, add_special_tokens=False)
    options = [tokenizer().encode(o, add_special_tokens=False) for o in OPTIONS]
    assert max(map(len, options)) > 8 > min(map(len, options)), "of one token and of several"
    return [direct(start, option) for option in options]


@pytest.mark.parametrize("prompt", [CHAT, SYSTEM], ids=["user", "system"])
async def test_they_agree_with_a_direct_forward_pass(subject: Opened, prompt: ChatPrompt) -> None:
    found = await subject.generator.option_logprobs(prompt, OPTIONS)
    assert found == pytest.approx(expected(prompt), abs=TOLERANCE)


async def test_raw_text_goes_on_as_it_stands(subject: Opened) -> None:
    prompt, options = "In my opinion the old library", (" is too small", " should stay", "!")
    start = tokenizer().encode(prompt)
    wanted = [direct(start, tokenizer().encode(prompt + o)[len(start) :]) for o in options]
    found = await subject.generator.option_logprobs(RawPrompt(prompt), options)
    assert found == pytest.approx(wanted, abs=TOLERANCE)


async def test_a_token_over_the_border_counts_for_every_option_alike(subject: Opened) -> None:
    prompt, options = "The town should bu", ("ild a pool", "y new buses")
    alone = tokenizer().encode(prompt)
    whole = [tokenizer().encode(prompt + option) for option in options]
    shared = next(i for i, ids in enumerate(zip(alone, *whole)) if len(set(ids)) > 1)  # noqa: B905
    assert shared < len(alone), "the tokenizer joins the end of the prompt with the options"
    wanted = [direct(ids[:shared], ids[shared:]) for ids in whole]
    found = await subject.generator.option_logprobs(RawPrompt(prompt), options)
    assert found == pytest.approx(wanted, abs=TOLERANCE)


async def test_an_option_does_not_depend_on_the_others(subject: Opened) -> None:
    together = await subject.generator.option_logprobs(CHAT, OPTIONS)
    alone = await asyncio.gather(*(subject.generator.option_logprobs(CHAT, [o]) for o in OPTIONS))
    assert [row[0] for row in alone] == pytest.approx(together, abs=TOLERANCE)


async def test_many_options_and_completions_at_a_time(subject: Opened) -> None:
    options = [f"The {i}th of forty answers" for i in range(40)]
    draws = [
        subject.generator.generate_one(CHAT, SamplingParams(max_tokens=24), seed=s)
        for s in range(8)
    ]
    asked = [subject.generator.option_logprobs(CHAT, options) for _ in range(3)]
    results = await asyncio.gather(*draws, *asked)
    for found in results[8:]:
        assert len(found) == 40
        assert found == pytest.approx(results[8], abs=TOLERANCE)
    assert all(c.completion_tokens for c in results[:8])


async def test_what_is_too_long_is_refused_with_numbers(subject: Opened) -> None:
    with pytest.raises(GeneratorRejected, match="1024"):
        await subject.generator.option_logprobs(CHAT, ["Yes", "green park " * 2000])
    await subject.generator.option_logprobs(CHAT, OPTIONS[:2])


async def test_text_that_is_not_unicode_is_refused(subject: Opened) -> None:
    with pytest.raises(GeneratorRejected, match="surrogate"):
        await subject.generator.option_logprobs(CHAT, ["Yes", "a\ud800b"])


async def test_a_deadline_in_the_past(subject: Opened) -> None:
    with pytest.raises(DeadlineExceeded):
        await subject.generator.option_logprobs(CHAT, OPTIONS, deadline=time.monotonic() - 1)


@pytest.mark.parametrize("kind", KINDS[:2])
async def test_a_closed_generator_says_so(kind: str, request: pytest.FixtureRequest) -> None:
    server = request.getfixturevalue("vllm_server") if kind == "vllm-http" else None
    async with opened(kind, server) as closing:
        await closing.generator.close()
        with pytest.raises(GeneratorUnavailable):
            await closing.generator.option_logprobs(CHAT, OPTIONS)


class TestOtherServers:
    """Servers that cannot do it say so with the settings that would help."""

    async def answered(self, reply: Reply, *, owner: str = "someone") -> None:
        async def answer(request: Request) -> Reply:
            return reply

        async with fake_server(answer, listing=models("other", owner=owner)) as fake:
            generator = VllmHttpGenerator([fake.url])
            try:
                await generator.option_logprobs(CHAT, OPTIONS)
            finally:
                await generator.close()

    async def test_one_that_passes_over_the_field(self) -> None:
        with pytest.raises(GeneratorProtocolError, match=r"GPO_PRIOR=bank.*GPO_GENERATOR_URL"):
            await self.answered(chat("Yes"))

    async def test_one_that_refuses_the_field(self) -> None:
        refusal = Reply(400, {"error": {"message": "unknown field prompt_logprobs"}})
        with pytest.raises(GeneratorProtocolError, match="GPO_PRIOR=bank"):
            await self.answered(refusal)

    async def test_a_refusal_of_vllm_is_passed_on(self) -> None:
        refusal = Reply(400, {"error": {"message": "the prompt is longer than 1024 tokens"}})
        with pytest.raises(GeneratorRejected, match="1024 tokens"):
            await self.answered(refusal, owner="vllm")

    async def test_figures_that_cannot_be_read(self) -> None:
        with pytest.raises(GeneratorProtocolError, match="cannot be read"):
            await self.answered(Reply(body={"choices": [], "prompt_logprobs": [None, {"a": 3}]}))
