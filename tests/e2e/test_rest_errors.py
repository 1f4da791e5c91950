"""What the REST contract says of errors, request ids and operations, over a socket."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fixtures.document import routes
from fixtures.wire import check

JSON = {"Content-Type": "application/json"}
MEMBERS = {"type", "title", "status", "detail", "instance", "code", "request_id", "errors"}
GOOD = json.dumps({"name": "x", "preferences": []}).encode()


@pytest.fixture(scope="module")
def client(service_url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service_url, timeout=60) as opened:
        yield opened


# --- errors


@pytest.mark.parametrize("prefix", ["", "/v1"])
@pytest.mark.parametrize(
    ("method", "path", "content", "headers", "status", "code"),
    [
        ("GET", "/nowhere", None, {}, 404, "not_found"),
        ("PATCH", "/groups", None, {}, 405, "method_not_allowed"),
        ("POST", "/groups", GOOD, {"Content-Type": "text/plain"}, 415, "unsupported_media_type"),
        ("POST", "/groups", b"{", JSON, 400, "malformed_json"),
        ("POST", "/groups", b'{"name": "a", "name": "b"}', JSON, 400, "malformed_json"),
        ("POST", "/groups", b"[]", JSON, 422, "invalid_input"),
        ("POST", "/groups", b" " * 8_000_001, JSON, 413, "body_too_large"),
        ("GET", "/groups/nobody", None, {}, 404, "group_not_found"),
        ("PUT", "/groups/a%20b", GOOD, JSON, 422, "invalid_input"),
    ],
)
def test_every_error_is_a_problem(
    client: httpx.Client,
    prefix: str,
    method: str,
    path: str,
    content: bytes | None,
    headers: dict[str, str],
    status: int,
    code: str,
) -> None:
    response = client.request(method, prefix + path, content=content, headers=headers)
    check(response)
    problem = response.json()
    assert (response.status_code, problem["status"], problem["code"]) == (status, status, code)
    assert set(problem) >= MEMBERS
    assert problem["instance"] == httpx.URL(prefix + path).path
    assert ("error" in problem) == bool(prefix)
    if prefix:
        assert {"message", "type", "param", "code"} == set(problem["error"])
        assert problem["error"]["code"] == code
    if status == 405:
        assert "POST" in response.headers["Allow"]


def test_ten_errors_are_listed_and_long_input_is_cut(client: httpx.Client) -> None:
    wrong = [{"prompt": "p", "response": "r", "score": "long" * 1_000} for _ in range(40)]
    response = client.post("/groups", json={"name": "x", "preferences": wrong})
    check(response)
    errors = response.json()["errors"]
    assert len(errors) == 10
    assert [error["pointer"] for error in errors] == [f"/preferences/{i}/score" for i in range(10)]
    for error in errors:
        assert 1 <= error["detail"].count("long") * 4 <= 200


def test_pointers_escape_what_they_must(client: httpx.Client) -> None:
    response = client.post("/groups", json={"name": "x", "preferences": [], "a/b~c": 1})
    assert response.json()["errors"][0]["pointer"] == "/a~1b~0c"
    on_v1 = client.post("/v1/predict", json={"preferences": [], "question": "q", "options": ["a"]})
    assert on_v1.json()["error"]["param"] == "options"


@pytest.mark.parametrize("path", ["/livez", "/groups", "/nowhere", "/v1/models", "/openapi.json"])
@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("my-request.1:A_b", True),
        ("a" * 128, True),
        ("a" * 129, False),
        ("with space", False),
        ("<script>", False),
        ("\u00e9".encode(), False),
        ("", False),
    ],
)
def test_the_request_id_is_echoed_if_it_is_one(
    client: httpx.Client, path: str, sent: str | bytes, kept: bool
) -> None:
    headers = [(b"X-Request-Id", sent if isinstance(sent, bytes) else sent.encode())]
    response = client.get(path, headers=headers)
    found = response.headers["X-Request-Id"]
    assert (found.encode() == headers[0][1]) == kept
    assert found
    if response.status_code >= 400:
        assert response.json()["request_id"] == found


def test_every_native_route_answers_under_v1(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    for route in routes(document):
        if not route.path.startswith("/v1/"):
            continue
        path = route.filled("nobody")
        response = client.request(route.method, path, content=b"{" if route.takes_body else None,
                                  headers=JSON if route.takes_body else {})  # fmt: skip
        check(response)
        code = response.json()["code"] if response.is_error else ""
        assert code not in ("not_found", "method_not_allowed"), (route.method, path)


# --- operations


def test_probes(client: httpx.Client) -> None:
    assert client.get("/livez").json() == {"status": "ok"}
    for path in ("/readyz", "/health"):
        body: dict[str, Any] = client.get(path).json()
        assert body["status"] == "ready"
        assert set(body["components"]) == {"store", "generator", "scorer"}
        assert all(part == {"ok": True, "reason": None} for part in body["components"].values())
    assert client.head("/livez").content == b""


def test_about(client: httpx.Client) -> None:
    version = client.get("/version").json()
    assert {"version", "generator", "scorer", "embedder"} <= set(version)
    metrics = client.get("/metrics")
    assert metrics.headers["Content-Type"].startswith("text/plain")
    assert "# TYPE" in metrics.text
    newer = client.get("/metrics", headers={"Accept": "application/openmetrics-text"})
    assert newer.text.endswith("# EOF\n")
    assert client.get("/docs").status_code == 200
    page = client.get("/")
    assert (page.status_code, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")


def test_models_name_themselves(client: httpx.Client) -> None:
    [model] = client.get("/v1/models").json()["data"]
    assert model["id"] == client.get("/version").json()["generator"]
    client.put("/groups/models", content=GOOD, headers=JSON).raise_for_status()
    for name, status in ((model["id"], 200), (f"{model['id']}@models", 200), ("gpt-5", 404)):
        response = client.get(f"/v1/models/{name}")
        check(response)
        assert response.status_code == status


@pytest.mark.parametrize("how", ["model", "body", "header", "none"])
def test_three_ways_to_name_a_group(client: httpx.Client, how: str) -> None:
    client.put("/groups/named", content=GOOD, headers=JSON).raise_for_status()
    [model] = client.get("/v1/models").json()["data"]
    body = {
        "model": model["id"] + ("@named" if how == "model" else ""),
        "messages": [{"role": "user", "content": "Why?"}],
        "max_tokens": 4,
        "n": 2,
    }
    if how != "none":
        body["best_of"] = 3
    if how == "body":
        body["group_id"] = "named"
    headers = {"X-Group-Id": "named"} if how == "header" else {}
    response = client.post("/v1/chat/completions", json=body, headers=headers)
    assert response.status_code == 200, response.text
    answer = response.json()
    assert len(answer["choices"]) == 2
    if how == "none":
        assert "gpo" not in answer
    else:
        gpo = answer["gpo"]
        assert (gpo["group_id"], gpo["best_of"]) == ("named", 3)
        assert gpo["scores"] == sorted(gpo["scores"], reverse=True)
