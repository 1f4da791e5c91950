"""GPO_PRIOR in the application: real embedder, module and language model over a small bank."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import pytest_asyncio
from fixtures.checkpoints import write_checkpoint

from models.embedders import load_embedder
from service.app import create_app
from service.settings import Settings
from service.wiring import open_parts

pytestmark = pytest.mark.asyncio(loop_scope="module")

KNOWN = {
    "question": "Should the town lend out cargo bicycles?",
    "options": ["Yes", "No", "Not sure"],
}
NEW = {
    "question": "How often should the town council meet?",
    "options": ["Once a week", "Once a month", "Only when something has to be decided"],
}
ASKED = {
    "question": "Who should look after the footpaths?",
    "options": ["The town", "The neighbours"],
    "distribution": [0.8, 0.2],
}
FIT = {"llm_prior": {"model": "opinion-lm", "weight": 0.4, "temperature": 2.0, "alone": 1.0}}

Clients = dict[str, httpx.AsyncClient]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    minilm = load_embedder("minilm")
    known = minilm.embed([(str(KNOWN["question"]), o) for o in KNOWN["options"]])
    folder = tmp_path_factory.mktemp("checkpoint")
    return write_checkpoint(
        folder, digest=minilm.digest, dim=minilm.dim, known=[known], config=dict(FIT)
    )


@asynccontextmanager
async def client_of(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    async with open_parts(settings) as parts:
        app = create_app(settings, parts)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://test") as client,
        ):
            yield client


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def clients(
    checkpoint: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Clients]:
    folder = tmp_path_factory.mktemp("store")

    async with AsyncExitStack() as stack:
        yield {
            mode: await stack.enter_async_context(client_of(settings(checkpoint, folder, mode)))
            for mode in ("bank", "llm", "both")
        }


@pytest_asyncio.fixture(loop_scope="module")
async def own(checkpoint: Path, tmp_path: Path) -> AsyncIterator[Clients]:
    """With GPO_BANK=own: the LLM's guess in what is expected, and without it."""
    async with (
        client_of(settings(checkpoint, tmp_path, "bank", bank="own")) as alone,
        client_of(settings(checkpoint, tmp_path, "both", bank="own")) as both,
    ):
        yield {"bank": alone, "both": both}


def settings(checkpoint: Path, folder: Path, mode: str, **more: Any) -> Settings:
    store = f"sqlite:///{folder / mode}.db"
    return Settings(store_url=store, checkpoint=checkpoint, device="cpu", prior=mode, **more)  # type: ignore[arg-type]


async def predict(client: httpx.AsyncClient, question: dict[str, Any], **more: Any) -> np.ndarray:
    body = {"preferences": [], **question, **more}
    response = await client.post("/predict", json=body)
    assert response.status_code == 200, response.text
    return np.array(response.json()["predictions"][0]["distribution"])


@pytest.mark.parametrize("context", [[], [ASKED]], ids=["no context", "context"])
async def test_only_an_unknown_question_is_answered_otherwise(
    clients: Clients, context: list[dict[str, Any]]
) -> None:
    new = {m: await predict(c, NEW, preferences=context) for m, c in clients.items()}
    for one, other in (("bank", "llm"), ("bank", "both"), ("llm", "both")):
        assert np.abs(new[one] - new[other]).max() > 0.01, (one, other)
    known = {m: await predict(c, KNOWN) for m, c in clients.items()}
    for mode in ("llm", "both"):
        np.testing.assert_array_equal(known[mode], known["bank"])


async def test_without_a_context_the_pool_of_the_card_answers(clients: Clients) -> None:
    bank, llm, both = [await predict(clients[m], NEW) for m in ("bank", "llm", "both")]
    pooled = bank**0.6 * llm**0.2  # weight .4 at temperature 2
    np.testing.assert_allclose(both, pooled / pooled.sum(), atol=1e-4)


async def test_the_context_is_compared_with_the_same_prior(clients: Clients) -> None:
    """Of a known question the prior is the bank's, so what differs comes from the context."""
    asked = {m: await predict(c, KNOWN, preferences=[ASKED]) for m, c in clients.items()}
    assert np.abs(asked["llm"] - asked["bank"]).max() > 1e-5


@pytest.mark.parametrize("mode", ["llm", "both"])
async def test_the_order_of_the_options_does_not_matter(clients: Clients, mode: str) -> None:
    order = [2, 0, 1]
    turned = {**NEW, "options": [NEW["options"][i] for i in order]}
    swapped = {**ASKED, "options": ["The neighbours", "The town"], "distribution": [0.2, 0.8]}
    straight = await predict(clients[mode], NEW, preferences=[ASKED])
    mixed = await predict(clients[mode], turned, preferences=[swapped])
    np.testing.assert_allclose(mixed, straight[order], atol=1e-6)


