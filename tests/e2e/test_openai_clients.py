"""OpenAI's own client against `gpo serve`: sync, async and streaming, with and without a group."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from fixtures.openai_fake import (
    DONE,
    USAGE,
    FakeServer,
    Handler,
    Reply,
    Request,
    chat,
    chunk,
    fake_server,
)
from fixtures.serve_process import ServeProcess, serving, serving_beside

GROUP = {
    "name": "Gardeners",
    "preferences": [
        {"question": "Should lawns become meadows?", "options": ["Yes", "No"], "counts": [70, 30]},
        {"prompt": "How should a park look?", "response": "Full of trees.", "score": 0.9},
    ],
}
ASK: list[Any] = [{"role": "user", "content": "Should the town plant more trees?"}]
MODEL = "opinion-lm"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServeProcess]:
    with serving(tmp_path_factory.mktemp("openai"), GPO_BEST_OF="4") as running:
        httpx.put(f"{running.url}/groups/gardeners", json=GROUP).raise_for_status()
        yield running
        assert "Traceback" not in running.said


@pytest.fixture
def client(service: ServeProcess) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{service.url}/v1", api_key="none", max_retries=0) as client:
        yield client


def test_models_are_listed_and_found_alone_and_for_a_group(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == [MODEL]
    assert client.models.retrieve(MODEL).owned_by == "gpo-serve"
    assert client.models.retrieve(f"{MODEL}@gardeners").id == f"{MODEL}@gardeners"
    for unknown in ("gpt-4", f"{MODEL}@nobody"):
        with pytest.raises(openai.NotFoundError):
            client.models.retrieve(unknown)


@pytest.mark.parametrize(
    "how",
    [
        {"model": f"{MODEL}@gardeners"},
        {"model": MODEL, "extra_body": {"group_id": "gardeners"}},
        {"model": MODEL, "extra_headers": {"X-Group-Id": "gardeners"}},
    ],
    ids=["model", "body", "header"],
)
def test_each_way_to_name_a_group_gives_its_choice(
    service: ServeProcess, client: openai.OpenAI, how: dict[str, Any]
) -> None:
    answer = client.chat.completions.create(messages=ASK, seed=5, max_tokens=30, **how)
    asked = {"group_id": "gardeners", "messages": ASK, "n": 4, "seed": 5, "max_tokens": 30}
    native = httpx.post(f"{service.url}/generate", json=asked, timeout=60).json()
    assert answer.choices[0].message.content == native["text"]
    assert answer.usage is not None
    assert answer.usage.completion_tokens == native["usage"]["completion_tokens"]
    assert answer.usage.prompt_tokens * 4 == native["usage"]["prompt_tokens"]
    extra: dict[str, Any] = answer.model_extra or {}
    assert (extra["gpo"]["group_id"], extra["gpo"]["best_of"]) == ("gardeners", 4)


def test_n_choices_are_the_best_of_those_drawn(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model=f"{MODEL}@gardeners",
        messages=ASK,
        n=2,
        seed=1,
        max_tokens=20,
        extra_body={"best_of": 6, "return_candidates": True},
    )
    gpo: dict[str, Any] = (answer.model_extra or {})["gpo"]
    assert len(gpo["candidates"]) == 6
    assert [c.message.content for c in answer.choices] == [c["text"] for c in gpo["candidates"][:2]]
    assert gpo["scores"] == sorted(gpo["scores"], reverse=True)
    assert answer.usage is not None
    assert answer.usage.completion_tokens == sum(c["tokens"] for c in gpo["candidates"])


@pytest.mark.parametrize("model", [MODEL, f"{MODEL}@gardeners"])
def test_a_stream_holds_the_text_of_the_whole_answer(client: openai.OpenAI, model: str) -> None:
    asked: dict[str, Any] = {"model": model, "messages": ASK, "n": 2, "seed": 3, "max_tokens": 20}
    whole = client.chat.completions.create(**asked)
    texts = {0: "", 1: ""}
    roles, reasons, usage = [], {}, None
    for part in client.chat.completions.create(
        **asked, stream=True, stream_options={"include_usage": True}
    ):
        assert usage is None, "the usage comes last"
        usage = part.usage
        for choice in part.choices:
            texts[choice.index] += choice.delta.content or ""
            roles += [choice.index] if choice.delta.role else []
            if choice.finish_reason:
                reasons[choice.index] = choice.finish_reason
    assert list(texts.values()) == [c.message.content for c in whole.choices]
    assert list(dict(sorted(reasons.items())).values()) == [c.finish_reason for c in whole.choices]
    assert sorted(roles) == [0, 1]
    assert usage == whole.usage


@pytest.mark.parametrize("model", [MODEL, f"{MODEL}@gardeners"])
def test_raw_text_is_continued(client: openai.OpenAI, model: str) -> None:
    asked: dict[str, Any] = {"model": model, "prompt": "In my opinion the park", "seed": 3}
    whole = client.completions.create(**asked)
    assert whole.usage is not None
    assert whole.usage.completion_tokens <= 16 * (1 if model == MODEL else 4)
    parts = client.completions.create(**asked, stream=True)
    assert "".join(p.choices[0].text for p in parts) == whole.choices[0].text != ""


def test_stop_and_the_newer_name_of_max_tokens(client: openai.OpenAI) -> None:
    asked: dict[str, Any] = {"model": MODEL, "messages": ASK, "seed": 2}
    short = client.chat.completions.create(**asked, max_completion_tokens=3)
    assert short.usage is not None
    assert (short.choices[0].finish_reason, short.usage.completion_tokens) == ("length", 3)
    full = client.chat.completions.create(**asked).choices[0].message.content or ""
    stop = full[8:12]
    cut = client.chat.completions.create(**asked, stop=[stop, "\n"])
    assert cut.choices[0].message.content == full[: full.index(stop)]


async def test_the_async_client(service: ServeProcess) -> None:
    async with openai.AsyncOpenAI(base_url=f"{service.url}/v1", api_key="none") as client:
        asked: dict[str, Any] = {"messages": ASK, "seed": 3, "max_tokens": 20}
        models = [MODEL, f"{MODEL}@gardeners"]
        wholes = await asyncio.gather(
            *(client.chat.completions.create(model=m, **asked) for m in models)
        )
        for model, whole in zip(models, wholes, strict=True):
            stream = await client.chat.completions.create(model=model, **asked, stream=True)
            texts = [part.choices[0].delta.content or "" async for part in stream]
            assert "".join(texts) == whole.choices[0].message.content


@pytest.mark.parametrize(
    ("changes", "error", "param", "code"),
    [
        ({"model": "gpt-4"}, openai.NotFoundError, None, "model_not_found"),
        ({"model": f"{MODEL}@nobody"}, openai.NotFoundError, None, "group_not_found"),
        (
            {"model": f"{MODEL}@a", "extra_body": {"group_id": "b"}},
            openai.UnprocessableEntityError,
            "model",
            "invalid_input",
        ),
        ({"logprobs": True}, openai.UnprocessableEntityError, "logprobs", "invalid_input"),
        ({"n": 65}, openai.APIStatusError, "n", "input_too_large"),
        (
            {"messages": [{"role": "user", "content": "x " * 5000}]},
            openai.UnprocessableEntityError,
            "messages",
            "invalid_input",
        ),
        (
            {"extra_body": {"timeout_s": 0.001}},
            openai.InternalServerError,
            None,
            "deadline_exceeded",
        ),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_errors_are_the_clients_own(
    client: openai.OpenAI,
    changes: dict[str, Any],
    error: type[openai.APIStatusError],
    param: str | None,
    code: str,
    stream: bool,
) -> None:
    asked: dict[str, Any] = {"model": MODEL, "messages": ASK, "stream": stream}
    with pytest.raises(error) as caught:
        client.chat.completions.create(**{**asked, **changes})
    assert (caught.value.param, caught.value.code) == (param, code)
    assert caught.value.request_id


def test_a_body_that_is_no_json_is_a_bad_request(service: ServeProcess) -> None:
    answer = httpx.post(
        f"{service.url}/v1/chat/completions",
        content=b"{",
        headers={"Content-Type": "application/json"},
    )
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"


# With a model that answers when it is told to.


@asynccontextmanager
async def upstream(
    folder: Path, answer: Handler
) -> AsyncIterator[tuple[FakeServer, openai.AsyncOpenAI]]:
    async with fake_server(answer) as fake:
        settings = {"GPO_GENERATOR": "vllm-http", "GPO_GENERATOR_URL": fake.url}
        async with (
            serving_beside(folder, **settings) as service,
            openai.AsyncOpenAI(
                base_url=f"{service.url}/v1", api_key="none", max_retries=0
            ) as client,
            httpx.AsyncClient(base_url=service.url) as plain,
        ):
            (await plain.put("/groups/gardeners", json=GROUP)).raise_for_status()
            yield fake, client


async def until(condition: Any) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - the other side has no event to wait for
            await asyncio.sleep(0.02)


async def read(stream: Any, texts: list[str | None]) -> None:
    async for part in stream:
        texts.append(part.choices[0].delta.content)


async def test_streams_end_to_end(tmp_path: Path) -> None:
    going = asyncio.Event()

    async def answer(request: Request) -> Reply:
        if "broken" in json.dumps(request.body["messages"]):
            return Reply(status=500, body={"error": {"message": "broken"}})
        if not request.body.get("stream"):
            await going.wait()
            return chat("A tree.")

        async def events() -> AsyncIterator[bytes]:
            yield chunk("One")
            await going.wait()
            yield chunk(" tree")
            if "failing" in json.dumps(request.body["messages"]):
                yield b'data: {"error": {"message": "the engine died"}}\n\n'
            yield chunk(finish="stop") + USAGE + DONE

        return Reply(events=events())

    async with upstream(tmp_path, answer) as (fake, client):
        # Without a group the first piece is here while the second is not yet drawn.
        asked: dict[str, Any] = {"model": "fake-model", "messages": ASK, "stream": True}
        stream = await client.chat.completions.create(**asked)
        coming = aiter(stream)
        assert (await asyncio.wait_for(anext(coming), 30)).choices[0].delta.role == "assistant"
        assert (await asyncio.wait_for(anext(coming), 30)).choices[0].delta.content == "One"
        assert fake.under_way == 1
        going.set()
        rest = [part.choices[0] async for part in coming]
        assert [c.delta.content for c in rest] == [" tree", None]

        # A client that leaves frees the model.
        going.clear()
        stream = await client.chat.completions.create(**asked)
        await asyncio.wait_for(anext(aiter(stream)), 30)
        await stream.close()
        await until(lambda: fake.under_way == 0 and fake.left == 1)

        # With a group the role comes at once, and the choice when all are drawn.
        stream = await client.chat.completions.create(**asked | {"model": "fake-model@gardeners"})
        coming = aiter(stream)
        assert (await asyncio.wait_for(anext(coming), 30)).choices[0].delta.role == "assistant"
        await until(lambda: fake.under_way == 8)
        going.set()
        rest = [part.choices[0] async for part in coming]
        assert [c.delta.content for c in rest] == ["A tree.", None]

        # What fails on the way is an error of the client, and so is what fails before.
        failing = [{"role": "user", "content": "failing"}]
        texts: list[str | None] = []
        with pytest.raises(openai.APIError, match="the engine died"):
            await read(await client.chat.completions.create(**asked | {"messages": failing}), texts)
        assert texts == ["", "One", " tree"]
        broken = [{"role": "user", "content": "broken"}]
        with pytest.raises(openai.InternalServerError) as caught:
            await client.chat.completions.create(**asked | {"messages": broken})
        assert (caught.value.status_code, caught.value.code) == (502, "generator_unavailable")
        stream = await client.chat.completions.create(
            **asked | {"messages": broken, "model": "fake-model@gardeners"}
        )
        with pytest.raises(openai.APIError, match="broken"):
            await read(stream, [])
        going.clear()
        with pytest.raises(openai.APITimeoutError):
            await client.chat.completions.create(**asked | {"stream": False}, timeout=0.5)
        await until(lambda: fake.under_way == 0)
