"""What the real process tells of its requests: metrics, log, Server-Timing, traces; no texts."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from fixtures.openai_fake import Reply, Request, chat, fake_server
from fixtures.otlp_receiver import Receiver, otlp_receiver
from fixtures.serve_process import environment, serving, serving_beside
from prometheus_client.parser import text_string_to_metric_families

MARKER = "quetzalcoatlus"
SHARE = {
    "question": f"Should the {MARKER} return?",
    "options": [f"Yes {MARKER}", "No"],
    "counts": [80, 20],
}
RATING = {"prompt": f"A {MARKER} day.", "response": f"A {MARKER} swims.", "score": 0.9}
GROUP = {
    "id": "swimmers",
    "name": f"Swimmers {MARKER}",
    "description": f"They like {MARKER}.",
    "metadata": {"note": MARKER},
    "preferences": [SHARE, RATING],
}
QUESTION = {"question": f"Is the {MARKER} clean?", "options": ["Yes", f"No {MARKER}"]}
PROMPT = f"What of the {MARKER}?"
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@dataclass
class Run:
    """A service that has answered a few requests and has ended, and what it told meanwhile."""

    answers: dict[str, httpx.Response]
    samples: Samples
    log: list[dict[str, Any]]
    announced: str
    receiver: Receiver
    status: int

    def value(self, name: str, **labels: str) -> float:
        return self.samples[name, frozenset(labels.items())]

    def access(self, request_id: str) -> dict[str, Any]:
        [record] = [
            r for r in self.log if r["event"] == "request" and r["request_id"] == request_id
        ]
        return record


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    folder = tmp_path_factory.mktemp("observability")
    with (
        otlp_receiver() as receiver,
        serving(folder, GPO_TRACES_URL=receiver.url) as service,
        httpx.Client(base_url=service.url, timeout=120) as client,
    ):
        answers = {name: ask(client, name, *parts) for name, parts in REQUESTS.items()}
        leave(client)
        text = client.get("/metrics").text
        status = service.stop()
        log = [json.loads(line) for line in service.logged.splitlines()]
        yield Run(answers, read(text), log, service.announced, receiver, status)


STORED = {"group_id": "swimmers"}
REQUESTS: dict[str, tuple[str, str, Any]] = {
    "put": ("PUT", "/groups/swimmers", GROUP),
    "ready": ("GET", "/readyz", None),
    "predict": ("POST", "/predict", {**STORED, **QUESTION}),
    "again": ("POST", "/v1/predict", {**STORED, **QUESTION}),
    "score": ("POST", "/score", {**STORED, "prompt": PROMPT, "responses": [MARKER, "No."]}),
    "generate": ("POST", "/generate", {**STORED, "prompt": PROMPT, "n": 3, "max_tokens": 12}),
    "wrong": ("POST", "/generate", {**STORED, "prompt": PROMPT, MARKER: MARKER, "n": 0}),
    "unknown": ("GET", "/groups/nobody", None),
    "nowhere": ("GET", "/nowhere", None),
}


def ask(client: httpx.Client, name: str, method: str, path: str, body: Any) -> httpx.Response:
    headers = {"X-Request-Id": f"id-{name}", "traceparent": TRACEPARENT}
    if name == "nowhere":
        del headers["traceparent"]
    return client.request(method, path, json=body, headers=headers, params={"secret": MARKER})


def leave(client: httpx.Client) -> None:
    """Ask for more than can be drawn in a moment, and go; return when that was noticed."""
    long = {**STORED, "prompt": PROMPT, "n": 64, "max_tokens": 400}
    with pytest.raises(httpx.ReadTimeout):
        client.post("/generate", json=long, headers={"X-Request-Id": "id-left"}, timeout=0.4)
    key = ("gpo_requests_total", frozenset(
        {("route", "/generate"), ("method", "POST"), ("status", "499")}
    ))  # fmt: skip
    deadline = time.monotonic() + 60
    while read(client.get("/metrics").text).get(key) != 1:
        assert time.monotonic() < deadline, "nobody noticed that the client left"
        time.sleep(0.05)


def read(page: str) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


def test_the_run_went_as_it_should(run: Run) -> None:
    statuses = {name: answer.status_code for name, answer in run.answers.items()}
    assert statuses == {
        "put": 201, "ready": 200, "predict": 200, "again": 200, "score": 200, "generate": 200,
        "wrong": 422, "unknown": 404, "nowhere": 404,
    }  # fmt: skip
    assert run.status == 0


@pytest.mark.parametrize(
    ("route", "method", "status"),
    [
        ("/groups/{group_id}", "PUT", 201),
        ("/predict", "POST", 200),
        ("/v1/predict", "POST", 200),
        ("/score", "POST", 200),
        ("/generate", "POST", 200),
        ("/generate", "POST", 422),
        ("/generate", "POST", 499),
        ("/groups/{group_id}", "GET", 404),
        ("other", "GET", 404),
    ],
)
def test_each_request_is_counted_once(run: Run, route: str, method: str, status: int) -> None:
    labels = {"route": route, "method": method, "status": str(status)}
    assert run.value("gpo_requests_total", **labels) == 1
    assert run.value("gpo_request_duration_seconds_count", **labels) == 1


def test_what_was_drawn_embedded_and_scored_is_counted(run: Run) -> None:
    drawn = sum(
        run.value("gpo_candidates_drawn_total", finish_reason=reason)
        for reason in ("stop", "length")
    )
    usage = run.answers["generate"].json()["usage"]
    assert drawn >= 3
    assert run.value("gpo_candidates_admitted_total") == 3 + 64
    assert run.value("gpo_candidates_in_flight") == 0
    assert run.value("gpo_tokens_total", kind="completion") >= usage["completion_tokens"]
    assert run.value("gpo_cache_hits_total", cache="contexts") >= 1
    assert run.value("gpo_cache_misses_total", cache="contexts") == 1
    assert run.value("gpo_cache_hits_total", cache="embeddings") > 0
    assert run.value("gpo_cache_entries", cache="embeddings") > 0
    assert run.value("gpo_cache_bytes", cache="contexts") > 0
    for kind in ("jobs", "texts", "targets"):
        assert run.value("gpo_scorer_batch_size_count", kind=kind) > 0
    assert run.value("gpo_stage_duration_seconds_count", stage="embed", route="/predict") == 1
    assert run.value("gpo_component_up", component="scorer") == 1
    assert run.value("process_resident_memory_bytes") > 1e6
    [build] = [dict(labels) for name, labels in run.samples if name == "gpo_build_info"]
    assert build["generator"] == "opinion-lm"


@pytest.mark.parametrize("name", REQUESTS)
def test_each_request_has_one_record_with_its_id(run: Run, name: str) -> None:
    method, path, _ = REQUESTS[name]
    record, answer = run.access(f"id-{name}"), run.answers[name]
    assert (record["method"], record["path"]) == (method, path)
    assert record["status"] == answer.status_code
    assert record["duration_ms"] > 0
    assert record.get("code") == (answer.json()["code"] if answer.status_code >= 400 else None)
    if name in ("predict", "score", "generate"):
        assert {"context", "embed", "score"} <= set(record["stages_ms"])
        assert max(record["stages_ms"].values()) <= record["duration_ms"] + 0.01


def test_the_record_of_a_client_that_left_says_so(run: Run) -> None:
    record = run.access("id-left")
    assert (record["status"], record["route"]) == (499, "/generate")
    assert record["counts"]["candidates_asked"] == 64


def test_no_text_of_a_request_is_logged_announced_counted_or_traced(run: Run) -> None:
    assert MARKER not in json.dumps(run.log)
    assert MARKER not in run.announced
    assert MARKER not in str(list(run.samples))
    assert run.receiver.bodies
    assert not any(MARKER.encode() in body for body in run.receiver.bodies)


def test_server_timing_says_where_the_time_went(run: Run) -> None:
    for name in ("predict", "score", "generate"):
        header = run.answers[name].headers["Server-Timing"]
        parts = dict(part.split(";dur=") for part in header.split(", "))
        assert {"context", "embed", "score", "total"} <= set(parts)
    assert "Server-Timing" not in run.answers["nowhere"].headers


def test_each_request_is_a_span_with_its_stages_below_it(run: Run) -> None:
    _, trace_id, parent_id, _ = TRACEPARENT.split("-")
    roots = {
        span.attributes["gpo.request_id"]: span
        for span in run.receiver.spans
        if "gpo.request_id" in span.attributes
    }
    assert {f"id-{name}" for name in REQUESTS} <= set(roots)
    assert (roots["id-predict"].trace_id, roots["id-predict"].parent_id) == (trace_id, parent_id)
    assert roots["id-nowhere"].parent_id == ""
    generate = roots["id-generate"]
    assert generate.name == "POST /generate"
    assert (generate.attributes["gpo.n"], generate.attributes["gpo.candidates"]) == (3, 3)
    below = run.receiver.below(generate)
    assert {span.name for span in below} == {"queue", "context", "generate", "embed", "score"}
    for span in below:
        assert generate.start <= span.start <= span.end <= generate.end
    assert roots["id-left"].attributes["http.response.status_code"] == 499


async def test_the_trace_goes_on_to_the_generator(tmp_path: Path) -> None:
    async def answer(request: Request) -> Reply:
        return chat("A swim.")

    async with fake_server(answer) as upstream:
        with otlp_receiver() as receiver:
            settings = {
                "GPO_GENERATOR": "vllm-http",
                "GPO_GENERATOR_URL": upstream.url,
                "GPO_TRACES_URL": receiver.url,
            }
            async with serving_beside(tmp_path, **settings) as service:
                async with httpx.AsyncClient(base_url=service.url, timeout=60) as client:
                    body = {"preferences": [], "prompt": "Why?", "n": 2}
                    (await client.post("/generate", json=body)).raise_for_status()
                assert await asyncio.to_thread(service.stop) == 0
        [root] = receiver.named("POST /generate")
        sent = [request.headers["traceparent"].split("-") for request in upstream.completions]
        assert [parts[1:3] for parts in sent] == [[root.trace_id, root.span_id]] * 2


def test_without_the_packages_the_service_says_what_is_missing(tmp_path: Path) -> None:
    hidden = "import sys; sys.modules['opentelemetry'] = None; from service.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", hidden, "serve", "--port", "0"],
        cwd=tmp_path,
        env=environment(tmp_path, GPO_TRACES_URL="http://127.0.0.1:4318"),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("gpo: GPO_TRACES_URL needs OpenTelemetry")
    assert "gpo-serve[traces]" in done.stderr


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"GPO_LOG_TEXTS": "1"}, ["GPO_LOG_TEXTS", "GPO_LOG_LEVEL"]),
        ({"GPO_LOG_LEVEL": "loud"}, ["GPO_LOG_LEVEL"]),
        ({"GPO_TRACES_URL": "localhost:4318"}, ["GPO_TRACES_URL"]),
    ],
)
def test_settings_that_cannot_work_are_refused(
    tmp_path: Path, settings: dict[str, str], named: list[str]
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "service", "serve", "--port", "0"],
        cwd=tmp_path,
        env=environment(tmp_path, **settings),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2
    assert all(name in done.stderr for name in named)
