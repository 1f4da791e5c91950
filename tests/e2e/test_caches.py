"""The real service with and without a cache of results: equal answers, new versions at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from fixtures.serve_process import serving

QUESTIONS = [
    {"question": "Should the library open at night?", "options": ["Yes", "No", "Unsure"]},
    {"question": "How should people get to work?", "options": ["By car", "By bus"]},
]


def group(first: int) -> dict[str, Any]:
    counts = [first, 100 - first]
    preference = {"question": "How should the town spend its surplus?", "counts": counts}
    return {"name": "Town", "preferences": [{**preference, "options": ["On parks", "On roads"]}]}


@pytest.fixture(scope="module", params=["sqlite", "redis"])
def replicas(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[httpx.Client, httpx.Client]]:
    """One that keeps results and one that keeps nothing of groups, on one store."""
    folder: Path = tmp_path_factory.mktemp("caches")
    store = {}
    if request.param == "redis":
        store["GPO_STORE_URL"] = request.getfixturevalue("redis_server").url
    nothing = {"GPO_GROUP_CACHE_MB": "0"}
    with (
        serving(folder, GPO_RESULT_CACHE_MB="8", **store) as kept,
        serving(folder, **store, **nothing) as plain,
        httpx.Client(base_url=kept.url, timeout=60) as one,
        httpx.Client(base_url=plain.url, timeout=60) as other,
    ):
        yield one, other


def predict(client: httpx.Client, group_id: str) -> tuple[int, list[list[float]]]:
    answer = client.post("/predict", json={"group_id": group_id, "questions": QUESTIONS})
    assert answer.status_code == 200, answer.text
    found = answer.json()["predictions"]
    (version,) = {p["group_version"] for p in found}
    return version, [p["distribution"] + p["std"] for p in found]


def test_cached_answers_equal_uncached_ones_and_follow_every_write(
    replicas: tuple[httpx.Client, httpx.Client],
) -> None:
    kept, plain = replicas
    before: list[list[float]] = []
    for version, first in enumerate((10, 90, 50), 1):
        # Written through the replica that keeps nothing: the other one learns it from the store.
        assert plain.put("/groups/town", json=group(first)).status_code in (200, 201)
        computed = predict(kept, "town")
        assert computed[0] == version
        assert predict(kept, "town") == computed
        uncached = predict(plain, "town")
        assert uncached[0] == version
        for a, b in zip(computed[1], uncached[1], strict=True):
            np.testing.assert_allclose(a, b, atol=1e-6)
        assert computed[1] != before
        before = computed[1]
    assert plain.delete("/groups/town").status_code == 204
    gone = kept.post("/predict", json={"group_id": "town", "questions": QUESTIONS})
    assert gone.status_code == 404
