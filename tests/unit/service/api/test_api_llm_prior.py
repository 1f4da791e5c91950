"""A language model that fails, is slow or is busy: /predict says so and answers nothing else."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from fixtures.service_app import Bench, open_bench

from service.core.errors import GeneratorProtocolError, GeneratorRejected, GeneratorUnavailable
from service.settings import Settings

BODY = {"preferences": [], "question": "Is it time?", "options": ["Yes", "No"]}


def settings_of(tmp_path: Path, **changes: Any) -> Settings:
    url = f"sqlite:///{tmp_path / 'groups.db'}"
    return Settings(store_url=url, **{"prior": "llm", **changes})


async def ask(bench: Bench) -> tuple[int, str]:
    response = await bench.client.post("/predict", json=BODY)
    return response.status_code, response.json().get("code", "")


@pytest.mark.parametrize(
    ("fault", "answer"),
    [
        (GeneratorUnavailable("gone"), (502, "generator_unavailable")),
        (GeneratorProtocolError("odd"), (502, "generator_protocol_error")),
        (GeneratorRejected("too long"), (422, "invalid_input")),
    ],
)
async def test_a_failure_is_never_another_prior(
    tmp_path: Path, fault: Exception, answer: tuple[int, str]
) -> None:
    async with open_bench(settings_of(tmp_path)) as bench:
        bench.generator.down = fault
        assert await ask(bench) == answer
        bench.generator.down = None
        assert (await ask(bench))[0] == 200
    async with open_bench(settings_of(tmp_path, prior="bank")) as bench:
        bench.generator.down = fault
        assert (await ask(bench))[0] == 200
        assert not bench.generator.prompts


async def test_when_no_place_is_free_it_is_refused(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, max_candidates_in_flight=2, max_n=2)
    async with open_bench(settings) as bench:
        bench.generator.hang = lambda seed: True
        body = {"preferences": [], "prompt": "Say something.", "n": 2, "timeout_s": 60}
        drawing = asyncio.create_task(bench.client.post("/generate", json=body))
        await bench.generator.started.wait()
        response = await bench.client.post("/predict", json=BODY)
        assert (response.status_code, response.json()["code"]) == (503, "overloaded")
        assert response.headers["Retry-After"]
        drawing.cancel()


async def test_the_prompt_is_plain_and_the_operators_words_come_first(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, system_prompt="Be short.", prior="both")
    async with open_bench(settings) as bench:
        assert (await ask(bench))[0] == 200
        turns = {tuple((m.role, m.content) for m in p.messages) for p in bench.generator.prompts}  # type: ignore[union-attr]
        worded = "Question: Is it time?\nOptions:\n- {}\n- {}\nAnswer:"
        assert turns == {
            (("system", "Be short."), ("user", worded.format(*order)))
            for order in (("No", "Yes"), ("Yes", "No"))
        }


def test_unknown_priors_are_refused() -> None:
    with pytest.raises(ValueError, match="prior"):
        Settings(prior="none")  # type: ignore[arg-type]
