"""/predict with `explain: true` over HTTP: the shape, and when it is there."""

from __future__ import annotations

from typing import Any

import pytest
from fixtures.service_app import COMPARISON, RATING, SHARE, Bench

QUESTION = {"question": "Close the main street to cars?", "options": ["Yes", "Weekends", "No"]}
OTHER = {"question": "Build a pool?", "options": ["Yes", "No"]}
ENTRY = {"index", "kind", "preference", "distribution_without", "influence", "strength"}


async def post(bench: Bench, **body: Any) -> list[dict[str, Any]]:
    response = await bench.client.post("/predict", json=body)
    assert response.status_code == 200, response.text
    found: list[dict[str, Any]] = response.json()["predictions"]
    return found


@pytest.mark.parametrize("prefix", ["", "/v1"])
async def test_an_explanation_has_the_promised_shape(bench: Bench, prefix: str) -> None:
    await bench.add()
    body = {"group_id": "town", "explain": True, **QUESTION}
    response = await bench.client.post(f"{prefix}/predict", json=body)
    [found] = response.json()["predictions"]
    assert sum(found["prior"]) == pytest.approx(1)
    said = {
        0: ("share", SHARE["question"]),
        1: ("rating", "Describe a good holiday. – A quiet lake."),
        2: ("comparison", "Describe a good meal. – Soup."),
    }
    assert {e["index"]: (e["kind"], e["preference"]) for e in found["explanation"]} == said
    for entry in found["explanation"]:
        assert set(entry) == ENTRY
        without = dict(zip(found["options"], entry["distribution_without"], strict=True))
        for option, share, change in zip(
            found["options"], found["distribution"], entry["influence"], strict=True
        ):
            assert share - without[option] == pytest.approx(change, abs=1e-12)
    assert "explain_ms" in response.json()["timings"]
    assert "explain" in response.headers["Server-Timing"]


@pytest.mark.parametrize("more", [{}, {"explain": False}])
async def test_without_being_asked_for_there_is_none(bench: Bench, more: dict[str, bool]) -> None:
    [found] = await post(bench, preferences=[SHARE], **more, **QUESTION)
    assert not {"prior", "explanation"} & set(found)


async def test_inline_stored_and_several_groups_and_questions(bench: Bench) -> None:
    await bench.add()
    await bench.add(id="city", preferences=[RATING, COMPARISON])
    both = await post(bench, group_ids=["city", "town"], questions=[OTHER, QUESTION], explain=True)
    assert [len(found["explanation"]) for found in both] == [2, 2, 3, 3]
    [inline] = await post(bench, preferences=[RATING, COMPARISON], explain=True, **QUESTION)
    assert inline["explanation"] == both[1]["explanation"]
    assert inline["prior"] == both[1]["prior"] == both[3]["prior"]
    [empty] = await post(bench, preferences=[], explain=True, **QUESTION)
    assert empty["explanation"] == []
    assert empty["prior"] == empty["distribution"]


async def test_the_cap_names_the_field_and_the_setting_is_the_one_of_the_server(
    bench: Bench,
) -> None:
    questions = [OTHER, QUESTION, {**OTHER, "question": "A bridge?"}]
    assert len(await post(bench, preferences=[SHARE] * 4, questions=questions, explain=True)) == 3
    body = {"preferences": [SHARE] * 5, "questions": questions, "explain": True}
    response = await bench.client.post("/predict", json=body)
    assert response.status_code == 413
    [error] = response.json()["errors"]
    assert error["pointer"] == "/explain"
    assert error["detail"] == "at most 12 preferences, each counted for each question; found 15"
    assert (await bench.client.post("/predict", json={**body, "explain": False})).is_success
