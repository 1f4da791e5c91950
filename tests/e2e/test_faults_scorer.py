"""The module gives nonsense, or its worker has died: a typed 502, and never a text."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import torch
from fixtures.calls import QUESTION, expect_problem, rating
from fixtures.openai_fake import FakeServer, Reply, Request, chat, fake_server
from fixtures.serve_process import ServeProcess, serving_beside

from models.checkpoint import load_checkpoint, load_file, save_checkpoint
from service.settings import RELEASED

# Loaded by Python before the service: on a signal, whatever the worker runs next ends its thread.
DEATH = """
import ctypes, signal, threading

def die(number, frame):
    for thread in threading.enumerate():
        if thread.name == "gpo-scoring":
            ctypes.pythonapi.PyThreadState_SetAsyncExc(
                ctypes.c_ulong(thread.ident), ctypes.py_object(SystemExit)
            )

signal.signal(signal.SIGUSR2, die)
"""
HEAD = "delta.weight"
ROOT = Path(__file__).resolve().parents[2]
ASKED: list[tuple[str, dict[str, Any]]] = [
    ("/generate", {"prompt": "Why?", "n": 3}),
    ("/generate", {"prompt": "Why?", "n": 3, "allow_partial": True}),
    ("/predict", QUESTION),
    ("/score", {"prompt": "Why?", "responses": ["unscored", "unscored too"]}),
]


async def answer(_: Request) -> Reply:
    return chat("unscored")


@asynccontextmanager
async def on_a_fake(
    folder: Path, **settings: str
) -> AsyncIterator[tuple[ServeProcess, httpx.AsyncClient, FakeServer]]:
    async with (
        fake_server(answer) as upstream,
        serving_beside(
            folder, GPO_GENERATOR="vllm-http", GPO_GENERATOR_URL=upstream.url, **settings
        ) as service,
        httpx.AsyncClient(base_url=service.url, timeout=60) as client,
    ):
        yield service, client, upstream


async def expect_nothing_scored(client: httpx.AsyncClient) -> None:
    for path, body in ASKED:
        for target in ({"preferences": [rating(1)]}, {"group_id": "group"}):
            response = await client.post(path, json=body | target)
            expect_problem(response, 502, "scorer_failed")
            assert "unscored" not in response.text


async def add_group(client: httpx.AsyncClient) -> None:
    body = {"name": "Group", "preferences": [rating(1), rating(2)]}
    (await client.put("/groups/group", json=body)).raise_for_status()


async def test_weights_that_are_not_numbers_choose_nothing(tmp_path: Path) -> None:
    source = RELEASED / "minilm"
    tensors, card = load_checkpoint(source)
    broken = tensors | {HEAD: torch.full_like(tensors[HEAD], torch.nan)}
    files = {name: load_file(source, card, name) for name in card.files}
    save_checkpoint(tmp_path / "broken", broken, card, files=files)
    async with on_a_fake(tmp_path, GPO_CHECKPOINT=str(tmp_path / "broken")) as opened:
        service, client, upstream = opened
        await add_group(client)
        await expect_nothing_scored(client)
        assert len(upstream.completions) == 12
        assert (await client.get("/groups/group")).json()["version"] == 1
        assert "Traceback" not in service.said


async def test_a_dead_worker_is_said_and_chooses_nothing(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(DEATH, encoding="utf-8")
    async with on_a_fake(tmp_path, PYTHONPATH=f"{tmp_path}:{ROOT}") as (service, client, _):
        await add_group(client)
        for path, body in ASKED:
            good = await client.post(path, json=body | {"group_id": "group"})
            assert good.status_code == 200, good.text
        assert (await client.get("/readyz")).status_code == 200
        service.send(signal.SIGUSR2)
        # The thread sleeps until there is work; this wakes it to its end.
        last = {"preferences": [rating(3)], **QUESTION}
        expect_problem(await client.post("/predict", json=last), 502, "scorer_failed")
        await expect_nothing_scored(client)
        ready = await client.get("/readyz")
        assert ready.status_code == 503
        components = ready.json()["components"]
        assert components["scorer"] == {"ok": False, "reason": "The scoring worker has died."}
        assert components["store"]["ok"]
        assert components["generator"]["ok"]
        assert (await client.get("/livez")).status_code == 200
        assert "the scoring worker died" in service.said
