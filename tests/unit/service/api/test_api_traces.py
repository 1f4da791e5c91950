"""Spans of requests and of their stages, as a collector receives them."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from fixtures.otlp_receiver import Receiver, otlp_receiver

from service.api.telemetry.exchange import Exchange
from service.api.telemetry.traces import Traces
from service.core.request_context import TRACE_HEADERS

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SERVER = 2
ERROR = 2


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with otlp_receiver() as running:
        yield running


def exchange(**headers: str) -> Exchange:
    return Exchange(method="POST", path="/x/1", request_id="r-1", headers=headers)


def traced(url: str, *, sample: float = 1.0, status: int = 200, **headers: str) -> Exchange:
    """One request with two stages that overlap, flushed."""
    traces = Traces(url, sample=sample, version="1")
    found = exchange(**headers)
    traces.begin(found)
    with found.watch.stage("generate"):
        time.sleep(0.002)
        with found.watch.stage("embed"):
            time.sleep(0.002)
    found.watch.count("candidates_asked", 4)
    found.watch.count("candidates_drawn", 3)
    found.code = "internal_error" if status >= 500 else None
    found.end(route="/x/{id}", status=status)
    traces.end(found)
    traces.close()
    return found


def test_a_request_is_one_span_with_one_below_it_for_each_stage(receiver: Receiver) -> None:
    found = traced(receiver.url)
    [root] = receiver.named("POST /x/{id}")
    assert (root.kind, root.parent_id, root.trace_id) == (SERVER, "", found.trace_id)
    assert root.attributes == {
        "http.request.method": "POST",
        "http.route": "/x/{id}",
        "http.response.status_code": 200,
        "gpo.request_id": "r-1",
        "gpo.n": 4,
        "gpo.candidates": 3,
        "gpo.completion_tokens": 0,
    }
    stages = {span.name: span for span in receiver.below(root)}
    assert set(stages) == {"generate", "embed"}
    generate, embed = stages["generate"], stages["embed"]
    assert root.start <= generate.start < embed.start < embed.end <= generate.end <= root.end
    for span, stage in ((embed, found.watch.stages[0]), (generate, found.watch.stages[1])):
        assert (span.end - span.start) / 1e9 == pytest.approx(stage.end - stage.start, abs=1e-6)
    assert abs(root.end / 1e9 - time.time()) < 60
    assert set(receiver.paths) == {"/v1/traces"}


def test_the_trace_of_the_client_goes_on(receiver: Receiver) -> None:
    traced(receiver.url + "/custom/path", traceparent=PARENT)
    [root] = receiver.named("POST /x/{id}")
    _, trace_id, parent_id, _ = PARENT.split("-")
    assert (root.trace_id, root.parent_id) == (trace_id, parent_id)
    assert set(receiver.paths) == {"/custom/path"}


def test_a_client_decides_whether_it_is_traced(receiver: Receiver) -> None:
    traced(receiver.url, traceparent=PARENT[:-1] + "0")
    assert receiver.spans == []
    traced(receiver.url, sample=0.0, traceparent=PARENT)
    assert len(receiver.spans) == 3


def test_what_is_not_sampled_is_not_sent(receiver: Receiver) -> None:
    traced(receiver.url, sample=0.0)
    assert receiver.spans == []


def test_failures_are_marked(receiver: Receiver) -> None:
    traced(receiver.url, status=500)
    [root] = receiver.named("POST /x/{id}")
    assert root.status == ERROR
    assert root.attributes["error.type"] == "internal_error"


def test_the_headers_for_others_hold_while_the_request_runs(receiver: Receiver) -> None:
    traces = Traces(receiver.url, sample=1.0, version="1")
    found = exchange(traceparent="nonsense")
    traces.begin(found)
    sent = TRACE_HEADERS.get()
    assert sent is not None
    assert sent["traceparent"].split("-")[1] == found.trace_id
    found.end(route="/x", status=200)
    traces.end(found)
    assert TRACE_HEADERS.get() is None
    traces.close()


def test_a_collector_that_is_down_does_not_hold_the_service_up() -> None:
    started = time.monotonic()
    traced("http://127.0.0.1:1")
    assert time.monotonic() - started < 12
