"""What the REST contract says of preferences and groups, on the released module over a socket."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import httpx
import pytest
from fixtures.wire import check

SHARE = {"question": "Parks or roads?", "options": ["Parks", "Roads"], "distribution": [0.3, 0.7]}
COUNTS = {"question": "Parks or roads?", "options": ["Parks", "Roads"], "counts": [120, 280]}
RATING = {"prompt": "A day off?", "response": "A quiet lake.", "score": 0.8, "weight": 41}
SCALED = {"prompt": "A day off?", "response": "A quiet lake.", "score": 4.2, "scale": [1, 5]}
COMPARISON = {"prompt": "A day off?", "chosen": "A quiet lake.", "rejected": "A loud city."}
LONG = "word " * 400


@pytest.fixture(scope="module", params=["", "/v1"], ids=["native", "v1"])
def client(service_url: str, request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service_url + request.param, timeout=60) as opened:
        yield opened


@pytest.fixture
def new_id() -> str:
    return f"rest-{uuid.uuid4().hex}"


def group(*preferences: Any, **more: Any) -> dict[str, Any]:
    return {"name": "Rest", "preferences": list(preferences), **more}


def refused(response: httpx.Response, status: int, pointer: str | None = None) -> dict[str, Any]:
    """The problem, which names the field."""
    check(response)
    assert response.status_code == status, response.text
    found: dict[str, Any] = response.json()
    if pointer is not None:
        assert found["errors"][0]["pointer"] == pointer, found
    return found


def test_three_kinds_are_told_by_their_keys(client: httpx.Client, new_id: str) -> None:
    body = group(SHARE, COUNTS, RATING, SCALED, COMPARISON)
    made = client.put(f"/groups/{new_id}", json=body).json()
    assert (made["preference_count"], made["context_tokens"]) == (5, 8)
    found = client.get(f"/groups/{new_id}?include=preferences").json()["preferences"]
    assert found[:3] == [SHARE, COUNTS, RATING]
    assert found[3]["score"] == pytest.approx(0.8)
    assert found[4] == COMPARISON


@pytest.mark.parametrize(
    ("preference", "pointer"),
    [
        ({**SHARE, "extra": 1}, "/preferences/0/extra"),
        ({"prompt": "Only a prompt."}, "/preferences/0"),
        ({**RATING, "chosen": "x"}, "/preferences/0"),
        ({**SHARE, "distribution": [0.3, 0.6]}, "/preferences/0/distribution"),
        ({**SHARE, "distribution": [0.3, 0.7, 0.0]}, "/preferences/0/distribution"),
        ({**SHARE, "distribution": [-0.1, 1.1]}, "/preferences/0/distribution/0"),
        ({**SHARE, "options": ["Parks", " Parks"]}, "/preferences/0/options"),
        ({**SHARE, "options": ["Parks"], "distribution": [1.0]}, "/preferences/0/options"),
        ({**SHARE, "counts": [1, 2]}, "/preferences/0/counts"),
        ({**RATING, "score": 1.5}, "/preferences/0/score"),
        ({**SCALED, "score": 6}, "/preferences/0/score"),
        ({**RATING, "response": LONG}, "/preferences/0/response"),
        ({**SHARE, "question": LONG}, "/preferences/0/question"),
        ({**COMPARISON, "rejected": "A quiet lake."}, "/preferences/0/rejected"),
    ],
)
def test_a_wrong_preference_is_422_at_its_place(
    client: httpx.Client, new_id: str, preference: dict[str, Any], pointer: str
) -> None:
    refused(client.put(f"/groups/{new_id}", json=group(preference)), 422, pointer)
    assert client.get(f"/groups/{new_id}").status_code == 404


@pytest.mark.parametrize("shares", [[0.295, 0.7], [0.305, 0.7], [0, 1], [1.0, 0.0]])
def test_distributions_within_a_hundredth_are_renormalised(
    client: httpx.Client, new_id: str, shares: list[float]
) -> None:
    body = group({**SHARE, "distribution": shares})
    assert client.put(f"/groups/{new_id}", json=body).status_code == 201
    [kept] = client.get(f"/groups/{new_id}?include=preferences").json()["preferences"]
    assert sum(kept["distribution"]) == pytest.approx(1, abs=1e-9)


def test_a_group_may_have_no_preferences(client: httpx.Client, new_id: str) -> None:
    made = client.put(f"/groups/{new_id}", json=group()).json()
    assert (made["preference_count"], made["context_tokens"]) == (0, 0)


@pytest.mark.parametrize("token", [b"NaN", b"Infinity", b"-Infinity", b"1e999"])
def test_numbers_that_are_not_finite_are_422(
    client: httpx.Client, new_id: str, token: bytes
) -> None:
    body = (
        b'{"name": "x", "preferences": [{"prompt": "p", "response": "r", "score": ' + token + b"}]}"
    )
    headers = {"Content-Type": "application/json"}
    response = client.put(f"/groups/{new_id}", content=body, headers=headers)
    refused(response, 422, "/preferences/0/score")


def test_over_a_cap_is_413_and_below_one_is_422(client: httpx.Client, new_id: str) -> None:
    many = [f"option {index}" for index in range(65)]
    wide = {"question": "Which?", "options": many, "counts": [1] * 65}
    path = f"/groups/{new_id}"
    refused(client.put(path, json=group(wide)), 413, "/preferences/0/options")
    refused(client.put(path, json=group(*[RATING] * 2_001)), 413, "/preferences")
    refused(client.get("/groups?limit=1001"), 413, "/limit")
    refused(client.get("/groups?limit=0"), 422, "/limit")
    headers = {"Content-Type": "application/json"}
    refused(client.put(path, content=b" " * 8_000_001, headers=headers), 413)
    assert client.put(path, json=group(*[RATING] * 2_000)).status_code == 201
    refused(client.post(f"{path}/preferences", json={"preferences": [RATING]}), 413)


def test_creation(client: httpx.Client, new_id: str) -> None:
    sent = group(RATING, id=new_id, description="People.", metadata={"a": [1, None, {"b": 2.5}]})
    response = client.post("/groups", json=sent)
    made = response.json()
    assert response.status_code == 201
    assert response.headers["Location"].endswith(f"/groups/{new_id}")
    assert response.headers["ETag"] == '"1"'
    assert set(made) == {
        "id", "name", "description", "metadata", "version", "preference_count", "context_tokens",
        "embedder", "created_at", "updated_at",
    }  # fmt: skip
    assert (made["metadata"], made["description"]) == (sent["metadata"], "People.")
    assert datetime.fromisoformat(made["created_at"]).tzinfo is not None
    origin = client.base_url.copy_with(raw_path=response.headers["Location"].encode())
    assert client.get(origin).json() == made
    assert refused(client.post("/groups", json=sent), 409)["code"] == "group_exists"
    without = client.post("/groups", json=group())
    assert without.json()["id"].startswith("grp_")


def test_the_same_key_creates_once(client: httpx.Client, new_id: str) -> None:
    key = {"Idempotency-Key": f"key of {new_id}"}
    first = client.post("/groups", json=group(RATING), headers=key)
    again = client.post("/groups", json=group(RATING), headers=key)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    other = client.post("/groups", json=group(COMPARISON), headers=key)
    assert refused(other, 422)["code"] == "idempotency_conflict"


def test_a_version_is_never_used_twice(client: httpx.Client, new_id: str) -> None:
    path = f"/groups/{new_id}"
    versions = [client.put(path, json=group()).json()["version"]]
    versions.append(client.put(path, json=group(RATING)).json()["version"])
    appended = client.post(f"{path}/preferences", json={"preferences": [SHARE]})
    versions.append(appended.json()["version"])
    assert (appended.status_code, appended.headers["ETag"]) == (200, f'"{versions[-1]}"')
    assert client.delete(path).status_code == 204
    versions.append(client.post("/groups", json=group(id=new_id)).json()["version"])
    assert all(isinstance(version, int) for version in versions)
    assert versions == sorted(set(versions))


def test_conditions(client: httpx.Client, new_id: str) -> None:
    path = f"/groups/{new_id}"
    new = client.put(path, json=group(), headers={"If-None-Match": "*"})
    assert new.status_code == 201
    refused(client.put(path, json=group(), headers={"If-None-Match": "*"}), 412)
    tag = new.headers["ETag"]
    assert client.put(path, json=group(), headers={"If-Match": tag}).status_code == 200
    for method, where in (("PUT", path), ("POST", f"{path}/preferences"), ("DELETE", path)):
        body = {"json": group() if method == "PUT" else {"preferences": []}}
        if method == "DELETE":
            body = {}
        refused(client.request(method, where, headers={"If-Match": tag}, **body), 412)  # type: ignore[arg-type]
    now = client.get(path).headers["ETag"]
    unchanged = client.get(path, headers={"If-None-Match": now})
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert unchanged.headers["ETag"] == now
    assert client.get(path, headers={"If-None-Match": tag}).status_code == 200
    refused(client.put(f"/groups/{new_id}x", json=group(), headers={"If-Match": "*"}), 412)


def test_pages(client: httpx.Client, new_id: str) -> None:
    for index in range(5):
        client.put(f"/groups/{new_id}-{index}", json=group()).raise_for_status()
    seen: list[str] = []
    cursor = None
    while True:
        params = {"limit": "2"} if cursor is None else {"limit": "2", "cursor": cursor}
        page = client.get("/groups", params=params).json()
        assert set(page) == {"data", "has_more", "next_cursor"}
        assert len(page["data"]) <= 2
        seen += [found["id"] for found in page["data"]]
        cursor = page["next_cursor"]
        assert (cursor is not None) == page["has_more"]
        if cursor is None:
            break
    assert seen == sorted(set(seen))
    assert {f"{new_id}-{index}" for index in range(5)} <= set(seen)
    refused(client.get("/groups?cursor=nonsense"), 422, "/cursor")


def test_what_is_not_there_is_404(client: httpx.Client, new_id: str) -> None:
    for method, path, body in (
        ("GET", f"/groups/{new_id}", None),
        ("DELETE", f"/groups/{new_id}", None),
        ("POST", f"/groups/{new_id}/preferences", {"preferences": []}),
        ("POST", "/predict", {"group_id": new_id, "question": "q?", "options": ["a", "b"]}),
        ("POST", "/score", {"group_id": new_id, "prompt": "q?", "responses": ["a"]}),
        ("POST", "/generate", {"group_ids": [new_id], "prompt": "q?"}),
    ):
        response = client.request(method, path, json=body)
        assert refused(response, 404)["code"] == "group_not_found", path


def test_a_page_holds_fifty_unless_told_otherwise(client: httpx.Client, new_id: str) -> None:
    for index in range(51):
        client.put(f"/groups/{new_id}-{index}", json=group()).raise_for_status()
    page = client.get("/groups").json()
    assert len(page["data"]) == 50
    assert page["has_more"]
    assert len(client.get("/groups?limit=1000").json()["data"]) > 50
