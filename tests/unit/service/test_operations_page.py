"""docs/operations.md and docs/grafana.json name the metrics that there are, as they are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

import pytest
from fixtures.service_app import GROUP, Bench
from prometheus_client import Metric

from service.core import errors
from service.core.byte_lru import ByteLRU
from service.core.tally import SIZES, Tally

DOCS = Path(__file__).resolve().parents[3] / "docs"
PAGE = (DOCS / "operations.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `(gpo_\w+)` \| (\w+) \| ([\w, ]*?) ?\| (.+) \|$", re.MULTILINE)


def documented() -> dict[str, tuple[str, set[str]]]:
    """Type and labels by name."""
    rows = ROW.findall(PAGE)
    return {name: (kind, set(re.findall(r"\w+", labels))) for name, kind, labels, _ in rows}


@pytest.fixture
async def exposed(bench: Bench) -> list[Metric]:
    """What there is after requests and failures of every kind: each family has samples."""
    metrics = bench.app.state.telemetry.metrics
    metrics.sources.scoring.caches["embeddings"] = ByteLRU(1_000)
    metrics.sources.scoring.batches["jobs"] = Tally(SIZES)
    metrics.sources.scoring.batches["jobs"].add(3)
    await bench.add()
    await bench.client.get("/readyz")
    body = {"preferences": [], "prompt": "Why?", "n": 2}
    assert (await bench.client.post("/generate", json=body)).status_code == 200
    bench.generator.say = lambda seed: errors.GeneratorUnavailable("gone")
    assert (await bench.client.post("/generate", json=body)).status_code == 502
    await bench.store.close()
    assert (await bench.client.post("/groups", json=GROUP)).status_code == 503
    return [f for f in metrics.registry.collect() if f.name.startswith("gpo_")]


def name_of(family: Metric) -> str:
    return family.name + {"counter": "_total", "info": "_info"}.get(family.type, "")


def labels_of(family: Metric) -> set[str]:
    return {label for sample in family.samples for label in sample.labels} - {"le"}


async def test_the_table_is_what_is_exposed(exposed: list[Metric]) -> None:
    found = {name_of(f): ("gauge" if f.type == "info" else f.type, labels_of(f)) for f in exposed}
    assert found == documented()


async def test_names_have_units_and_every_family_a_meaning(exposed: list[Metric]) -> None:
    for family in exposed:
        assert family.documentation.endswith("."), family.name
        if family.name != "gpo_scorer_queue_jobs":  # only the real scorer has a queue
            assert family.samples, family.name


def named_in(texts: Iterable[str]) -> set[str]:
    return {name for text in texts for name in re.findall(r"gpo_\w+", text)}


async def test_queries_and_dashboard_use_metrics_that_exist(exposed: list[Metric]) -> None:
    there = {sample.name for family in exposed for sample in family.samples}
    there.add("gpo_scorer_queue_jobs")
    queries = re.findall(r"```promql\n(.*?)```", PAGE, re.DOTALL)
    dashboard = json.loads((DOCS / "grafana.json").read_text(encoding="utf-8"))
    expressions = [t["expr"] for panel in dashboard["panels"] for t in panel["targets"]]
    assert len(queries) == 1
    assert len(named_in(expressions)) > 15
    assert named_in(queries) <= there
    assert named_in(expressions) <= there


async def test_metrics_that_other_pages_name_exist(exposed: list[Metric]) -> None:
    there = {sample.name for family in exposed for sample in family.samples}
    there.add("gpo_scorer_queue_jobs")
    pages = [
        page.read_text(encoding="utf-8") for page in DOCS.glob("*.md") if page.name != "api.md"
    ]
    named = {name for text in pages for name in re.findall(r"`(gpo_[a-z_]+)", text)}
    assert len(named) > 20
    assert named <= there | {name_of(family) for family in exposed}


def test_panels_have_places_of_their_own() -> None:
    panels = json.loads((DOCS / "grafana.json").read_text(encoding="utf-8"))["panels"]
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}
    assert len(places) == len(panels) == len({panel["id"] for panel in panels})


def test_the_example_of_a_record_is_json() -> None:
    [example] = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    assert json.loads(example)["event"] == "request"
