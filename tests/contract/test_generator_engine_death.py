"""What becomes of calls when the vLLM engine dies under them."""

from __future__ import annotations

import asyncio
import multiprocessing

import pytest
from fixtures.generators import opened

from service.core.domain import ChatPrompt, Completion, Message, SamplingParams
from service.core.errors import GeneratorUnavailable

PROMPT = ChatPrompt((Message("user", "Should the town build a new swimming pool?"),))
LONG = SamplingParams(temperature=2.0, max_tokens=400)


@pytest.mark.vllm
async def test_its_calls_and_later_ones_fail_at_once() -> None:
    before = set(multiprocessing.active_children())
    async with opened("vllm-engine", None) as dying:
        generator = dying.generator
        await generator.generate_one(PROMPT, LONG, seed=0)
        calls = [
            asyncio.create_task(generator.generate_one(PROMPT, LONG, seed=s)) for s in range(32)
        ]
        async with asyncio.timeout(60):
            # Fewer than were asked for, as the first ones may end before the last ones come.
            while await dying.running() < 16:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            engine = set(multiprocessing.active_children()) - before
            assert engine
            for process in engine:
                process.kill()
            results = await asyncio.gather(*calls, return_exceptions=True)
        failed = [r for r in results if not isinstance(r, Completion)]
        assert failed
        assert all(isinstance(r, GeneratorUnavailable) for r in failed)
        for late in (generator.check(), generator.generate_one(PROMPT, LONG, seed=1)):
            with pytest.raises(GeneratorUnavailable):
                await late
