"""OpenAI's client against the service with real vLLM behind it: beside it, and in-process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from fixtures.serve_process import ServeProcess, serving
from fixtures.vllm_server import ENVIRONMENT, MODEL, START_S, VllmServer, require_vllm

pytestmark = pytest.mark.vllm

GROUP = {
    "name": "Gardeners",
    "preferences": [
        {"prompt": "How should a park look?", "response": "Full of trees.", "score": 0.9},
    ],
}
ASK: list[Any] = [{"role": "user", "content": "Should the town plant more trees?"}]


@pytest.fixture(scope="module", params=["vllm-http", "vllm-engine"])
def service(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServeProcess]:
    require_vllm()
    settings = {"GPO_GENERATOR": request.param, **ENVIRONMENT}
    if request.param == "vllm-http":
        server: VllmServer = request.getfixturevalue("vllm_server")
        settings["GPO_GENERATOR_URL"] = server.url
    with serving(tmp_path_factory.mktemp(request.param), start_s=START_S, **settings) as running:
        httpx.put(f"{running.url}/groups/gardeners", json=GROUP).raise_for_status()
        yield running
        assert "Traceback" not in running.said
        assert running.stop() == 0


@pytest.fixture
def client(service: ServeProcess) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{service.url}/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.mark.parametrize("group", ["", "@gardeners"])
def test_a_chat_whole_and_as_a_stream(client: openai.OpenAI, group: str) -> None:
    [model] = [found.id for found in client.models.list()]
    assert model.startswith(MODEL)
    asked: dict[str, Any] = {
        "model": model + group, "messages": ASK, "seed": 3, "max_tokens": 30, "n": 2,
    }  # fmt: skip
    whole = client.chat.completions.create(**asked)
    texts = {0: "", 1: ""}
    parts = 0
    for part in client.chat.completions.create(**asked, stream=True):
        for choice in part.choices:
            texts[choice.index] += choice.delta.content or ""
            parts += 1
    assert list(texts.values()) == [c.message.content for c in whole.choices]
    assert all(texts.values())
    assert parts == 6 if group else parts > 10


@pytest.mark.parametrize("group", ["", "@gardeners"])
def test_raw_text(client: openai.OpenAI, group: str) -> None:
    asked: dict[str, Any] = {"model": MODEL + group, "prompt": "In my opinion", "seed": 1}
    whole = client.completions.create(**asked)
    streamed = client.completions.create(**asked, stream=True)
    assert "".join(p.choices[0].text for p in streamed) == whole.choices[0].text != ""
    assert whole.usage is not None
    assert whole.usage.prompt_tokens > 0


def test_errors_are_the_clients_own(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="gpt-4", messages=ASK)
    long: list[Any] = [{"role": "user", "content": "more green trees " * 1000}]
    for stream in (False, True):
        with pytest.raises(openai.UnprocessableEntityError, match="1024"):
            client.chat.completions.create(model=MODEL, messages=long, stream=stream)
