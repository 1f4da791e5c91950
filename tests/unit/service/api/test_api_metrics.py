"""What /metrics says after requests of every kind, and what it never says."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from fixtures.service_app import GROUP, Bench, open_bench
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as prometheus

from service.core import errors
from service.settings import Settings

PREDICT = {"preferences": [], "question": "Why?", "options": ["a", "b"]}
GENERATE = {"preferences": [], "prompt": "Why?", "n": 3, "seed": 5}


async def samples(bench: Bench) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    page = await bench.client.get("/metrics")
    assert page.status_code == 200
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in prometheus(page.text)
        for sample in family.samples
    }


async def value(bench: Bench, name: str, **labels: str) -> float:
    return (await samples(bench)).get((name, frozenset(labels.items())), 0.0)


async def requests(bench: Bench, **labels: str) -> float:
    return await value(bench, "gpo_requests_total", **labels)


async def test_requests_are_counted_by_template_method_and_status(bench: Bench) -> None:
    await bench.add()
    await bench.client.get("/groups/town")
    await bench.client.get("/groups/nobody")
    await bench.client.head("/groups/town")
    await bench.client.get("/v1/groups/town")
    one = "/groups/{group_id}"
    assert await requests(bench, route="/groups", method="POST", status="201") == 1
    assert await requests(bench, route=one, method="GET", status="200") == 1
    assert await requests(bench, route=one, method="GET", status="404") == 1
    assert await requests(bench, route=one, method="HEAD", status="200") == 1
    assert await requests(bench, route="/v1" + one, method="GET", status="200") == 1
    name = "gpo_request_duration_seconds_count"
    assert await value(bench, name, route=one, method="GET", status="404") == 1
    assert await value(bench, "gpo_request_errors_total", route=one, code="group_not_found") == 1


async def test_what_a_client_makes_up_becomes_no_label(bench: Bench) -> None:
    for i in range(20):
        await bench.client.get(f"/made-up-{i}")
        await bench.client.request(f"VERB{i}", "/groups")
    assert await requests(bench, route="other", method="GET", status="404") == 20
    assert await requests(bench, route="/groups", method="other", status="405") == 20
    page = (await bench.client.get("/metrics")).text
    assert "made-up" not in page
    assert "VERB" not in page
    assert "town" not in page


async def test_refusals_of_the_edge_and_faults_are_counted(bench: Bench) -> None:
    json_type = {"Content-Type": "application/json"}
    await bench.client.post("/groups", content=b" " * 500_001, headers=json_type)
    assert await requests(bench, route="other", method="POST", status="413") == 1
    bench.scorer.fault = RuntimeError("broken")
    await bench.client.post("/predict", json=PREDICT)
    assert await requests(bench, route="/predict", method="POST", status="500") == 1
    name = "gpo_request_errors_total"
    assert await value(bench, name, route="/predict", code="internal_error") == 1


async def test_stages_are_timed_once_for_each_request(bench: Bench) -> None:
    await bench.client.post("/generate", json=GENERATE)
    for stage in ("queue", "context", "generate", "embed", "score"):
        name = "gpo_stage_duration_seconds_count"
        assert await value(bench, name, stage=stage, route="/generate") == 1, stage


async def test_candidates_tokens_and_places_are_counted(bench: Bench) -> None:
    await bench.client.post("/generate", json=GENERATE)
    await bench.client.post("/generate", json={**GENERATE, "n": 2})
    assert await value(bench, "gpo_candidates_admitted_total") == 5
    assert await value(bench, "gpo_candidates_drawn_total", finish_reason="stop") == 5
    assert await value(bench, "gpo_candidates_capacity") == 16
    assert await value(bench, "gpo_candidates_in_flight") == 0
    assert await value(bench, "gpo_tokens_total", kind="completion") == 5 * 3
    assert await value(bench, "gpo_tokens_total", kind="prompt") == 5


async def test_refused_candidates_are_counted_and_those_in_flight_seen(bench: Bench) -> None:
    bench.generator.hang = lambda seed: True
    tasks = [
        asyncio.create_task(bench.client.post("/generate", json={**GENERATE, "n": 8}))
        for _ in range(2)
    ]
    async with asyncio.timeout(10):
        while len(bench.generator.seeds) < 16:  # noqa: ASYNC110
            await asyncio.sleep(0)
    full = await bench.client.post("/generate", json={**GENERATE, "n": 4})
    assert full.status_code == 503
    assert await value(bench, "gpo_candidates_in_flight") == 16
    assert await value(bench, "gpo_candidates_refused_total") == 4
    assert await value(bench, "gpo_requests_in_flight") == 3  # this one too
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert await value(bench, "gpo_candidates_in_flight") == 0
    assert await value(bench, "gpo_candidates_cancelled_total") == 16
    assert await requests(bench, route="/generate", method="POST", status="499") == 2


async def test_failures_of_the_generator_are_counted_also_where_a_request_survives_them(
    bench: Bench,
) -> None:
    bench.generator.say = lambda seed: (
        errors.GeneratorUnavailable("gone") if seed == 6 else "Something."
    )
    answer = await bench.client.post("/generate", json={**GENERATE, "allow_partial": True})
    assert answer.status_code == 200
    assert await value(bench, "gpo_generator_errors_total", code="generator_unavailable") == 1
    assert await value(bench, "gpo_candidates_drawn_total", finish_reason="stop") == 2


async def test_failures_of_the_store_are_counted(settings: Settings, tmp_path: Path) -> None:
    async with open_bench(settings) as bench:
        await bench.add()
        await bench.client.post("/predict", json={**PREDICT, "preferences": GROUP["preferences"]})
        assert await value(bench, "gpo_store_errors_total", code="store_unavailable") == 0
        stored = {k: v for k, v in PREDICT.items() if k != "preferences"} | {"group_id": "town"}
        await bench.client.post("/predict", json=stored)
        await bench.client.post("/predict", json=stored)
        assert await value(bench, "gpo_cache_misses_total", cache="store_vectors") == 1
        assert await value(bench, "gpo_cache_misses_total", cache="groups") == 1
        assert await value(bench, "gpo_cache_hits_total", cache="groups") == 1
        await bench.store.close()
        lost = await bench.client.post("/groups", json=GROUP)
        assert lost.status_code == 503
        assert await value(bench, "gpo_store_errors_total", code="store_unavailable") == 1


async def test_components_are_as_they_were_last_seen(bench: Bench) -> None:
    assert not [name for name, _ in await samples(bench) if name == "gpo_ready"]
    await bench.client.get("/readyz")
    assert await value(bench, "gpo_component_up", component="generator") == 1
    assert await value(bench, "gpo_ready") == 1
    bench.generator.down = errors.GeneratorUnavailable("gone")
    assert await value(bench, "gpo_ready") == 1
    await bench.client.get("/readyz")
    assert await value(bench, "gpo_component_up", component="generator") == 0
    assert await value(bench, "gpo_component_up", component="store") == 1
    assert await value(bench, "gpo_ready") == 0


async def test_openmetrics_is_given_to_those_who_ask_for_it(bench: Bench) -> None:
    await bench.client.post("/predict", json=PREDICT)
    accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
    page = await bench.client.get("/v1/metrics", headers=accept)
    assert page.headers["content-type"].startswith("application/openmetrics-text")
    assert "gpo_requests" in {family.name for family in openmetrics(page.text)}
    plain = await bench.client.get("/metrics")
    assert plain.headers["content-type"].startswith("text/plain; version=")
    assert "process_resident_memory_bytes" in plain.text


async def test_an_application_counts_for_itself_alone(settings: Settings, tmp_path: Path) -> None:
    other = settings.model_copy(update={"store_url": f"sqlite:///{tmp_path / 'other.db'}"})
    async with open_bench(settings) as one, open_bench(other) as two:
        await one.client.post("/predict", json=PREDICT)
        assert await requests(two, route="/predict", method="POST", status="200") == 0


async def test_a_client_that_leaves_counts_as_499(bench: Bench) -> None:
    bench.generator.hang = lambda seed: True
    inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    body = json.dumps(GENERATE).encode()
    inbox.put_nowait({"type": "http.request", "body": body, "more_body": False})

    async def send(message: Any) -> None:
        raise AssertionError("nobody reads this")

    scope = {
        "type": "http", "method": "POST", "path": "/generate", "raw_path": b"/generate",
        "query_string": b"", "root_path": "", "scheme": "http", "http_version": "1.1",
        "headers": [(b"content-type", b"application/json")], "server": ("test", 80),
    }  # fmt: skip
    serving = asyncio.create_task(bench.app(scope, inbox.get, send))
    await asyncio.wait_for(bench.generator.started.wait(), 10)
    inbox.put_nowait({"type": "http.disconnect"})
    await asyncio.wait_for(serving, 10)
    assert await requests(bench, route="/generate", method="POST", status="499") == 1


@pytest.mark.parametrize("path", ["/predict", "/score", "/generate"])
async def test_server_timing_names_the_stages(bench: Bench, path: str) -> None:
    body = {
        "/predict": PREDICT,
        "/score": {"preferences": [], "prompt": "Why?", "responses": ["a", "b"]},
        "/generate": GENERATE,
    }[path]
    response = await bench.client.post(path, json=body)
    parts = dict(part.split(";dur=") for part in response.headers["Server-Timing"].split(", "))
    assert {"context", "embed", "score", "total"} <= set(parts)
    assert all(0 <= float(ms) <= float(parts["total"]) + 0.01 for ms in parts.values())


async def test_without_stages_there_is_no_server_timing(bench: Bench) -> None:
    assert "Server-Timing" not in (await bench.client.get("/livez")).headers


async def test_an_error_in_a_stream_is_counted_though_its_status_was_sent(bench: Bench) -> None:
    stream = {**GENERATE, "stream": True}
    assert (await bench.client.post("/generate", json=stream)).status_code == 200
    bench.generator.say = lambda seed: errors.GeneratorUnavailable("gone")
    broken = await bench.client.post("/generate", json=stream)
    assert broken.status_code == 200
    assert "event: error" in broken.text
    assert await requests(bench, route="/generate", method="POST", status="200") == 2
    name = "gpo_request_errors_total"
    assert await value(bench, name, route="/generate", code="generator_unavailable") == 1
