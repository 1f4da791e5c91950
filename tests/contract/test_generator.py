"""What every generator promises, over the bundled model; the vLLM ones run in `make test-vllm`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import torch
from fixtures.generators import KINDS, LM, Opened, opened, settings_for
from transformers import AutoModelForCausalLM, AutoTokenizer

from service.adapters.generators.open import open_generator
from service.core.domain import ChatPrompt, Completion, Message, Prompt, RawPrompt, SamplingParams
from service.core.errors import (
    DeadlineExceeded,
    GeneratorRejected,
    GeneratorUnavailable,
    UnknownModel,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

CHAT = ChatPrompt((Message("user", "Should the town build a new swimming pool?"),))
SYSTEM = ChatPrompt((Message("system", "Answer as a gardener."), *CHAT.messages))
RAW = RawPrompt("In my opinion the old library")
SURROGATE = ChatPrompt((Message("user", "a\ud800b"),))
PARAMS = SamplingParams(temperature=1.0, max_tokens=48)
GREEDY = SamplingParams(temperature=0.0, max_tokens=24)

# At temperature 2 the ending token is rare, so among a few texts one is long.
LONG = SamplingParams(temperature=2.0, max_tokens=250)
LONG_AT_LEAST = 100


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=KINDS)
async def subject(request: pytest.FixtureRequest) -> AsyncIterator[Opened]:
    server = request.getfixturevalue("vllm_server") if request.param == "vllm-http" else None
    async with opened(request.param, server) as generator:
        yield generator


async def draw(
    subject: Opened, prompt: Prompt = CHAT, params: SamplingParams = PARAMS, *, seed: int = 1
) -> Completion:
    return await subject.generator.generate_one(prompt, params, seed=seed)


async def draw_many(subject: Opened, seeds: Sequence[int]) -> list[Completion]:
    return await asyncio.gather(*(draw(subject, seed=s) for s in seeds))


async def until_free(subject: Opened, *, seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while await subject.running():  # noqa: ASYNC110 - the engine has no event to wait for
            await asyncio.sleep(0.02)


@cache
def tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(LM, local_files_only=True)


def chat_ids(prompt: ChatPrompt) -> list[int]:
    turns = [{"role": m.role, "content": m.content} for m in prompt.messages]
    text = tokenizer().apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    return list(tokenizer().encode(text, add_special_tokens=False))


class TestSeeds:
    async def test_the_same_seed_gives_the_same_text_on_an_idle_engine(
        self, subject: Opened
    ) -> None:
        first = [await draw(subject, seed=s) for s in range(4)]
        again = [await draw(subject, seed=s) for s in range(4)]
        assert first == again

    async def test_a_request_of_several_candidates_repeats_as_a_whole(
        self, subject: Opened
    ) -> None:
        assert await draw_many(subject, range(8)) == await draw_many(subject, range(8))

    async def test_other_seeds_give_other_texts(self, subject: Opened) -> None:
        texts = {c.text for c in await draw_many(subject, range(8))}
        assert len(texts) >= 5

    async def test_large_seeds_are_fine(self, subject: Opened) -> None:
        assert await draw(subject, seed=2**62 + 1) != await draw(subject, seed=2**62 + 2)


class TestGreedy:
    async def test_it_ignores_the_seed(self, subject: Opened) -> None:
        drawn = [await draw(subject, params=GREEDY, seed=s) for s in (1, 2, 3)]
        assert drawn[0] == drawn[1] == drawn[2]

    async def test_it_is_what_the_model_itself_finds_likeliest(self, subject: Opened) -> None:
        ids = chat_ids(CHAT)
        model = AutoModelForCausalLM.from_pretrained(LM, dtype=torch.float32)
        out = model.generate(torch.tensor([ids]), do_sample=False, max_new_tokens=24)[0]
        drawn = await draw(subject, params=GREEDY)
        assert drawn.text == tokenizer().decode(out[len(ids) :], skip_special_tokens=True)
        assert drawn.completion_tokens == len(out) - len(ids)

    async def test_a_tiny_top_p_is_greedy_too(self, subject: Opened) -> None:
        narrow = replace(GREEDY, temperature=1.0, top_p=1e-6)
        assert (await draw(subject, params=narrow)) == await draw(subject, params=GREEDY)


class TestStopping:
    async def test_max_tokens_ends_the_text_as_length(self, subject: Opened) -> None:
        full = await draw(subject)
        short = await draw(subject, params=replace(PARAMS, max_tokens=5))
        assert (short.finish_reason, short.completion_tokens) == ("length", 5)
        assert full.text.startswith(short.text)
        assert full.text != short.text

    async def test_the_end_token_stops_and_is_not_in_the_text(self, subject: Opened) -> None:
        ended = [
            c
            for c in await draw_many(subject, range(16))
            if c.finish_reason == "stop" and c.completion_tokens < PARAMS.max_tokens
        ]
        assert ended, "the bundled model ends its answers"
        assert not any("<|" in c.text for c in ended)

    async def test_a_stop_string_ends_the_text_and_is_not_in_it(self, subject: Opened) -> None:
        full = await draw(subject)
        space = full.text.index(" ", 8)
        stop = full.text[space - 1 : space + 2]  # the end of a word and the start of the next
        cut = await draw(subject, params=replace(PARAMS, stop=("never to be seen", stop)))
        assert cut.text == full.text[: full.text.index(stop)]
        assert cut.finish_reason == "stop"
        assert cut.completion_tokens < full.completion_tokens

    async def test_a_stop_string_that_does_not_occur_changes_nothing(self, subject: Opened) -> None:
        assert await draw(subject, params=replace(PARAMS, stop=("\x02",))) == await draw(subject)


class TestPromptsAndUsage:
    @pytest.mark.parametrize("prompt", [CHAT, SYSTEM], ids=["user", "system"])
    async def test_turns_go_through_the_chat_template(
        self, subject: Opened, prompt: ChatPrompt
    ) -> None:
        completion = await draw(subject, prompt)
        assert completion.prompt_tokens == len(chat_ids(prompt))

    async def test_raw_text_does_not(self, subject: Opened) -> None:
        completion = await draw(subject, RAW, GREEDY)
        assert completion.prompt_tokens == len(tokenizer().encode(RAW.text))
        as_turn = ChatPrompt((Message("user", RAW.text),))
        assert completion.text != (await draw(subject, as_turn, GREEDY)).text

    async def test_a_prompt_that_is_too_long_is_refused_with_numbers(self, subject: Opened) -> None:
        with pytest.raises(GeneratorRejected, match="1024"):
            await draw(subject, RawPrompt("green park " * 2000))

    async def test_more_tokens_than_the_model_reads_are_refused_with_numbers(
        self, subject: Opened
    ) -> None:
        with pytest.raises(GeneratorRejected, match=r"5000.*1024"):
            await draw(subject, params=replace(PARAMS, max_tokens=5000))

    @pytest.mark.parametrize("prompt", [RawPrompt("a\ud800b"), SURROGATE], ids=["raw", "chat"])
    async def test_text_that_is_not_unicode_is_refused(
        self, subject: Opened, prompt: Prompt
    ) -> None:
        with pytest.raises(GeneratorRejected, match="surrogate"):
            await draw(subject, prompt)

    async def test_a_long_prompt_leaves_the_rest_for_the_answer(self, subject: Opened) -> None:
        prompt = RawPrompt("a" + " a" * 1100)
        words = len(tokenizer().encode(prompt.text))
        prompt = RawPrompt("a" + " a" * (1100 - (words - 1020)))
        completion = await draw(subject, prompt, replace(LONG, max_tokens=100))
        assert completion.prompt_tokens + completion.completion_tokens <= 1024


class TestConcurrency:
    async def test_many_calls_at_a_time(self, subject: Opened) -> None:
        prompts: list[Prompt] = [CHAT, SYSTEM, RAW]
        drawn = await asyncio.gather(*(draw(subject, prompts[i % 3], seed=i) for i in range(30)))
        counts = [len(chat_ids(CHAT)), len(chat_ids(SYSTEM)), len(tokenizer().encode(RAW.text))]
        assert [c.prompt_tokens for c in drawn] == counts * 10
        await until_free(subject)

    async def test_a_refused_call_does_not_disturb_the_others(self, subject: Opened) -> None:
        bad = draw(subject, RawPrompt("green park " * 2000))
        results = await asyncio.gather(
            *(draw(subject) for _ in range(4)), bad, return_exceptions=True
        )
        assert isinstance(results[-1], GeneratorRejected)
        assert all(isinstance(r, Completion) for r in results[:-1])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def long_call(subject: Opened) -> tuple[int, float]:
    """A seed whose text is long, and the seconds that it takes on an idle engine."""
    drawn = await asyncio.gather(*(draw(subject, params=LONG, seed=s) for s in range(16)))
    seed = max(range(16), key=lambda s: drawn[s].completion_tokens)
    started = time.monotonic()
    assert (await draw(subject, params=LONG, seed=seed)).completion_tokens >= LONG_AT_LEAST
    return seed, time.monotonic() - started


Start = Callable[[], Awaitable[list["asyncio.Task[Completion]"]]]


@pytest_asyncio.fixture(loop_scope="module")
async def start_long(subject: Opened, long_call: tuple[int, float]) -> Start:
    async def start() -> list[asyncio.Task[Completion]]:
        calls = [
            asyncio.create_task(draw(subject, params=LONG, seed=long_call[0])) for _ in range(8)
        ]
        async with asyncio.timeout(20):
            while await subject.running() < 8:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        return calls

    return start


class TestLeavingEarly:
    async def test_cancelling_frees_the_engine(self, subject: Opened, start_long: Start) -> None:
        calls = await start_long()
        for call in calls:
            call.cancel()
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(r, asyncio.CancelledError) for r in results)
        await until_free(subject)

    async def test_cancelling_one_leaves_the_others(
        self, subject: Opened, start_long: Start
    ) -> None:
        calls = await start_long()
        calls[3].cancel()
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert [isinstance(r, Completion) for r in results] == [i != 3 for i in range(8)]

    async def test_the_deadline_frees_the_engine(
        self, subject: Opened, long_call: tuple[int, float]
    ) -> None:
        seed, seconds = long_call
        started = time.monotonic()
        with pytest.raises(DeadlineExceeded):
            await subject.generator.generate_one(
                CHAT, LONG, seed=seed, deadline=started + seconds / 10
            )
        await until_free(subject)

    async def test_a_deadline_in_the_past(self, subject: Opened) -> None:
        with pytest.raises(DeadlineExceeded):
            await subject.generator.generate_one(
                CHAT, PARAMS, seed=1, deadline=time.monotonic() - 1
            )

    async def test_a_deadline_far_away_does_not_matter(self, subject: Opened) -> None:
        completion = await subject.generator.generate_one(
            CHAT, PARAMS, seed=1, deadline=time.monotonic() + 300, cache_salt="tenant"
        )
        assert completion == await draw(subject)


class TestTheModel:
    async def test_it_is_ready_and_has_a_name(self, subject: Opened) -> None:
        await subject.generator.check()
        assert subject.generator.model == "opinion-lm"

    async def test_an_unknown_model(self, subject: Opened, tmp_path: Path) -> None:
        if subject.kind == "vllm-http":
            other = open_generator(settings_for("vllm-http", subject.server, model="no-such-model"))
            with pytest.raises(UnknownModel, match="no-such-model"):
                await other.check()
            with pytest.raises(UnknownModel, match="no-such-model"):
                await other.generate_one(CHAT, PARAMS, seed=1)
            await other.close()
        else:
            with pytest.raises(UnknownModel, match=str(tmp_path)):
                open_generator(settings_for(subject.kind, None, model=str(tmp_path)))

    async def test_a_path_without_a_folder(self, subject: Opened, tmp_path: Path) -> None:
        if subject.kind == "transformers":
            with pytest.raises(UnknownModel, match="there is no such folder"):
                open_generator(settings_for(subject.kind, None, model=str(tmp_path / "nowhere")))


@pytest.mark.parametrize("kind", KINDS[:2])
async def test_a_closed_generator_says_so(kind: str, request: pytest.FixtureRequest) -> None:
    server = request.getfixturevalue("vllm_server") if kind == "vllm-http" else None
    async with opened(kind, server) as closing:
        await closing.generator.check()
        await closing.generator.close()
        for late in (closing.generator.check(), draw(closing)):
            with pytest.raises(GeneratorUnavailable):
                await late
