"""Events come out whole however the bytes are cut, and a stream that breaks off is an error."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.client import (
    CandidateEvent,
    DeadlineExceeded,
    DoneEvent,
    ProtocolError,
    SelectedEvent,
)
from service.remote.sse import EventReader

CANDIDATE = (
    'event: candidate\ndata: {"index":0,"text":"Grüße 🌊","finish_reason":"stop",'
    '"tokens":3,"truncated":false,"score":0.5,"std":0.1,"later":1}\n\n'
)
SELECTED = 'event: selected\ndata: {"index":0,"text":"Grüße 🌊"}\n\n'
DONE = (
    'event: done\ndata: {"id":"gen_1","created":1,"model":"m","group_id":null,'
    '"group_version":null,"text":"Grüße 🌊","usage":{"prompt_tokens":1,"completion_tokens":2,'
    '"total_tokens":3},"seed":4,"timings":{}}\n\n'
)
STREAM = (
    ": begun\n\n" + CANDIDATE + ": ping\n\nevent: news\ndata: {\n\n" + SELECTED + DONE
).encode()


@given(st.lists(st.integers(0, len(STREAM)), max_size=12), st.booleans())
def test_any_cut_gives_the_same_events(cuts: list[int], carriage_returns: bool) -> None:
    sent = STREAM.replace(b"\n", b"\r\n") if carriage_returns else STREAM
    places = [0, *sorted(cuts), len(sent)]
    reader = EventReader("r-1")
    found = [
        event for start, end in itertools.pairwise(places) for event in reader.feed(sent[start:end])
    ]
    reader.end()
    assert [type(event) for event in found] == [CandidateEvent, SelectedEvent, DoneEvent]
    assert found[0].text == found[2].generation.text == "Grüße 🌊"
    assert found[0].model_extra == {"later": 1}


def test_a_stream_that_breaks_off_is_said() -> None:
    reader = EventReader("r-1")
    assert len(list(reader.feed((CANDIDATE + SELECTED + DONE[:40]).encode()))) == 2
    with pytest.raises(ProtocolError, match="broke off") as raised:
        reader.end()
    assert raised.value.request_id == "r-1"


def test_an_error_event_is_raised_after_what_came_before() -> None:
    problem = '{"status":504,"code":"deadline_exceeded","detail":"Too late.","request_id":"r-2"}'
    reader = EventReader("r-1")
    coming = reader.feed(f"{CANDIDATE}event: error\ndata: {problem}\n\n".encode())
    assert isinstance(next(coming), CandidateEvent)
    with pytest.raises(DeadlineExceeded, match="Too late") as raised:
        next(coming)
    assert (raised.value.status, raised.value.request_id) == (504, "r-2")


@pytest.mark.parametrize("data", ["{", "[]", '{"index":"x"}', ""])
def test_an_event_that_cannot_be_read_is_a_protocol_error(data: str) -> None:
    with pytest.raises(ProtocolError):
        list(EventReader(None).feed(f"event: candidate\ndata: {data}\n\n".encode()))
