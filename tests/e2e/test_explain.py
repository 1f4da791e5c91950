"""Explanations on the real module, in every kind of bank: what really registering would answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import httpx
import numpy as np
import pytest
from fixtures.own_groups import Town, open_real, question, register, sqlite_url

TOLERANCE = 1e-6
RATED = {"prompt": "What would make our town better?", "response": "A night bus.", "score": 0.8}
COMPARED = {"prompt": "A good evening?", "chosen": "A choir.", "rejected": "Silence."}
ANSWERED = question(3)  # by every group
NEW = {"question": "Should the bells ring at noon?", "options": ["Yes", "On Sundays", "No"]}

Bank = Literal["released", "own", "both", "none"]


async def ask(client: httpx.AsyncClient, *questions: Any, **body: Any) -> list[dict[str, Any]]:
    response = await client.post("/predict", json={"questions": questions, **body})
    assert response.status_code == 200, response.text
    found: list[dict[str, Any]] = response.json()["predictions"]
    return found


def without(prediction: dict[str, Any], index: int) -> list[float]:
    [entry] = [e for e in prediction["explanation"] if e["index"] == index]
    found: list[float] = entry["distribution_without"]
    return found


def close(found: Sequence[float], wanted: Sequence[float]) -> None:
    np.testing.assert_allclose(found, wanted, atol=TOLERANCE)


@pytest.mark.parametrize("bank", ["released", "own", "both", "none"])
async def test_it_is_what_a_group_without_the_preference_is_answered(
    tmp_path: Path, bank: Bank
) -> None:
    town = Town.of(4)
    whole = [*town.preferences(0, range(5)), RATED, COMPARED]
    async with open_real(sqlite_url(tmp_path), bank, result_cache_mb=4) as client:
        for group in (1, 2):
            await register(client, f"g{group}", town.body(group, range(7)))
        # A group that says the same but for one preference is no other group without it.
        await register(client, "twin", {"name": "t", "preferences": whole[1:]})
        await register(client, "mine", {"name": "m", "preferences": whole})
        stored = await ask(client, ANSWERED, NEW, group_id="mine", explain=True)
        inline = await ask(client, ANSWERED, NEW, preferences=whole, explain=True)
        both = await ask(client, ANSWERED, NEW, group_ids=["g1", "mine"], explain=True)
        for one, two in zip(stored, both[2:], strict=True):
            assert [e["index"] for e in one["explanation"]] == [
                e["index"] for e in two["explanation"]
            ]
            close(one["prior"], two["prior"])
        for index in range(len(whole)):
            less = [*whole[:index], *whole[index + 1 :]]
            sent = await ask(client, ANSWERED, NEW, preferences=less)
            for one, wanted in zip(inline, sent, strict=True):
                close(without(one, index), wanted["distribution"])
        for index in range(len(whole)):
            less = [*whole[:index], *whole[index + 1 :]]
            await register(client, "mine", {"name": "m", "preferences": less})
            registered = await ask(client, ANSWERED, NEW, group_id="mine")
            for one, two, wanted in zip(stored, both[2:], registered, strict=True):
                close(without(one, index), wanted["distribution"])
                close(without(two, index), wanted["distribution"])
        await register(client, "mine", {"name": "m", "preferences": []})
        nobody = await ask(client, ANSWERED, NEW, group_id="mine")
        for one, wanted in zip(stored, nobody, strict=True):
            close(one["prior"], wanted["distribution"])


async def test_a_second_witness_weakens_the_first(tmp_path: Path) -> None:
    """What a group said twice is said once without one of the two: both count the same, and less
    than the same preference alone."""
    like = {"question": "More benches in the park?", "options": ["Yes", "No"]}
    said = {**like, "distribution": [0.95, 0.05]}
    rest = Town.of(1).preferences(0, range(4))
    asked = {"question": "More benches in the town park?", "options": ["Yes", "No"]}
    async with open_real(sqlite_url(tmp_path), "released") as client:
        [once] = await ask(client, asked, preferences=[said, *rest], explain=True)
        [twice] = await ask(client, asked, preferences=[said, *rest, said], explain=True)
    assert once["explanation"][0]["index"] == 0
    assert once["explanation"][0]["influence"][0] > 0.02
    strength = {e["index"]: e["strength"] for e in twice["explanation"]}
    assert strength[0] == pytest.approx(strength[5], abs=TOLERANCE)
    assert strength[0] < once["explanation"][0]["strength"]


async def test_a_group_that_answers_as_expected_explains_nothing(tmp_path: Path) -> None:
    """The module is exact here: without a departure from what is expected it says the prior."""
    async with open_real(sqlite_url(tmp_path), "none") as client:
        even = [{**question(n), "distribution": [1 / 3] * 3} for n in range(4)]
        [found] = await ask(client, NEW, preferences=even, explain=True)
    close(found["distribution"], found["prior"])
    assert max(e["strength"] for e in found["explanation"]) < TOLERANCE


async def test_others_are_answered_while_a_large_group_is_explained(tmp_path: Path) -> None:
    town = Town.of(1)
    large = [
        {**p, "question": f"{p['question']} ({n})"}
        for n in range(4)
        for p in town.preferences(0, range(24))
    ]
    async with open_real(sqlite_url(tmp_path), "released") as client:
        await ask(client, NEW, preferences=large)
        small = town.preferences(0, range(3))
        await ask(client, NEW, preferences=small)
        started = time.monotonic()
        long = asyncio.create_task(ask(client, NEW, preferences=large, explain=True))
        waits = []
        while not long.done():
            since = time.monotonic()
            await ask(client, NEW, preferences=small)
            waits.append(time.monotonic() - since)
        took = time.monotonic() - started
        [found] = await long
    assert len(found["explanation"]) == 96
    assert len(waits) > 10
    # Not one of them waited for the whole of it, or for a large part.
    assert max(waits) < took / 4


async def test_an_explanation_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    large = [
        {"prompt": "A day off?", "response": f"Number {n}.", "score": (n % 10) / 10}
        for n in range(250)
    ]
    async with open_real(sqlite_url(tmp_path), "released", request_timeout_s=1.0) as client:
        body = {"questions": [NEW], "preferences": large}
        # The first time embeds 250 texts, which a busy machine does in more than a second.
        tries = [await client.post("/predict", json=body)]
        while tries[-1].status_code == 504 and len(tries) < 30:
            tries.append(await client.post("/predict", json=body))
        assert tries[-1].status_code == 200, tries[-1].text
        since = time.monotonic()
        response = await client.post("/predict", json={**body, "explain": True})
        assert response.status_code == 504, response.text
        assert time.monotonic() - since < 3
        since = time.monotonic()
        await ask(client, NEW, preferences=[])
        assert time.monotonic() - since < 1
