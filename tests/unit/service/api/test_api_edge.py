"""What the edge does with every request: ids, body limits, media types, last-resort errors."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fixtures.service_app import GROUP, Bench

from service.core import errors

GOOD = json.dumps(GROUP).encode()
JSON = {"Content-Type": "application/json"}


def is_problem(response: Any, status: int, code: str) -> bool:
    body = response.json()
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert {"type", "title", "status", "detail", "instance", "code", "request_id", "errors"} <= set(
        body
    )
    assert body["request_id"] == response.headers["X-Request-Id"]
    return bool(body["status"] == status and body["code"] == code)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b'{"name": }',
        b"{'name': 1}",
        b'{"name": "x",}',
        b"nonsense",
        b'{"name": "x"} more',
        b'{"name": "\xff"}',
        b'\xef\xbb\xbf{"name": "x"}',
        '{"name": "x"}'.encode("utf-16"),
        b'{"name": 1, "name": 2}',
        b'{"metadata": {"a": 1, "a": 1}}',
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b'{"name": ' + b"1" * 5_000 + b"}",
        json.dumps({str(i): i for i in range(1_001)}).encode(),
    ],
    ids=range(17),
)
async def test_malformed_json_is_400(bench: Bench, body: bytes) -> None:
    for path in ("/groups", "/predict", "/score", "/generate"):
        response = await bench.client.post(path, content=body, headers=JSON)
        assert is_problem(response, 400, "malformed_json")
    assert await bench.stored() == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "multipart/form-data; boundary=x"},
        {"Content-Type": "application/octet-stream"},
        {"Content-Type": ""},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
        {"Origin": "https://elsewhere.example"},
    ],
    ids=str,
)
async def test_another_media_type_is_415(bench: Bench, headers: dict[str, str]) -> None:
    response = await bench.client.post("/groups", content=GOOD, headers=headers)
    assert is_problem(response, 415, "unsupported_media_type")
    assert await bench.stored() == []


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": "application/json; charset=utf-8"},
        {"Content-Type": "application/merge-patch+json"},
        {"Content-Type": "Application/JSON", "Origin": "https://elsewhere.example"},
        {"Content-Type": "application/json", "Content-Encoding": "identity"},
    ],
    ids=str,
)
async def test_json_by_another_name_is_read(bench: Bench, headers: dict[str, str]) -> None:
    response = await bench.client.post("/groups", content=GOOD, headers=headers)
    assert response.status_code == 201


@pytest.mark.parametrize("text", ["a\\ud800b", "\\udfff", "a\\u0000b"])
async def test_texts_that_cannot_be_stored_are_422(bench: Bench, text: str) -> None:
    body = GOOD.replace(b"Soup.", text.encode())
    response = await bench.client.post("/groups", content=body, headers=JSON)
    assert is_problem(response, 422, "invalid_input")
    assert [e["pointer"] for e in response.json()["errors"]] == ["/preferences/2/chosen"]
    key = b'{"name": "x", "preferences": [], "\\ud800": 1}'
    response = await bench.client.post("/groups", content=key, headers=JSON)
    assert is_problem(response, 422, "invalid_input")


async def test_a_pair_of_surrogates_is_one_character(bench: Bench) -> None:
    body = GOOD.replace(b"Soup.", b"\\ud83c\\udf72")
    assert (await bench.client.post("/groups", content=body, headers=JSON)).status_code == 201


async def test_a_declared_body_over_the_limit_is_not_read(bench: Bench) -> None:
    response = await bench.client.post("/groups", content=b" " * 500_001, headers=JSON)
    assert is_problem(response, 413, "body_too_large")


async def test_a_body_at_the_limit_is_read(bench: Bench) -> None:
    body = GOOD.ljust(500_000)
    response = await bench.client.post("/groups", content=body, headers=JSON)
    assert response.status_code == 201


async def test_an_undeclared_body_is_read_no_further_than_the_limit(bench: Bench) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 1
            yield b" " * 100_000

    response = await bench.client.post("/groups", content=endless(), headers=JSON)
    assert is_problem(response, 413, "body_too_large")
    assert sent == 6


@pytest.mark.parametrize("given", ["a", "7f3c-22.Z:_", "x" * 128])
async def test_a_request_id_is_echoed(bench: Bench, given: str) -> None:
    for path in ("/livez", "/nope", "/groups?limit=x", "/docs", "/openapi.json"):
        response = await bench.client.get(path, headers={"X-Request-Id": given})
        assert response.headers.get_list("X-Request-Id") == [given]


@pytest.mark.parametrize("given", ["", "x" * 129, "a b", "a\tb", "é", "<script>", 'a"b'])
async def test_a_strange_request_id_is_replaced(bench: Bench, given: str) -> None:
    response = await bench.client.get("/livez", headers={"X-Request-Id": given.encode()})
    found = response.headers["X-Request-Id"]
    assert found != given
    assert len(found) == 32


async def test_request_ids_differ(bench: Bench) -> None:
    found = {(await bench.client.get("/livez")).headers["X-Request-Id"] for _ in range(5)}
    assert len(found) == 5


async def test_a_fault_of_the_service_hides_its_cause(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.scorer.fault = RuntimeError("the password is swordfish")
    body = {"preferences": [], "question": "Why?", "options": ["a", "b"]}
    response = await bench.client.post(
        "/v1/predict", json=body, headers={"X-Request-Id": "trace-1"}
    )
    assert is_problem(response, 500, "internal_error")
    assert "swordfish" not in response.text
    assert response.json()["error"]["type"] == "server_error"
    assert "trace-1" in caplog.text
    assert "swordfish" in caplog.text


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (errors.ScorerFailed("broken"), 502, "scorer_failed"),
        (errors.Overloaded("full", retry_after_s=7), 503, "overloaded"),
        (errors.StoreUnavailable("gone"), 503, "store_unavailable"),
        (errors.DeadlineExceeded("late"), 504, "deadline_exceeded"),
        (errors.GpoServeError("odd"), 500, "internal_error"),
    ],
)
async def test_errors_of_the_core_have_their_status(
    bench: Bench, error: Exception, status: int, code: str
) -> None:
    bench.scorer.fault = error
    body = {"preferences": [], "question": "Why?", "options": ["a", "b"]}
    response = await bench.client.post("/predict", json=body)
    assert is_problem(response, status, code)
    retry = {"overloaded": "7", "store_unavailable": "1"}.get(code)
    assert response.headers.get("Retry-After") == retry


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/groups", "GET, HEAD, POST"),
        ("POST", "/groups/x", "DELETE, GET, HEAD, PUT"),
        ("GET", "/predict", "POST"),
        ("PUT", "/v1/generate", "POST"),
        ("POST", "/livez", "GET, HEAD"),
    ],
)
async def test_another_method_is_405(bench: Bench, method: str, path: str, allowed: str) -> None:
    response = await bench.client.request(method, path)
    assert is_problem(response, 405, "method_not_allowed")
    assert response.headers["Allow"] == allowed


@pytest.mark.parametrize("path", ["/livez", "/groups/town", "/groups", "/nope", "/openapi.json"])
async def test_head_is_get_without_the_content(bench: Bench, path: str) -> None:
    await bench.add()
    got, head = await bench.client.get(path), await bench.client.head(path)
    assert head.content == b""
    assert head.status_code == got.status_code
    for name in ("Content-Length", "Content-Type", "ETag"):
        assert head.headers.get(name) == got.headers.get(name)
    assert head.headers["X-Request-Id"]
    if tag := got.headers.get("ETag"):
        same = await bench.client.head(path, headers={"If-None-Match": tag})
        assert same.status_code == 304


async def test_head_is_no_method_where_get_is_none(bench: Bench) -> None:
    response = await bench.client.head("/predict")
    assert (response.status_code, response.content) == (405, b"")
    assert response.headers["Allow"] == "POST"


@pytest.mark.parametrize(
    "path", ["/nope", "/v1", "/v1/nope", "/groups/", "/groups/a/b", "/v3/groups"]
)
async def test_an_unknown_address_is_404(bench: Bench, path: str) -> None:
    response = await bench.client.get(path)
    assert is_problem(response, 404, "not_found")
    assert ("error" in response.json()) == path.startswith("/v1/")


async def test_versioned_routes_speak_openai_beside(bench: Bench) -> None:
    body = {**GROUP, "preferences": [{**GROUP["preferences"][0], "distribution": [1, 1, 1]}]}
    response = await bench.client.post("/v1/groups", json=body)
    assert is_problem(response, 422, "invalid_input")
    assert response.json()["error"] == {
        "message": response.json()["detail"],
        "type": "invalid_request_error",
        "param": "preferences.0.distribution",
        "code": "invalid_input",
    }


@pytest.mark.parametrize("stopping", [True, False])
async def test_what_a_stopping_server_cancels_is_answered(bench: Bench, stopping: bool) -> None:
    bench.generator.hang = lambda seed: True
    bench.app.state.stopping = stopping
    body = {"preferences": [], "prompt": "Why?", "n": 2}
    running = asyncio.create_task(bench.client.post("/generate", json=body))
    await bench.generator.started.wait()
    running.cancel()
    if stopping:
        response = await running
        assert is_problem(response, 503, "draining")
        assert response.headers["Retry-After"] == "1"
    else:
        with pytest.raises(asyncio.CancelledError):
            await running
    assert len(bench.generator.cancelled) == 2


async def test_a_client_that_leaves_stops_its_work(bench: Bench) -> None:
    bench.generator.hang = lambda seed: True
    body = json.dumps({"preferences": [], "prompt": "Why?", "n": 3, "seed": 5}).encode()
    inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    inbox.put_nowait({"type": "http.request", "body": body, "more_body": False})
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": "POST", "path": "/generate", "raw_path": b"/generate",
        "query_string": b"", "root_path": "", "scheme": "http", "http_version": "1.1",
        "headers": [(b"content-type", b"application/json")], "server": ("test", 80),
    }  # fmt: skip
    serving = asyncio.create_task(bench.app(scope, inbox.get, send))
    await asyncio.wait_for(bench.generator.started.wait(), 10)
    assert not serving.done()
    inbox.put_nowait({"type": "http.disconnect"})
    await asyncio.wait_for(serving, 10)
    assert sorted(bench.generator.cancelled) == [5, 6, 7]
    assert sent == []
    bench.generator.hang = lambda seed: False
    again = await bench.client.post("/generate", json=json.loads(body))
    assert again.status_code == 200
