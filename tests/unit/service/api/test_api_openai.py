"""The OpenAI-compatible routes: what is taken, ignored and refused, and how a group is named."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from fixtures.service_app import Bench

from service.core.domain import ChatPrompt, Message, RawPrompt
from service.core.errors import GeneratorRejected, GeneratorUnavailable

CHAT: dict[str, Any] = {"model": "fake-lm", "messages": [{"role": "user", "content": "Why?"}]}
RAW: dict[str, Any] = {"model": "fake-lm", "prompt": "Because"}


async def chat(bench: Bench, headers: dict[str, str] | None = None, **changes: Any) -> Any:
    return await bench.client.post("/v1/chat/completions", json=CHAT | changes, headers=headers)


def pointers(response: httpx.Response) -> set[str]:
    return {error["pointer"] for error in response.json()["errors"]}


IGNORED = {
    "user": "me", "metadata": {"a": "b"}, "store": True, "service_tier": "flex", "tools": [],
    "safety_identifier": "x", "prompt_cache_key": "y", "parallel_tool_calls": True,
    "frequency_penalty": 0, "presence_penalty": 0.0, "logit_bias": {}, "logprobs": False,
    "response_format": {"type": "text"}, "tool_choice": "auto", "modalities": ["text"],
    "n": None, "best_of": None, "temperature": None, "stop": None, "seed": None,
    "stream_options": {"include_usage": True},
}  # fmt: skip


async def test_what_does_not_change_the_answer_is_ignored(bench: Bench) -> None:
    plain = (await chat(bench, seed=1)).json()
    answer = (await chat(bench, **IGNORED | {"seed": 1})).json()
    assert answer["choices"] == plain["choices"]
    assert "gpo" not in answer


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("tools", [{"type": "function"}]), ("tool_choice", "required"), ("logprobs", True),
        ("logprobs", 0), ("top_logprobs", 2), ("frequency_penalty", 0.5),
        ("presence_penalty", True),
        ("logit_bias", {"1": 2}), ("response_format", {"type": "json_object"}),
        ("reasoning_effort", "low"), ("modalities", ["audio"]), ("top_k", 5), ("n", 9), ("n", 0),
        ("n", "1"), ("temperature", 3), ("seed", -1), ("messages", []), ("timeout_s", 1e9),
        ("max_tokens", 0), ("max_tokens", 10**6), ("max_completion_tokens", 10**6),
        ("best_of", 2), ("return_candidates", True), ("steering", "description"),
    ],
)  # fmt: skip
async def test_what_would_is_refused_by_name(bench: Bench, field: str, value: object) -> None:
    response = await chat(bench, **{field: value})
    assert response.status_code in (413, 422), response.text
    assert pointers(response) == {f"/{field}"}
    error = response.json()["error"]
    assert (error["param"], error["type"]) == (field, "invalid_request_error")
    assert bench.generator.prompts == []


@pytest.mark.parametrize(
    ("message", "at"),
    [
        ({"role": "tool", "content": "x"}, "/messages/0/role"),
        ({"role": "user", "content": " "}, "/messages/0"),
        ({"role": "user"}, "/messages/0"),
        ({"role": "user", "content": [{"type": "image_url"}]}, "/messages/0/content"),
        ({"role": "user", "content": ["x"]}, "/messages/0/content"),
        ({"role": "user", "content": 3}, "/messages/0/content"),
        ({"role": "user", "content": "\ud800"}, "/messages/0/content"),
        ({"role": "assistant", "tool_calls": [{}]}, "/messages/0/tool_calls"),
        ({"role": "assistant", "content": "x"}, "/messages"),
    ],
)
async def test_messages_that_are_not_read(bench: Bench, message: Any, at: str) -> None:
    response = await bench.client.post(
        "/v1/chat/completions", content=json.dumps({"messages": [message]}),
        headers={"Content-Type": "application/json"},
    )  # fmt: skip
    assert response.status_code == 422, response.text
    assert pointers(response) == {at}


async def test_messages_that_are_read(bench: Bench) -> None:
    part = [{"type": "text", "text": "One"}, {"type": "text", "text": "two"}]
    messages = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": part, "name": "ann"},
        {"role": "assistant", "content": None, "refusal": None, "tool_calls": None},
        {"role": "user", "content": "Why?"},
    ]
    assert (await chat(bench, messages=messages)).status_code == 200
    assert bench.generator.prompts == [
        ChatPrompt(
            (
                Message("system", "Be brief."),
                Message("user", "One\ntwo"),
                Message("assistant", ""),
                Message("user", "Why?"),
            )
        )
    ]


async def test_defaults_and_the_two_names_of_max_tokens(bench: Bench) -> None:
    await chat(bench)
    await chat(bench, max_completion_tokens=7)
    await chat(bench, max_completion_tokens=7, max_tokens=7, stop="\n", temperature=0)
    await bench.client.post("/v1/completions", json=RAW)
    found = [(p.max_tokens, p.stop, p.temperature) for p in bench.generator.params]
    assert found == [(512, (), 1.0), (7, (), 1.0), (7, ("\n",), 0.0), (16, (), 1.0)]
    differing = await chat(bench, max_completion_tokens=7, max_tokens=8)
    assert pointers(differing) == {"/max_completion_tokens"}


async def test_the_three_ways_to_name_a_group(bench: Bench) -> None:
    await bench.add()
    header = {"X-Group-Id": "town"}
    answers = [
        await chat(bench, model="fake-lm@town", seed=1),
        await chat(bench, group_id="town", seed=1),
        await chat(bench, header, seed=1),
        await chat(bench, header, model="fake-lm@town", group_id="town", seed=1),
    ]
    assert {r.json()["gpo"]["group_id"] for r in answers} == {"town"}
    assert len({r.json()["choices"][0]["message"]["content"] for r in answers}) == 1
    assert len(bench.generator.seeds) == 4 * 8

    differing = await chat(bench, header, model="fake-lm@a", group_id="b")
    assert differing.status_code == 422
    assert pointers(differing) == {"/model", "/group_id", "/X-Group-Id"}
    assert pointers(await chat(bench, model="fake-lm@no id")) == {"/model"}
    assert pointers(await chat(bench, {"X-Group-Id": "no id"})) == {"/X-Group-Id"}
    unknown = await chat(bench, model="fake-lm@nobody")
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "group_not_found")


async def test_what_is_drawn_and_what_is_returned(bench: Bench) -> None:
    await bench.add()
    asked = {"group_id": "town", "seed": 5, "n": 2, "best_of": 6, "return_candidates": True}
    answer = (await chat(bench, **asked)).json()
    candidates = answer["gpo"]["candidates"]
    texts = [c["message"]["content"] for c in answer["choices"]]
    assert texts == [c["text"] for c in candidates[:2]]
    assert answer["gpo"]["scores"] == [c["score"] for c in candidates[:2]]
    assert answer["usage"]["prompt_tokens"] == 1
    assert answer["usage"]["completion_tokens"] == sum(c["tokens"] for c in candidates)
    assert pointers(await chat(bench, group_id="town", n=3, best_of=2)) == {"/best_of"}
    assert pointers(await chat(bench, group_id="town", best_of=9)) == {"/best_of"}


@pytest.mark.parametrize(
    "changes",
    [
        {"prompt": [1, 2]}, {"prompt": ["a", "b"]}, {"prompt": []}, {"prompt": " "},
        {"echo": True}, {"suffix": "x"}, {"logprobs": 1}, {"messages": []},
    ],
)  # fmt: skip
async def test_raw_text_that_is_not_continued(bench: Bench, changes: dict[str, Any]) -> None:
    response = await bench.client.post("/v1/completions", json=RAW | changes)
    assert response.status_code == 422, response.text
    assert pointers(response) == {f"/{field}" for field in changes}


async def test_raw_text_is_what_is_embedded_and_what_is_drawn_from(bench: Bench) -> None:
    await bench.add()
    body = RAW | {"prompt": ["Because"], "group_id": "town", "best_of": 1, "echo": False}
    response = await bench.client.post("/v1/completions", json=body)
    text = response.json()["choices"][0]["text"]
    assert bench.generator.prompts == [RawPrompt("Because")]
    assert bench.embedder.embedded[-1] == ("Because", text)


async def test_an_unknown_model_is_asked_for_once(bench: Bench) -> None:
    response = await chat(bench, model="gpt-4")
    assert (response.status_code, response.json()["error"]["code"]) == (404, "model_not_found")
    bench.generator.down = GeneratorUnavailable("It is down.")
    assert (await chat(bench, model="gpt-4")).status_code == 502
    assert (await chat(bench)).status_code == 200
    assert (await bench.client.get("/v1/models")).status_code == 502


async def test_without_a_model_the_served_one_answers(bench: Bench) -> None:
    response = await bench.client.post("/v1/completions", json={"prompt": "Because"})
    assert response.json()["model"] == "fake-lm"


@pytest.mark.parametrize("stream", [False, True])
async def test_what_the_model_refuses_is_the_callers_to_mend(bench: Bench, stream: bool) -> None:
    bench.generator.say = lambda seed: GeneratorRejected("Too long.")
    response = await chat(bench, stream=stream)
    assert (response.status_code, pointers(response)) == (422, {"/messages"})
    response = await bench.client.post("/v1/completions", json=RAW | {"stream": stream})
    assert (response.status_code, pointers(response)) == (422, {"/prompt"})


async def test_reasoning_is_left_in_for_nobody_and_taken_out_for_a_group(bench: Bench) -> None:
    await bench.add()
    bench.generator.say = lambda seed: "<think>Hm.</think>Yes."
    for changes, text in (({}, "<think>Hm.</think>Yes."), ({"group_id": "town"}, "Yes.")):
        answer = (await chat(bench, **changes)).json()
        assert answer["choices"][0]["message"]["content"] == text


async def test_the_chunks_of_a_stream(bench: Bench) -> None:
    await bench.add()
    for group, pieces in (("", 3), ("@town", 1)):
        body: dict[str, Any] = {"model": f"fake-lm{group}", "stream": True, "n": 2}
        response = await chat(bench, **body, stream_options={"include_usage": True})
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = [x for x in response.text.split("\n") if x and not x.startswith(":")]
        assert lines[-1] == "data: [DONE]"
        chunks = [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]
        assert len(chunks) == 2 * (1 + pieces + 1) + 1
        assert len({c["id"] for c in chunks}) == 1
        assert [c["usage"] for c in chunks[:-1]] == [None] * (len(chunks) - 1)
        assert chunks[-1]["choices"] == []
        assert chunks[-1]["usage"]["completion_tokens"] == (6 if not group else 24)
        assert [("gpo" in c) for c in chunks].count(True) == (1 if group else 0)
    # Without the option no chunk has usage.
    response = await chat(bench, stream=True)
    assert '"usage"' not in response.text


async def test_places_are_held_and_given_back(bench: Bench) -> None:
    bench.generator.say = lambda seed: "Yes."
    for _ in range(4):
        assert (await chat(bench, n=8)).status_code == 200
        assert (await chat(bench, n=8, stream=True)).status_code == 200
