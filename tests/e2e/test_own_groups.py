"""GPO_BANK on the real service: the more groups are registered, the better for a new one."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from fakes import FakeGenerator
from fixtures.own_groups import (
    OPTIONS,
    Town,
    open_real,
    predict,
    question,
    register,
    sqlite_url,
)

from service.adapters.scoring.open import open_scoring
from service.adapters.stores.open import open_store
from service.core.contexts import Target
from service.core.domain import GroupDraft, Question, SharePreference
from service.settings import Settings
from service.wiring import Parts, build_use_cases

CONTEXT = range(8)
ASKED = range(8, 24)
EVERYTHING = range(24)
TOLERANCE = 1e-4


@pytest.fixture
def url(tmp_path: Path) -> str:
    return sqlite_url(tmp_path)


@pytest.fixture(params=["sqlite", "redis"])
def shared_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return sqlite_url(tmp_path)
    found: str = request.getfixturevalue("redis_url")
    return found


async def error(client: httpx.AsyncClient, town: Town, groups: range, asked: range) -> float:
    """Mean total variation distance of what is predicted for new groups, sent inline."""
    found = []
    for group in groups:
        known = town.preferences(group, CONTEXT)
        shares = await predict(client, asked, preferences=known)
        found.append(np.abs(shares - town.shares[group, asked]).sum(1).mean() / 2)
    return float(np.mean(found))


@pytest.mark.parametrize("bank", ["own", "both"])
async def test_the_more_groups_are_registered_the_better(url: str, bank: Any) -> None:
    town, new, errors = Town.of(48), range(40, 48), {}
    async with open_real(url, bank) as client:
        for before, registered in ((0, 0), (0, 10), (10, 40)):
            for group in range(before, registered):
                await register(client, f"g{group}", town.body(group, EVERYTHING))
            errors[registered] = await error(client, town, new, ASKED)
    mean = town.shares[:40].mean(0)
    of_mean = np.mean([np.abs(mean - town.shares[g])[ASKED].sum(1).mean() / 2 for g in new])
    assert errors[10] < 0.5 * errors[0]
    assert errors[40] < 0.95 * errors[10]
    # They are followed by likeness: far better than by their mean.
    assert errors[40] < 0.5 * of_mean


async def test_questions_that_no_group_was_asked_profit_too(url: str) -> None:
    """All groups like what is about children and dislike what is about traffic."""
    liked = [f"Should the town pay for {t} for children?" for t in _TREATS]
    disliked = [f"Should the town allow more {t} in the centre?" for t in _TRAFFIC]

    def preferences(count: int) -> list[dict[str, Any]]:
        body = {"options": ["Yes", "No"]}
        yes = [{"question": q, **body, "distribution": [0.9, 0.1]} for q in liked[:count]]
        return yes + [{"question": q, **body, "distribution": [0.1, 0.9]} for q in disliked[:count]]

    asked = [{"question": q, "options": ["Yes", "No"]} for q in (liked[6:] + disliked[6:])]
    async with open_real(url, "own") as client:
        for group in range(5):
            await register(client, f"g{group}", {"name": "g", "preferences": preferences(6)})
        response = await client.post("/predict", json={"preferences": [], "questions": asked})
    yes = [p["distribution"][0] for p in response.json()["predictions"]]
    assert min(yes[:2]) > 0.6
    assert max(yes[2:]) < 0.4


async def test_ratings_of_own_groups_carry_over(url: str) -> None:
    texts = ("A bus that runs all night.", "Quiet hours from nine in the evening.")
    prompt = "What would make our town better?"
    async with open_real(url, "own") as client:
        for n, scores in enumerate([(0.9, 0.2), (0.95, 0.1), (0.85, 0.15)]):
            rated = [
                {"prompt": prompt, "response": text, "score": score}
                for text, score in zip(texts, scores, strict=True)
            ]
            await register(client, f"g{n}", {"name": "g", "preferences": rated})
        body = {"preferences": [], "prompt": prompt, "responses": [*texts, "Night buses, please."]}
        [found] = (await client.post("/score", json=body)).json()["scores"]
    scores = [result["score"] for result in found["results"]]
    assert scores[0] > 0.75
    assert scores[1] < 0.3
    assert scores[2] > scores[1] + 0.1


@pytest.mark.parametrize("bank", ["released", "none"])
async def test_without_a_bank_of_own_groups_they_tell_nothing(url: str, bank: Any) -> None:
    town = Town.of(6)
    async with open_real(url, bank) as client:
        before = await predict(client, ASKED, preferences=town.preferences(5, CONTEXT))
        for group in range(5):
            await register(client, f"g{group}", town.body(group, EVERYTHING))
        after = await predict(client, ASKED, preferences=town.preferences(5, CONTEXT))
        empty = await predict(client, ASKED, preferences=[])
    assert after == pytest.approx(before, abs=1e-6)
    if bank == "none":
        assert empty == pytest.approx(np.full_like(empty, 1 / len(OPTIONS)), abs=1e-5)
    else:
        assert np.abs(empty - 1 / len(OPTIONS)).max() > 0.05


async def test_own_knows_nothing_of_the_released_figures(url: str) -> None:
    async with open_real(url, "own") as client:
        empty = await predict(client, ASKED, preferences=[])
    assert empty == pytest.approx(np.full_like(empty, 1 / len(OPTIONS)), abs=1e-5)


async def test_registering_a_group_does_not_change_its_own_prediction(url: str) -> None:
    """Inline or stored, appended to, or copied by another name: its row is never its own."""
    town = Town.of(9)
    mine = town.preferences(8, EVERYTHING)
    async with open_real(url, "own") as client:
        for group in range(8):
            await register(client, f"g{group}", town.body(group, EVERYTHING))
        before = await predict(client, EVERYTHING, preferences=mine)
        short = await predict(client, EVERYTHING, preferences=mine[:12])
        await register(client, "me", {"name": "me", "preferences": mine[:12]})
        found = await predict(client, EVERYTHING, group_id="me")
        assert found == pytest.approx(short, abs=TOLERANCE)
        found = await predict(client, EVERYTHING, preferences=mine[:12])
        assert found == pytest.approx(short, abs=TOLERANCE)
        await client.post("/groups/me/preferences", json={"preferences": mine[12:]})
        await register(client, "copy", {"name": "copy", "preferences": mine[::-1]})
        for target in ({"group_id": "me"}, {"group_id": "copy"}, {"preferences": mine}):
            found = await predict(client, EVERYTHING, **target)
            assert found == pytest.approx(before, abs=TOLERANCE)
        # A part of what it said, sent inline, is another group's: it sees the row.
        seen = await predict(client, EVERYTHING, preferences=mine[:12])
        truth = town.shares[8]
        assert np.abs(seen - truth).mean() < 0.9 * np.abs(short - truth).mean()


async def test_a_deleted_group_has_no_say_in_any_later_answer(shared_url: str) -> None:
    """Also when another process acknowledged the delete, and when the answer was cached."""
    town = Town.of(6)
    mine = town.preferences(5, CONTEXT)
    async with open_real(shared_url, "own") as here, open_real(shared_url, "own") as there:
        for group in range(4):
            await register(here, f"g{group}", town.body(group, EVERYTHING))
        before = [await predict(c, ASKED, preferences=mine) for c in (here, there)]
        assert before[0] == pytest.approx(before[1], abs=TOLERANCE)
        await register(there, "loud", town.body(4, EVERYTHING))
        loud = [await predict(c, ASKED, preferences=mine) for c in (here, there)]
        assert loud[0] == pytest.approx(loud[1], abs=TOLERANCE)
        assert np.abs(loud[0] - before[0]).max() > 0.01
        assert (await there.delete("/groups/loud")).status_code == 204
        for client in (here, there):
            after = await predict(client, ASKED, preferences=mine)
            assert after == pytest.approx(before[0], abs=TOLERANCE)
        assert (await here.delete("/groups/g0")).status_code == 204
        left = await predict(there, ASKED, preferences=mine)
        assert np.abs(left - before[0]).max() > 0.005


async def test_writers_and_readers_at_the_same_time(url: str) -> None:
    """Requests that come while groups are written are answered, and end as a fresh start does."""
    town = Town.of(13)
    mine = town.preferences(12, CONTEXT)
    async with open_real(url, "both") as client:

        async def write(group: int) -> None:
            await register(client, f"g{group}", town.body(group, EVERYTHING))
            await predict(client, ASKED, group_id=f"g{group}")

        await asyncio.gather(*(write(n) for n in range(12)))
        await asyncio.gather(*(client.delete(f"/groups/g{n}") for n in range(0, 12, 3)))
        found = await predict(client, ASKED, preferences=mine)
        ids = [f"g{n}" for n in range(12) if n % 3]
        body = {"group_ids": ids, "questions": [question(q) for q in ASKED]}
        together = (await client.post("/predict", json=body)).json()["predictions"]
        alone = await predict(client, ASKED, group_id=ids[-1])
    async with open_real(url, "both") as client:
        assert await predict(client, ASKED, preferences=mine) == pytest.approx(found, abs=TOLERANCE)
    last = [p["distribution"] for p in together if p["group_id"] == ids[-1]]
    assert np.array(last) == pytest.approx(alone, abs=TOLERANCE)


async def test_a_bank_that_is_full_takes_a_fixed_sample(url: str) -> None:
    town = Town.of(11)
    mine = town.preferences(10, CONTEXT)
    async with open_real(url, "own", bank_preferences=24 * 3) as client:
        answers = []
        for group in range(10):
            await register(client, f"g{group}", town.body(group, EVERYTHING))
            answers.append(await predict(client, ASKED, preferences=mine))
    async with open_real(url, "own", bank_preferences=24 * 3) as client:
        again = await predict(client, ASKED, preferences=mine)
    async with open_real(url, "own") as client:
        whole = await predict(client, ASKED, preferences=mine)
    assert again == pytest.approx(answers[-1], abs=TOLERANCE)
    assert np.abs(whole - again).max() > 0.01


async def test_never_across_tenants(url: str) -> None:
    """The tenants' groups have the same ids; each is answered as if it were alone."""
    town = Town.of(9)
    settings = Settings(store_url=url, bank="own", device="cpu")
    embedder, scorer = open_scoring(settings)
    store = open_store(url)
    cases = build_use_cases(settings, Parts(store, FakeGenerator(), embedder, scorer, scorer.banks))
    asked = [Question(question(q)["question"], OPTIONS) for q in ASKED]

    async def add(tenant: str, name: str, group: int) -> None:
        draft = GroupDraft(name, preferences_of(town, group, EVERYTHING))
        await cases.groups.create(tenant, draft, group_id=name)

    async def answer(tenant: str) -> list[float]:
        target = Target(preferences=preferences_of(town, 8, CONTEXT))
        found = await cases.predict.run(tenant, target, asked, at=[""] * len(asked))
        return [s.share for p in found.predictions for s in p.shares]

    try:
        nothing = await answer("ours")
        for n in range(4):
            await add("theirs", f"g{n}", n)
        theirs = await answer("theirs")
        assert await answer("ours") == pytest.approx(nothing, abs=TOLERANCE)
        assert np.abs(np.subtract(theirs, nothing)).max() > 0.1
        for n in range(4):
            await add("ours", f"g{n}", 4 + n)
        ours = await answer("ours")
        assert await answer("theirs") == pytest.approx(theirs, abs=TOLERANCE)
        assert np.abs(np.subtract(theirs, ours)).max() > 0.02
        for n in range(4):
            await cases.groups.delete("theirs", f"g{n}")
        assert await answer("ours") == pytest.approx(ours, abs=TOLERANCE)
        assert await answer("theirs") == pytest.approx(nothing, abs=TOLERANCE)
    finally:
        await scorer.close()
        await store.close()


def preferences_of(town: Town, group: int, numbers: range) -> tuple[SharePreference, ...]:
    return tuple(
        SharePreference(question(q)["question"], OPTIONS, tuple(town.shares[group, q].tolist()))
        for q in numbers
    )


_TREATS = (
    "swimming lessons",
    "school lunches",
    "music lessons",
    "summer camps",
    "library books",
    "football training",
    "painting classes",
    "theatre visits",
)
_TRAFFIC = (
    "cars",
    "lorries",
    "delivery vans",
    "motorcycles",
    "parking spaces",
    "fast lanes",
    "heavy trucks",
    "tour coaches",
)
