"""Whatever is sent: never a 5xx, always a small problem, and nothing half-written."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from fixtures.service_app import COMPARISON, GROUP, RATING, SHARE, Bench, open_bench
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.settings import Settings

Send = Callable[..., httpx.Response]
PATHS = ["/groups", "/v1/groups", "/predict", "/score", "/generate", "/groups/town/preferences"]
FUZZ = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["\0", "\ud800", "x" * 300, 10**400, "grp", "../x"])
)
json_values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
VALID: list[tuple[str, dict[str, Any]]] = [
    ("/groups", {**GROUP, "description": "d", "metadata": {"a": 1}}),
    ("/groups/town/preferences", {"preferences": [SHARE, RATING, COMPARISON]}),
    ("/predict", {"preferences": [SHARE, RATING], "question": "Why?", "options": ["a", "b"]}),
    ("/predict", {"group_id": "town",
                  "questions": [{"id": "1", "question": "Why?", "options": ["a", "b"]}]}),
    ("/score", {"group_ids": ["town"], "prompt": "Why?", "responses": ["a", "b"]}),
    ("/generate", {"preferences": [COMPARISON], "prompt": "Why?", "n": 2, "stop": ["x"], "seed": 1,
                   "steering": "none", "timeout_s": 5.0, "return_candidates": True}),
    ("/generate", {"group_id": "town", "messages": [{"role": "user", "content": "Why?"}], "n": 1}),
]  # fmt: skip


@pytest.fixture
def send(settings: Settings) -> Iterator[Send]:
    """A client of one application that lives as long as the test."""
    with asyncio.Runner() as runner:
        opened = open_bench(settings)
        bench: Bench = runner.run(opened.__aenter__())
        runner.run(bench.add())

        def request(method: str, path: str, **kwargs: Any) -> httpx.Response:
            response: httpx.Response = runner.run(bench.client.request(method, path, **kwargs))
            return response

        yield request
        runner.run(opened.__aexit__(None, None, None))


def check(response: httpx.Response) -> None:
    assert response.status_code < 500, response.text
    assert response.headers["X-Request-Id"]
    if response.status_code >= 400:
        assert response.headers["content-type"] == "application/problem+json"
        assert len(response.content) < 8_000
        problem = response.json()
        assert problem["status"] == response.status_code
        assert len(problem["errors"]) <= 10
        if response.status_code == 422:
            assert problem["errors"]


def dump(body: Any) -> bytes:
    return json.dumps(body).encode()


@FUZZ
@given(st.sampled_from(PATHS), st.binary(max_size=200))
def test_any_bytes(send: Send, path: str, body: bytes) -> None:
    check(send("POST", path, content=body, headers={"Content-Type": "application/json"}))


@FUZZ
@given(st.sampled_from(PATHS), json_values)
def test_any_json(send: Send, path: str, body: Any) -> None:
    check(send("POST", path, content=dump(body), headers={"Content-Type": "application/json"}))


@settings(FUZZ, max_examples=150)
@given(st.data())
def test_a_valid_body_with_something_changed(send: Send, data: st.DataObject) -> None:
    path, valid = data.draw(st.sampled_from(VALID))
    body = json.loads(json.dumps(valid))
    places = list(walk(body))
    parent, key = data.draw(st.sampled_from(places))
    change = data.draw(st.sampled_from(["replace", "remove", "add"]))
    if change == "replace":
        parent[key] = data.draw(json_values)
    elif change == "remove":
        del parent[key]
    elif isinstance(parent, dict):
        parent[data.draw(st.text(max_size=300))] = data.draw(json_values)
    check(send("POST", path, content=dump(body), headers={"Content-Type": "application/json"}))
    stored = send("GET", "/groups/town?include=preferences").json()
    assert stored["context_tokens"] == sum(
        len(p.get("options", "r")) if "chosen" not in p else 2 for p in stored["preferences"]
    )


@FUZZ
@given(st.text(max_size=40), st.sampled_from(["If-Match", "If-None-Match", "Idempotency-Key"]))
def test_any_header(send: Send, value: str, name: str) -> None:
    raw = value.encode("utf-8", "replace").replace(b"\r", b"").replace(b"\n", b"")
    headers = {"Content-Type": "application/json", name: raw}
    check(send("PUT", "/groups/header", content=dump({"name": "x", "preferences": []}),
               headers=headers))  # fmt: skip
    check(send("GET", "/groups/header", headers=headers))
    check(send("POST", "/groups", content=dump({"name": "x", "preferences": []}), headers=headers))


@FUZZ
@given(st.text(max_size=40), st.text(max_size=40))
def test_any_query_and_path(send: Send, path: str, query: str) -> None:
    url = httpx.URL("http://test/groups", params={"cursor": query, "limit": path})
    check(send("GET", str(url)))
    safe = httpx.URL("http://test/").copy_with(
        raw_path=b"/groups/"
        + "".join(f"%{b:02x}" for b in path.encode("utf-8", "replace")).encode()
    )
    for method in ("GET", "DELETE"):
        check(send(method, str(safe)))


def walk(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) in a JSON value."""
    keys = value.keys() if isinstance(value, dict) else range(len(value))
    for key in list(keys):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from walk(value[key])
