"""Groups over HTTP: life, versions, conditions, idempotency, listing."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

import pytest
from fixtures.service_app import COMPARISON, GROUP, RATING, SHARE, Bench, open_bench

from service.settings import Settings


@pytest.mark.parametrize("prefix", ["", "/v1"])
async def test_a_group_is_created_read_replaced_and_removed(bench: Bench, prefix: str) -> None:
    client = bench.client
    created = await client.post(f"{prefix}/groups", json={**GROUP, "description": "A town."})
    assert created.status_code == 201
    assert created.headers["Location"] == f"{prefix}/groups/town"
    assert created.headers["ETag"] == '"1"'
    body = created.json()
    assert datetime.fromisoformat(body.pop("created_at")).tzinfo is not None
    assert datetime.fromisoformat(body.pop("updated_at")).tzinfo is not None
    assert body == {
        "id": "town",
        "name": "Town",
        "description": "A town.",
        "metadata": None,
        "version": 1,
        "preference_count": 3,
        "context_tokens": 6,
        "embedder": "fake@0123456789ab",
    }
    got = await client.get(created.headers["Location"])
    assert got.json() == created.json()
    assert got.headers["ETag"] == '"1"'
    replaced = await client.put(f"{prefix}/groups/town", json={"name": "New", "preferences": []})
    assert (replaced.status_code, replaced.headers["ETag"]) == (200, '"2"')
    assert replaced.json()["preference_count"] == 0
    assert replaced.json()["description"] is None
    removed = await client.delete(f"{prefix}/groups/town")
    assert (removed.status_code, removed.content) == (204, b"")
    assert (await client.get(f"{prefix}/groups/town")).status_code == 404
    assert (await client.delete(f"{prefix}/groups/town")).status_code == 404
    again = await client.put(f"{prefix}/groups/town", json={"name": "Newer", "preferences": []})
    assert again.status_code == 201
    assert again.headers["Location"] == f"{prefix}/groups/town"
    assert again.json()["version"] > 2


async def test_an_id_is_made_when_none_is_given(bench: Bench) -> None:
    first = await bench.add(id=None)
    second = await bench.add(id=None)
    assert first["id"] != second["id"]
    assert (await bench.client.get(f"/groups/{first['id']}")).status_code == 200


async def test_an_id_that_exists_is_a_conflict(bench: Bench) -> None:
    await bench.add()
    response = await bench.client.post("/groups", json={**GROUP, "name": "Other"})
    assert (response.status_code, response.json()["code"]) == (409, "group_exists")
    assert (await bench.client.get("/groups/town")).json()["name"] == "Town"


async def test_preferences_come_back_as_they_could_be_sent_again(bench: Bench) -> None:
    preferences = [
        {**SHARE, "distribution": [0.5, 0.3, 0.195]},
        {"question": "Why?", "options": ["a", "b"], "counts": [30, 10]},
        {**RATING, "score": 4, "scale": [1, 5], "weight": 12},
        {**COMPARISON, "weight": 2.5},
    ]
    await bench.add(preferences=preferences)
    got = (await bench.client.get("/groups/town?include=preferences")).json()["preferences"]
    assert math.isclose(sum(got[0]["distribution"]), 1, abs_tol=1e-12)
    assert math.isclose(got[0]["distribution"][0], 0.5 / 0.995)
    assert got[1:] == [
        preferences[1],
        {**RATING, "score": 0.75, "weight": 12},
        preferences[3],
    ]
    again = await bench.client.put("/groups/town", json={"name": "x", "preferences": got})
    assert again.status_code == 200
    assert "preferences" not in again.json()
    kept = (await bench.client.get("/groups/town?include=preferences")).json()["preferences"]
    assert kept == got


async def test_exact_zeros_and_ones_are_fine(bench: Bench) -> None:
    group = await bench.add(preferences=[{**SHARE, "distribution": [0, 1, 0]}])
    assert group["context_tokens"] == 3


async def test_a_sum_within_a_hundredth_is_taken(bench: Bench) -> None:
    question = {"question": "Why?", "options": ["a", "b"]}
    for index, values in enumerate([[0.3, 0.69], [0.31, 0.7], [0.333, 0.66]]):
        await bench.add(id=f"g{index}", preferences=[{**question, "distribution": values}])


async def test_appending_adds_at_the_end_and_makes_a_version(bench: Bench) -> None:
    await bench.add(preferences=[SHARE])
    response = await bench.client.post(
        "/groups/town/preferences", json={"preferences": [RATING, COMPARISON]}
    )
    assert (response.status_code, response.headers["ETag"]) == (200, '"2"')
    assert response.json()["preference_count"] == 3
    got = (await bench.client.get("/groups/town?include=preferences")).json()["preferences"]
    assert [sorted(p) for p in got] == [sorted(SHARE), sorted(RATING), sorted(COMPARISON)]


async def test_appending_over_the_cap_writes_nothing(bench: Bench) -> None:
    await bench.add(preferences=[SHARE, RATING, COMPARISON])
    response = await bench.client.post(
        "/groups/town/preferences", json={"preferences": [RATING] * 3}
    )
    assert (response.status_code, response.json()["code"]) == (413, "input_too_large")
    assert response.json()["errors"][0]["pointer"] == "/preferences"
    assert (await bench.client.get("/groups/town")).json()["version"] == 1


async def test_a_context_over_the_cap_writes_nothing(settings: Settings) -> None:
    small = settings.model_copy(update={"max_context_tokens": 6})
    async with open_bench(small) as bench:
        made = await bench.add()
        assert made["context_tokens"] == 6
        more, asked = {"preferences": [RATING]}, {"prompt": "Why?", "responses": ["So."]}
        large = {"name": "Town", "preferences": [SHARE, SHARE, RATING]}
        for method, path, body in (
            ("POST", "/groups", large),
            ("PUT", "/groups/town", large),
            ("PUT", "/groups/village", large),
            ("POST", "/groups/town/preferences", more),
            ("POST", "/score", {"preferences": large["preferences"], **asked}),
        ):
            response = await bench.client.request(method, path, json=body)
            assert response.status_code == 413, path
            assert [e["pointer"] for e in response.json()["errors"]] == ["/preferences"]
        assert await bench.stored() == [made]


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ('"1"', 200), ("*", 200), ('"7", "1"', 200), ('"1", "2"', 200), ('W/"1", "1"', 200),
        ('"2"', 412), ('W/"1"', 412), ('"x"', 412), ('""', 412), ('"7", "8"', 412),
        ("1", 422), ('"1', 422), ("nonsense", 422),
    ],
)  # fmt: skip
async def test_if_match_guards_every_write(bench: Bench, header: str, status: int) -> None:
    writes: list[tuple[str, str, Any]] = [
        ("PUT", "", {"name": "x", "preferences": []}),
        ("POST", "/preferences", {"preferences": [RATING]}),
        ("DELETE", "", None),
    ]
    for index, (method, path, body) in enumerate(writes):
        await bench.add(id=f"g{index}")
        response = await bench.client.request(
            method, f"/groups/g{index}{path}", json=body, headers={"If-Match": header}
        )
        expected = 204 if method == "DELETE" and status == 200 else status
        assert response.status_code == expected, response.text
        kept = await bench.client.get(f"/groups/g{index}")
        if status >= 400:
            assert kept.json()["version"] == 1
            code = "version_mismatch" if status == 412 else "invalid_input"
            assert response.json()["code"] == code


async def test_if_match_on_a_group_that_is_not_there(bench: Bench) -> None:
    body = {"name": "x", "preferences": []}
    for header in ('"1"', "*", '"1", "2"'):
        response = await bench.client.put("/groups/a", json=body, headers={"If-Match": header})
        assert response.status_code == 412
    assert await bench.stored() == []


async def test_if_none_match_only_creates(bench: Bench) -> None:
    body = {"name": "x", "preferences": []}
    headers = {"If-None-Match": "*"}
    assert (await bench.client.put("/groups/a", json=body, headers=headers)).status_code == 201
    second = await bench.client.put("/groups/a", json=body, headers=headers)
    assert (second.status_code, second.json()["code"]) == (412, "version_mismatch")
    other = await bench.client.put("/groups/a", json=body, headers={"If-None-Match": '"1"'})
    assert other.status_code == 422


@pytest.mark.parametrize(
    ("header", "status"),
    [('"1"', 304), ('W/"1"', 304), ('"0", "1"', 304), ("*", 304), ('"2"', 200), ('"x"', 200)],
)
async def test_if_none_match_saves_a_read(bench: Bench, header: str, status: int) -> None:
    await bench.add()
    response = await bench.client.get("/groups/town", headers={"If-None-Match": header})
    assert (response.status_code, response.headers["ETag"]) == (status, '"1"')
    assert bool(response.content) == (status == 200)


async def test_the_id_of_the_address_rules(bench: Bench) -> None:
    body = {"name": "x", "preferences": []}
    assert (await bench.client.put("/groups/a", json={**body, "id": "a"})).status_code == 201
    other = await bench.client.put("/groups/a", json={**body, "id": "b"})
    assert other.json()["errors"][0]["pointer"] == "/id"
    for path in ("a%20b", "a" * 129, "%00", "é"):
        bad = await bench.client.put(f"/groups/{path}", json=body)
        assert bad.json()["errors"][0]["pointer"] == "/group_id", path
        assert (await bench.client.get(f"/groups/{path}")).status_code == 404


async def test_an_idempotency_key_creates_once(bench: Bench) -> None:
    body = {**GROUP, "id": None}
    headers = {"Idempotency-Key": "first try"}
    first = await bench.client.post("/groups", json=body, headers=headers)
    again = await bench.client.post("/groups", json=dict(reversed(body.items())), headers=headers)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert again.headers["ETag"] == first.headers["ETag"]
    assert again.headers["Location"] == first.headers["Location"]
    other = await bench.client.post("/groups", json={**body, "name": "y"}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_conflict")
    assert len(await bench.stored()) == 1
    for key in (" ", "k" * 256):
        bad = await bench.client.post("/groups", json=body, headers={"Idempotency-Key": key})
        assert bad.json()["errors"][0]["pointer"] == "/Idempotency-Key"


async def test_a_failed_create_leaves_its_key_free(bench: Bench) -> None:
    headers = {"Idempotency-Key": "k"}
    bad = await bench.client.post("/groups", json={**GROUP, "name": ""}, headers=headers)
    assert bad.status_code == 422
    good = await bench.client.post("/groups", json=GROUP, headers=headers)
    assert good.status_code == 201


async def test_a_listing_goes_page_by_page(bench: Bench) -> None:
    for index in range(7):
        await bench.add(id=f"g{index}", preferences=[])
    seen, cursor = [], None
    for expected in (3, 3, 1):
        params: dict[str, Any] = {"limit": 3} | ({"cursor": cursor} if cursor else {})
        page = (await bench.client.get("/groups", params=params)).json()
        assert len(page["data"]) == expected
        seen += [group["id"] for group in page["data"]]
        cursor = page["next_cursor"]
        assert page["has_more"] == (cursor is not None) == (expected == 3)
    assert seen == [f"g{index}" for index in range(7)]


async def test_metadata_is_kept_as_it_is(bench: Bench) -> None:
    metadata = {"a": [1, 2.5, None, True, {"b": "é"}], "": ""}
    assert (await bench.add(metadata=metadata))["metadata"] == metadata
    assert (await bench.client.get("/groups/town")).json()["metadata"] == metadata


async def test_metadata_may_hold_values_on_their_last_level(bench: Bench) -> None:
    metadata: dict[str, Any] = {"value": 1}
    for _ in range(7):
        metadata = {"more": metadata}
    assert (await bench.add(metadata=metadata))["metadata"] == metadata
    refused = await bench.client.put(
        "/groups/town", json={"name": "Town", "preferences": [], "metadata": {"more": metadata}}
    )
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["pointer"] == "/metadata"
