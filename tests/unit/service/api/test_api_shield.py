"""The head of a request has caps, and every response has the headers that protect browsers."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Any

import httpx
import pytest
from fixtures.service_app import GROUP, Bench

from service.api.shield import MOST_HEADER_BYTES, MOST_HEADERS, MOST_TARGET_BYTES


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/livez", None, 200),
        ("GET", "/docs", None, 200),
        ("GET", "/openapi.json", None, 200),
        ("GET", "/metrics", None, 200),
        ("GET", "/nowhere", None, 404),
        ("PATCH", "/groups", None, 405),
        ("POST", "/groups", {"name": 1}, 422),
        ("POST", "/v1/rerank", {}, 422),
        ("HEAD", "/groups", None, 200),
        ("POST", "/groups", {**GROUP, "metadata": {"x": "y" * 600_000}}, 413),
    ],
)
async def test_every_response_is_shielded(
    bench: Bench, method: str, path: str, body: Any, status: int
) -> None:
    response = await bench.client.request(method, path, json=body)
    assert response.status_code == status
    headers = response.headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "no-referrer"
    policy = headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in policy
    assert "unsafe-inline" not in policy.partition("script-src")[2].partition(";")[0]
    assert "unsafe-eval" not in policy
    assert headers.get_list("Cache-Control") == ["no-store"]
    assert "Server" not in headers


async def test_a_fault_is_shielded_too(bench: Bench) -> None:
    bench.embedder.fault = lambda vectors: 1 / 0  # type: ignore[return-value]
    body = {"preferences": [], "prompt": "?", "responses": ["a"]}
    response = await bench.client.post("/score", json=body)
    assert response.status_code == 500
    assert response.headers["X-Content-Type-Options"] == "nosniff"


async def test_a_group_may_be_kept_and_asked_for_again(bench: Bench) -> None:
    await bench.add()
    first = await bench.client.get("/groups/town")
    assert first.headers["Cache-Control"] == "private, no-cache"
    again = await bench.client.get("/groups/town", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.headers["Cache-Control"]) == (304, "private, no-cache")
    listed = await bench.client.get("/groups")
    assert listed.headers["Cache-Control"] == "no-store"


async def test_so_may_the_page(bench: Bench) -> None:
    page = await bench.client.get("/")
    assert (page.status_code, page.headers["Cache-Control"]) == (200, "private, no-cache")
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    policy = page.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'self';")
    assert "unsafe" not in policy


async def test_a_stream_is_not_kept(bench: Bench) -> None:
    body = {"preferences": [], "prompt": "?", "n": 1, "stream": True}
    response = await bench.client.post("/generate", json=body)
    assert response.headers.get_list("Cache-Control") == ["no-store"]
    assert response.headers["X-Content-Type-Options"] == "nosniff"


async def test_the_policy_of_docs_lets_its_own_script_run_and_its_files_load(bench: Bench) -> None:
    response = await bench.client.get("/docs")
    policy = dict(
        part.strip().split(" ", 1)
        for part in response.headers["Content-Security-Policy"].split(";")
    )
    inline = re.findall(r"<script>(.*?)</script>", response.text, re.DOTALL)
    assert len(inline) == 1
    digest = base64.b64encode(hashlib.sha256(inline[0].encode()).digest()).decode()
    assert policy["script-src"] == f"'self' 'sha256-{digest}'"
    assert policy["default-src"] == "'none'"
    assert policy["connect-src"] == "'self'"
    for source in re.findall(r'(?:src|href)="([^"]+)"', response.text):
        assert source.startswith("/static-offline-docs/")
    assert not re.search(r"<[^>]* on\w+=", response.text)
    assert '"/openapi.json"' in inline[0] or "'/openapi.json'" in inline[0]


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({"X-Long": "x" * MOST_HEADER_BYTES}, "The header x-long is larger"),
        ({"Authorization": "Bearer " + "x" * MOST_HEADER_BYTES}, "The header authorization"),
        ({f"X-{i}": "x" * 1_000 for i in range(17)}, "Address and headers are larger"),
        ({f"X-{i}": "x" for i in range(MOST_HEADERS + 1)}, f"more than {MOST_HEADERS} headers"),
        ({"X" * 9_000: "x"}, "The header xxxx"),
    ],
    ids=["long", "key", "total", "many", "name"],
)
async def test_large_headers_are_431(bench: Bench, headers: dict[str, str], said: str) -> None:
    for path in ("/groups", "/livez", "/v1/models"):
        response = await bench.client.get(path, headers=headers)
        body = response.json()
        assert (response.status_code, body["code"]) == (431, "headers_too_large")
        assert said in body["detail"]
        assert "xxxxx" * 20 not in response.text
        assert ("error" in body) == path.startswith("/v1")


async def test_headers_below_the_caps_are_fine(bench: Bench) -> None:
    headers = {"X-Long": "x" * (MOST_HEADER_BYTES - 10), **{f"X-{i}": "x" for i in range(80)}}
    assert (await bench.client.get("/groups", headers=headers)).status_code == 200


async def test_a_long_address_is_414(bench: Bench) -> None:
    for path in ("/groups/" + "x" * MOST_TARGET_BYTES, "/groups?cursor=" + "x" * MOST_TARGET_BYTES):
        response = await bench.client.get(path)
        assert (response.status_code, response.json()["code"]) == (414, "uri_too_long")
        assert len(response.content) < 8_192


async def test_a_body_that_ends_in_two_ways_is_refused(bench: Bench) -> None:
    for second in ("Content-Length", "Transfer-Encoding"):
        headers = [("Content-Length", "2"), (second, "chunked" if second[0] == "T" else "3")]
        request = bench.client.build_request("POST", "/groups", content=b"{}")
        request.headers = httpx.Headers(headers)
        response = await bench.client.send(request)
        assert (response.status_code, response.json()["code"]) == (400, "malformed_request")
        assert response.headers["Connection"] == "close"
