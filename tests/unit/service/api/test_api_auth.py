"""Keys: every route needs one but those that are named, and a key opens its tenant's data alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fixtures.every_route import NOWHERE, UNDOCUMENTED, is_open, operations
from fixtures.keys import ANN, ANN_2, BOB, KEYS, NOBODY, bearer
from fixtures.service_app import COMPARISON, GROUP, RATING, SHARE, Bench, open_bench
from pydantic import SecretStr
from starlette.types import Message

from service.api.auth import KeyRing, caller_of
from service.api_keys import new_key
from service.core.errors import ScorerFailed
from service.core.request_context import TENANT
from service.core.tenants import cache_salt
from service.settings import Settings

CHAT: dict[str, Any] = {"messages": [{"role": "user", "content": "?"}]}
ASK: dict[str, Any] = {"question": "?", "options": ["a", "b"]}


@pytest.fixture
async def keyed(tmp_path: Path) -> AsyncIterator[Bench]:
    """A service that needs keys; its client sends none by itself."""
    settings = Settings(
        store_url=f"sqlite:///{tmp_path / 'groups.db'}",
        api_keys=SecretStr(KEYS),
        result_cache_mb=1,
        max_n=8,
        max_candidates_in_flight=16,
    )
    async with open_bench(settings) as opened:
        yield opened


def refused(response: httpx.Response) -> dict[str, Any]:
    assert response.status_code == 401, (response.request.url, response.text)
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.headers["X-Request-Id"]
    body: dict[str, Any] = response.json()
    assert (body["status"], body["code"]) == (401, "unauthorized")
    return body


async def test_every_operation_needs_a_key(keyed: Bench) -> None:
    document = (await keyed.client.get("/openapi.json", headers=bearer(ANN))).json()
    found = list(operations(document))
    assert len(found) > 30
    for method, path in found:
        strange = await keyed.client.request(method, path, json={})
        known = await keyed.client.request(method, path, json={}, headers=bearer(ANN))
        assert known.status_code not in {401, 403, 405}, (method, path)
        if is_open(path):
            assert strange.status_code == 200, (method, path)
        else:
            body = refused(strange)
            assert ("error" in body) == path.startswith(("/v1/", "/v2/")), path
            refused(await keyed.client.request(method, path, json={}, headers=bearer(NOBODY)))


@pytest.mark.parametrize("path", [*UNDOCUMENTED, *NOWHERE])
async def test_so_does_everything_else(keyed: Bench, path: str) -> None:
    for method in ("GET", "HEAD", "POST", "OPTIONS", "DELETE", "TRACE"):
        strange = await keyed.client.request(method, path)
        if is_open(path):
            assert strange.status_code in {200, 405}, method
        elif method == "HEAD":
            assert strange.status_code == 401
        else:
            refused(strange)
    known = await keyed.client.get(path, headers=bearer(ANN))
    assert known.status_code == (404 if path in NOWHERE else 200)


@pytest.mark.parametrize(
    "headers",
    [
        [("Authorization", ANN)],
        [("Authorization", "Bearer")],
        [("Authorization", "Bearer ")],
        [("Authorization", f"Basic {ANN}")],
        [("Authorization", f"Bearer {ANN}x")],
        [("Authorization", f"Bearer {ANN[:-1]}")],
        [("Authorization", f"Bearer {ANN} {ANN}")],
        [("Authorization", f"Bearer {ANN}"), ("Authorization", f"Bearer {BOB}")],
        [("X-Api-Key", ANN)],
        [("Cookie", f"Authorization=Bearer {ANN}")],
        [("Authorization", "Bearer \xff\xfe")],
        [("Authorization", "Bearer " + KEYS.partition(":")[2][:64])],
    ],
)
async def test_what_is_no_key(keyed: Bench, headers: list[tuple[str, str]]) -> None:
    encoded = [(name, value.encode("latin-1")) for name, value in headers]
    body = refused(await keyed.client.get("/groups", headers=encoded))  # type: ignore[arg-type]
    assert ANN not in str(body)


@pytest.mark.parametrize("value", [f"bearer {ANN}", f"BEARER {ANN}", f"Bearer   {ANN} "])
async def test_the_scheme_has_no_case(keyed: Bench, value: str) -> None:
    response = await keyed.client.get("/groups", headers={"Authorization": value})
    assert response.status_code == 200


async def test_a_stranger_is_refused_before_the_body_is_read(keyed: Bench) -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        raise AssertionError("the body was read")

    async def send(message: Message) -> None:
        sent.append(message)

    for length in (b"10", b"999999999999"):
        scope = {
            "type": "http", "method": "POST", "path": "/groups", "raw_path": b"/groups",
            "query_string": b"", "root_path": "", "scheme": "http", "http_version": "1.1",
            "headers": [(b"content-length", length), (b"content-type", b"application/json")],
            "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2), "app": keyed.app,
        }  # fmt: skip
        await keyed.app(scope, receive, send)
    assert [m["status"] for m in sent if m["type"] == "http.response.start"] == [401, 401]


async def test_strangers_see_whether_it_is_ready_and_no_more(keyed: Bench) -> None:
    for path in ("/readyz", "/v1/readyz"):
        assert (await keyed.client.get(path)).json() == {"status": "ready"}
        wrong = await keyed.client.get(path, headers=bearer(NOBODY))
        assert wrong.json() == {"status": "ready"}
        known = (await keyed.client.get(path, headers=bearer(BOB))).json()
        assert set(known["components"]) == {"store", "generator", "scorer"}
    refused(await keyed.client.get("/health"))
    health = (await keyed.client.get("/health", headers=bearer(ANN))).json()
    assert set(health) == {"status", "components"}


async def test_strangers_do_not_make_it_look_at_its_parts_again_and_again(keyed: Bench) -> None:
    assert (await keyed.client.get("/readyz")).status_code == 200
    keyed.scorer.fault = ScorerFailed("The worker has died of old age.")
    assert (await keyed.client.get("/readyz")).json() == {"status": "ready"}
    known = await keyed.client.get("/readyz", headers=bearer(ANN))
    assert known.status_code == 503
    assert known.json()["components"]["scorer"]["reason"]
    strange = await keyed.client.get("/readyz")
    assert (strange.status_code, strange.json()) == (503, {"status": "unavailable"})


async def test_tenants_share_no_group_and_no_version(keyed: Bench) -> None:
    client = keyed.client
    for key, name in ((ANN, "Of Ann"), (BOB, "Of Bob")):
        made = await client.post("/groups", json={**GROUP, "name": name}, headers=bearer(key))
        assert (made.status_code, made.json()["version"]) == (201, 1)
    changed = await client.put("/groups/town", json=GROUP, headers=bearer(ANN))
    assert changed.json()["version"] == 2
    of_bob = await client.get("/groups/town", headers=bearer(BOB))
    assert (of_bob.json()["version"], of_bob.json()["name"]) == (1, "Of Bob")
    assert (await client.get("/groups/town", headers=bearer(ANN_2))).json()["version"] == 2
    assert (await client.delete("/groups/town", headers=bearer(BOB))).status_code == 204
    assert (await client.get("/groups/town", headers=bearer(ANN))).status_code == 200
    listed = await client.get("/groups", headers=bearer(BOB))
    assert listed.json() == {"data": [], "has_more": False, "next_cursor": None}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/groups/town", None),
        ("GET", "/groups/town?include=preferences", None),
        ("DELETE", "/groups/town", None),
        ("POST", "/groups/town/preferences", {"preferences": [RATING]}),
        ("POST", "/predict", {"group_id": "town", **ASK}),
        ("POST", "/predict", {"group_ids": ["mine", "town"], **ASK}),
        ("POST", "/score", {"group_id": "town", "prompt": "?", "responses": ["a"]}),
        ("POST", "/generate", {"group_id": "town", "prompt": "?", "n": 1}),
        ("POST", "/v1/rerank", {"group_id": "town", "query": "?", "documents": ["a"]}),
        ("POST", "/v2/rerank", {"model": "fake-scorer@0@town", "query": "?", "documents": ["a"]}),
        ("POST", "/v1/completions", {"group_id": "town", "prompt": "?"}),
        ("POST", "/v1/completions", {"model": "fake-lm@town", "prompt": "?", "stream": True}),
        ("POST", "/v1/chat/completions", {**CHAT, "group_id": "town"}),
        ("GET", "/v1/models/fake-lm@town", None),
    ],
    ids=str,
)  # fmt: skip
async def test_another_tenants_group_is_not_there(
    keyed: Bench, method: str, path: str, body: dict[str, Any] | None
) -> None:
    client = keyed.client
    await client.post("/groups", json=GROUP, headers=bearer(ANN))
    await client.post("/groups", json={**GROUP, "id": "mine"}, headers=bearer(BOB))
    found = await client.request(method, path, json=body, headers=bearer(BOB))
    never = await client.request(
        method,
        path.replace("town", "gone"),
        json=None if body is None else {k: _gone(v) for k, v in body.items()},
        headers=bearer(BOB),
    )
    assert found.status_code == never.status_code == 404, found.text
    assert found.json()["code"] == never.json()["code"] == "group_not_found"
    assert found.json()["detail"].replace("town", "gone") == never.json()["detail"]
    mine = await client.request(
        method, path.replace("mine", "town"), json=body, headers=bearer(ANN)
    )
    if "group_ids" not in (body or {}):
        assert mine.status_code in {200, 204}, mine.text
    kept = await client.get("/groups/town", headers=bearer(ANN))
    assert kept.status_code == (404 if method == "DELETE" else 200)


def _gone(value: Any) -> Any:
    if isinstance(value, list):
        return [_gone(v) for v in value]
    return value.replace("town", "gone") if isinstance(value, str) else value


async def test_idempotency_keys_are_each_tenants_own(keyed: Bench) -> None:
    ids = []
    for key, name in ((ANN, "A"), (BOB, "B")):
        body = {"name": name, "preferences": []}
        headers = {**bearer(key), "Idempotency-Key": "once"}
        first, again = [
            await keyed.client.post("/groups", json=body, headers=headers) for _ in "12"
        ]
        assert first.status_code == again.status_code == 201
        assert first.json()["id"] == again.json()["id"]
        ids.append(first.json()["id"])
    assert ids[0] != ids[1]


async def test_an_if_match_of_another_tenant_meets_nothing(keyed: Bench) -> None:
    made = await keyed.client.post("/groups", json=GROUP, headers=bearer(ANN))
    headers = {**bearer(BOB), "If-Match": made.headers["ETag"]}
    put = await keyed.client.put("/groups/town", json=GROUP, headers=headers)
    assert put.status_code == 412
    assert "does not exist" in put.json()["detail"]


async def test_answers_come_from_the_own_group_also_from_the_caches(keyed: Bench) -> None:
    question = {"group_id": "town", "question": SHARE["question"], "options": SHARE["options"]}
    shares = ([0.8, 0.1, 0.1], [0.1, 0.1, 0.8])
    for key, distribution in zip((ANN, BOB), shares, strict=True):
        body = {**GROUP, "preferences": [{**SHARE, "distribution": distribution}, COMPARISON]}
        await keyed.client.post("/groups", json=body, headers=bearer(key))
    for _ in range(2):
        found = [
            (await keyed.client.post("/predict", json=question, headers=bearer(key))).json()
            for key in (ANN, BOB)
        ]
        first, second = (answer["predictions"][0]["distribution"] for answer in found)
        assert first[0] > first[2]
        assert second[0] < second[2]


async def test_the_same_content_has_contexts_of_its_own_in_each_tenant(keyed: Bench) -> None:
    question = {"preferences": [SHARE], "question": "?", "options": ["a", "b"]}
    for key in (ANN, BOB, ANN_2):
        await keyed.client.post("/predict", json=question, headers=bearer(key))
    first, second = keyed.scorer.contexts  # what the other key of Ann asked was known
    assert (first.tenant, second.tenant) == ("ann", "bob")
    assert first.digest != second.digest
    assert TENANT.get() == "default"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/generate", {"preferences": [], "prompt": "?", "n": 2}),
        ("/generate", {"preferences": [], "prompt": "?", "n": 2, "stream": True}),
        ("/v1/completions", {"prompt": "?"}),
        ("/v1/completions", {"prompt": "?", "stream": True}),
        ("/v1/chat/completions", CHAT),
        ("/v1/chat/completions", {**CHAT, "stream": True}),
        ("/v1/completions", {"prompt": "?", "group_id": "town"}),
        ("/v1/chat/completions", {**CHAT, "group_id": "town", "stream": True}),
    ],
)  # fmt: skip
async def test_every_draw_is_salted_with_its_tenant(
    keyed: Bench, path: str, body: dict[str, Any]
) -> None:
    for key, tenant in ((ANN, "ann"), (BOB, "bob"), (ANN_2, "ann")):
        await keyed.client.put("/groups/town", json=GROUP, headers=bearer(key))
        keyed.generator.salts.clear()
        response = await keyed.client.post(path, json=body, headers=bearer(key))
        assert response.status_code == 200, response.text
        assert set(keyed.generator.salts) == {cache_salt(tenant)}
        assert keyed.generator.salts


async def test_metrics_name_no_tenant(keyed: Bench) -> None:
    await keyed.client.get("/groups", headers=bearer(ANN))
    await keyed.client.get("/groups")
    page = (await keyed.client.get("/metrics", headers=bearer(BOB))).text
    assert 'code="unauthorized"' in page
    assert "tenant" not in page
    for word in ("ann", "bob", *KEYS.replace(",", ":").split(":")):
        assert f'"{word}"' not in page


def test_a_ring_finds_its_keys_and_no_others() -> None:
    made = [new_key(f"tenant-{i}") for i in range(50)]
    ring = KeyRing([listed for _, listed in made])
    for key, listed in made:
        assert ring.find(key.encode()) == listed
    assert ring.find(new_key("tenant-1")[0].encode()) is None
    assert ring.find(b"") is None
    names = {caller_of(listed) for _, listed in made}
    assert len(names) == 50
    assert not any(listed.digest.hex()[:16] in name for _, listed in made for name in names)


async def test_the_document_says_where_a_key_is_needed(keyed: Bench, bench: Bench) -> None:
    document = (await keyed.client.get("/openapi.json", headers=bearer(ANN))).json()
    assert document["security"] == [{"bearer": []}]
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    for path, methods in document["paths"].items():
        for operation in methods.values():
            assert (operation.get("security") == []) == is_open(path)
            errors = operation["responses"]
            assert {"414", "431"} <= set(errors)
            assert ("401" in errors) == ("429" in errors) == (not is_open(path))
    unkeyed = (await bench.client.get("/openapi.json")).json()
    assert unkeyed["security"] == [{"bearer": []}, {}]
    assert unkeyed["components"]["securitySchemes"] == document["components"]["securitySchemes"]
    for path, methods in unkeyed["paths"].items():
        for method, operation in methods.items():
            same = document["paths"][path][method]
            assert operation["responses"].keys() == same["responses"].keys()
            assert operation.get("security") == same.get("security")
