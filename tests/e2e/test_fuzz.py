"""Whatever comes over the wire: no 500, no long error, always a problem, always the request id.

Over a real socket, on every route that the OpenAPI document of the running service names.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import string
import urllib.parse
from collections.abc import Iterator
from copy import deepcopy

import httpx
import pytest
from fixtures.document import Route, routes
from fixtures.nasty import HEADERS, SEGMENTS, header_values, values, walk
from fixtures.serve_process import ServeProcess, serving
from fixtures.wire import check, raw
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

FUZZ = settings(
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", "150")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
JSON = {"Content-Type": "application/json"}
GROUP = {
    "name": "City dwellers",
    "description": "People of a city.",
    "preferences": [{"prompt": "What is good?", "response": "A park.", "score": 0.9}],
}
CAPS = {
    "GPO_MAX_TOKENS": "4",
    "GPO_MAX_N": "2",
    "GPO_BEST_OF": "2",
    "GPO_MAX_BODY_MB": "0.3",
    "GPO_MAX_TIMEOUT_S": "20",
    "GPO_LOG_LEVEL": "warning",
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServeProcess]:
    with serving(tmp_path_factory.mktemp("fuzz"), **CAPS) as running:
        yield running
        assert "Traceback" not in running.said


@pytest.fixture(scope="module")
def client(service: ServeProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service.url, timeout=60) as opened:
        opened.put("/groups/city-dwellers", json=GROUP).raise_for_status()
        yield opened


@pytest.fixture(scope="module")
def found(client: httpx.Client) -> list[Route]:
    return list(routes(client.get("/openapi.json").json()))


@pytest.fixture(scope="module")
def writing(found: list[Route]) -> list[Route]:
    return [cheap(route) for route in found if route.takes_body]


def cheap(route: Route) -> Route:
    """The same with few short candidates in its example."""
    for name, value in (("n", 1), ("best_of", 1), ("max_tokens", 2)):
        if route.body is not None and name in route.body:
            route.body[name] = value
    return route


def raw_id(number: int) -> str:
    return f"fuzz:{number}.{'i' * (number % 100)}"


# --- bodies


@FUZZ
@given(st.data())
def test_bytes_that_are_hardly_json(
    client: httpx.Client, writing: list[Route], data: st.DataObject
) -> None:
    route = data.draw(st.sampled_from(writing))
    good = json.dumps(route.body).encode() if route.body else b"{}"
    body = data.draw(
        st.one_of(
            st.binary(max_size=200),
            st.sampled_from(
                [
                    b"",
                    b" ",
                    b"null",
                    b"[]",
                    b'"text"',
                    b"NaN",
                    b"\xef\xbb\xbf" + good,
                    good.decode().encode("utf-16"),
                    gzip.compress(good),
                    good[:-1],
                    good + b"{}",
                    good.replace(b"e", b"\xff", 1),
                    b'{"a":1,"a":2}',
                    good[:-1] + b"," + good[1:],
                    b"[" * 50_000,
                    b'{"a":' * 20_000,
                    b'{"n":' + b"9" * 10_000 + b"}",
                    b'{"name":"\\ud800","preferences":[]}',
                    b"{" + b" " * 290_000 + b"}",
                    b"x" * 300_001,
                ]
            ),
        )
    )
    media = data.draw(
        st.sampled_from(
            [
                "application/json",
                "application/json; charset=utf-8",
                "application/x-ndjson",
                "text/plain",
                "text/csv",
                "multipart/form-data; boundary=x",
                "application/x-www-form-urlencoded",
                "a/b/c",
                "application/json" * 40,
            ]
        )
    )
    headers = {"Content-Type": media}
    if data.draw(st.booleans()):
        headers["Content-Encoding"] = data.draw(
            st.sampled_from(["gzip", "identity", "br", "x" * 99])
        )
    sent_id = raw_id(data.draw(st.integers(0, 999)))
    response = client.request(
        route.method,
        route.filled("city-dwellers"),
        content=body,
        headers={**headers, "X-Request-Id": sent_id},
    )
    check(response, sent_id=sent_id)


@settings(FUZZ, max_examples=2 * FUZZ.max_examples)
@given(st.data())
def test_a_valid_body_with_something_changed(
    client: httpx.Client, writing: list[Route], data: st.DataObject
) -> None:
    route = data.draw(st.sampled_from([r for r in writing if isinstance(r.body, dict)]))
    body = json.loads(json.dumps(route.body))
    for _ in range(data.draw(st.integers(1, 3))):
        places = list(walk(body))
        if not places:
            break
        parent, key = data.draw(st.sampled_from(places))
        change = data.draw(st.sampled_from(["replace", "replace", "remove", "add", "nest"]))
        if change == "replace":
            parent[key] = deepcopy(data.draw(values))  # a later change may lie within
        elif change == "nest":
            for _ in range(data.draw(st.sampled_from([1, 20, 400]))):
                parent[key] = [parent[key]] if data.draw(st.booleans()) else {"a": parent[key]}
        elif change == "remove":
            del parent[key]
        elif isinstance(parent, dict):
            names = [*route_fields(client, route), "extra", "", "x" * 2_000, "a/b~c"]
            parent[data.draw(st.sampled_from(names))] = deepcopy(data.draw(values))
    response = client.request(
        route.method,
        route.filled("city-dwellers"),
        content=json.dumps(body).encode("utf-8", "surrogatepass"),
        headers=JSON,
    )
    check(response)


# --- headers


some_route = st.integers(0, 999)


@FUZZ
@given(
    some_route,
    st.dictionaries(st.sampled_from(HEADERS), header_values, min_size=1, max_size=3),
)
def test_any_headers(
    client: httpx.Client, found: list[Route], number: int, drawn: dict[str, bytes]
) -> None:
    route = found[number % len(found)]
    headers = {name.encode(): value for name, value in drawn.items()}
    if route.body is not None and b"Content-Type" not in headers:
        headers[b"Content-Type"] = b"application/json"
    body = None if route.body is None else json.dumps(route.body).encode()
    response = client.request(
        route.method, route.filled("nobody"), content=body, headers=list(headers.items())
    )
    check(response)
    given_id = headers.get(b"X-Request-Id")
    if given_id is not None:
        kept = len(given_id) <= 128 and set(given_id) <= set(
            (string.ascii_letters + string.digits + "._:-").encode()
        )
        assert (response.headers["X-Request-Id"].encode() == given_id) == kept


# --- paths


@FUZZ
@given(
    some_route,
    st.sampled_from(SEGMENTS)
    | st.text(max_size=30).map(lambda t: urllib.parse.quote(t.encode("utf-8", "replace"), safe="")),
    st.sampled_from(["", "?", "?a=%00", "?limit=x&cursor=%ff", "?include=", "?&=&"]),
)
def test_any_segment(
    service: ServeProcess,
    client: httpx.Client,
    found: list[Route],
    number: int,
    segment: str,
    query: str,
) -> None:
    named = [route for route in found if "{" in route.path]
    route = named[number % len(named)]
    body = b"" if route.body is None else json.dumps(route.body).encode()
    target = route.filled(segment)
    [answer] = raw(
        service,
        f"{route.method} {target}{query} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        f"X-Request-Id: seg-1\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
        + body,
    )
    check(answer, sent_id="seg-1")


QUERY_VALUES = st.text(max_size=30) | st.sampled_from(
    ["0", "-1", "1e9", "9" * 5_000, "\0", "preferences", "a" * 3_000]
)


@FUZZ
@given(some_route, st.lists(st.tuples(st.integers(0, 9), QUERY_VALUES), max_size=4))
def test_any_query(
    client: httpx.Client, found: list[Route], number: int, drawn: list[tuple[int, str]]
) -> None:
    reading = [r for r in found if r.method in ("GET", "DELETE")]
    route = reading[number % len(reading)]
    names = [p["name"] for p in route.operation.get("parameters", []) if p["in"] == "query"]
    names += ["x", "limit"]
    pairs = [(names[index % len(names)], value) for index, value in drawn]
    query = urllib.parse.urlencode([(n, v.encode("utf-8", "replace")) for n, v in pairs])
    check(client.request(route.method, f"{route.filled('nobody')}?{query}"))


def test_other_methods_are_405(client: httpx.Client, found: list[Route]) -> None:
    known: dict[str, set[str]] = {}
    for route in found:
        known.setdefault(route.path, set()).add(route.method)
    # A path may be an example of another one: /groups/import is a group's as well.
    patterns = {re.compile(re.sub(r"\{\w+\}", "[^/]+", p)): found for p, found in known.items()}
    for path in known:
        target = path.replace("{group_id}", "city-dwellers").replace("{model}", "opinion-lm")
        matching = [m for pattern, m in patterns.items() if pattern.fullmatch(target)]
        taken = set[str]().union(*matching)
        allowed = known[path] | ({"HEAD"} if "GET" in known[path] else set())
        for method in ("GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "TRACE"):
            if method in taken or (method == "HEAD" and "GET" in taken):
                continue
            response = client.request(method, target)
            assert response.status_code == 405, (method, path)
            assert set(response.headers["Allow"].split(", ")) == allowed
            check(response)


# --- tools


_FIELDS: dict[str, list[str]] = {}


def route_fields(client: httpx.Client, route: Route) -> list[str]:
    """The names of the fields that a route's body may have."""
    if not _FIELDS:
        schemas = client.get("/openapi.json").json()["components"]["schemas"]
        _FIELDS.update({name: list(s.get("properties", {})) for name, s in schemas.items()})
    schema = route.operation["requestBody"]["content"]["application/json"]["schema"]
    return _FIELDS[schema["$ref"].rpartition("/")[2]]