@pytest.mark.parametrize("mode", ["llm", "both"])
async def test_stored_inline_and_in_company_it_is_the_same(clients: Clients, mode: str) -> None:
    client = clients[mode]
    group = {"id": f"paths-{mode}", "name": "Paths", "preferences": [ASKED]}
    assert (await client.post("/groups", json=group)).status_code == 201
    inline = await predict(client, NEW, preferences=[ASKED])
    body = {"group_id": group["id"], "questions": [KNOWN, NEW]}
    answer = (await client.post("/predict", json=body)).json()
    np.testing.assert_allclose(answer["predictions"][1]["distribution"], inline, atol=1e-6)
    assert "prior_ms" in answer["timings"]


async def test_many_at_a_time(clients: Clients) -> None:
    alone = await predict(clients["both"], NEW, preferences=[ASKED])
    crowd = await asyncio.gather(
        *(predict(clients["both"], NEW, preferences=[ASKED]) for _ in range(6)),
        *(predict(clients["both"], KNOWN) for _ in range(6)),
    )
    for found in crowd[:6]:
        np.testing.assert_allclose(found, alone, atol=1e-6)


async def test_own_groups_are_the_base_into_which_the_guess_is_pooled(
    clients: Clients, own: Clients
) -> None:
    """Of what no group was asked, own groups expect even shares, whatever the surveys know."""
    llm = await predict(clients["llm"], NEW)
    pooled = llm**0.2  # weight .4 at temperature 2, over even shares
    np.testing.assert_allclose(await predict(own["both"], NEW), pooled / pooled.sum(), atol=1e-4)
    np.testing.assert_allclose(await predict(own["bank"], NEW), 1 / 3, atol=1e-4)
    known = {mode: await predict(client, KNOWN) for mode, client in own.items()}
    assert np.abs(known["both"] - known["bank"]).max() > 0.01


@pytest.mark.parametrize("context", [[], [ASKED]], ids=["no context", "context"])
async def test_what_own_groups_answered_is_not_guessed(
    own: Clients, context: list[dict[str, Any]]
) -> None:
    """Nor is it from what was encoded before they were registered, or after they are gone."""
    before = {m: await predict(c, NEW, preferences=context) for m, c in own.items()}
    assert np.abs(before["both"] - before["bank"]).max() > 0.01
    answered = [{**NEW, "distribution": [0.1, 0.2, 0.7]}, ASKED]
    for client in own.values():
        for name in ("one", "two"):
            share = {"one": 0.7, "two": 0.6}[name]
            other = {**ASKED, "distribution": [share, 1 - share]}
            group = {"id": name, "name": name, "preferences": [answered[0], other]}
            assert (await client.post("/groups", json=group)).status_code == 201
    told = {m: await predict(c, NEW, preferences=context) for m, c in own.items()}
    np.testing.assert_allclose(told["both"], told["bank"], atol=1e-6)
    assert told["both"].argmax() == 2
    for client in own.values():
        for name in ("one", "two"):
            assert (await client.delete(f"/groups/{name}")).status_code == 204
    after = {m: await predict(c, NEW, preferences=context) for m, c in own.items()}
    for mode, found in after.items():
        np.testing.assert_allclose(found, before[mode], atol=1e-6)


async def test_what_a_group_alone_was_asked_is_guessed_for_it_and_known_to_others(
    own: Clients,
) -> None:
    answered = {**NEW, "distribution": [0.1, 0.2, 0.7]}
    shares = {}
    for mode, client in own.items():
        for name, preferences in (("asked", [answered]), ("other", [])):
            group = {"id": name, "name": name, "preferences": preferences}
            assert (await client.post("/groups", json=group)).status_code == 201
        body = {"group_ids": ["asked", "other"], "questions": [NEW]}
        answer = (await client.post("/predict", json=body)).json()
        shares[mode] = {p["group_id"]: p["distribution"] for p in answer["predictions"]}
        alone = (await client.post("/predict", json={"group_id": "other", **NEW})).json()
        np.testing.assert_allclose(
            alone["predictions"][0]["distribution"], shares[mode]["other"], atol=1e-6
        )
    apart = {
        name: np.abs(np.subtract(shares["both"][name], shares["bank"][name])).max()
        for name in ("asked", "other")
    }
    assert apart["asked"] > 0.01
    assert apart["other"] < 1e-6


@pytest.mark.parametrize("bank", ["released", "own"])
async def test_an_explanation_leaves_a_preference_out_with_its_guess(
    clients: Clients, own: Clients, bank: str
) -> None:
    client = clients["both"] if bank == "released" else own["both"]
    said = [ASKED, {**KNOWN, "distribution": [0.2, 0.7, 0.1]}]
    body = {"preferences": said, "explain": True, **NEW}
    [found] = (await client.post("/predict", json=body)).json()["predictions"]
    np.testing.assert_allclose(found["prior"], await predict(client, NEW), atol=1e-6)
    for entry in found["explanation"]:
        less = [one for at, one in enumerate(said) if at != entry["index"]]
        wanted = await predict(client, NEW, preferences=less)
        np.testing.assert_allclose(entry["distribution_without"], wanted, atol=1e-6)
