"""GPO_PRIOR in the application: real embedder, module and language model over a small bank."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
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

    def settings(mode: str) -> Settings:
        store = f"sqlite:///{folder / mode}.db"
        return Settings(store_url=store, checkpoint=checkpoint, device="cpu", prior=mode)  # type: ignore[arg-type]

    async with (
        client_of(settings("bank")) as bank,
        client_of(settings("llm")) as llm,
        client_of(settings("both")) as both,
    ):
        yield {"bank": bank, "llm": llm, "both": both}


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
