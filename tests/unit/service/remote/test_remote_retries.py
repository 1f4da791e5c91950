"""What is sent again and what is not, over real sockets: a write is never done twice."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Any

import pytest
from fixtures.raw_http import HANG_UP, problem, reply, scripted

from service.client import (
    AsyncGPOClient,
    ConnectionFailed,
    GPOClient,
    GPOError,
    NotFound,
    Overloaded,
    PreconditionFailed,
    RateLimited,
    Retries,
    TimedOut,
    Unavailable,
)

QUICK = Retries(most=2, backoff_s=0.01)
NOW = "2026-01-02T03:04:05Z"
GROUP = {
    "id": "town",
    "name": "Town",
    "description": None,
    "metadata": None,
    "version": 3,
    "preference_count": 0,
    "context_tokens": 0,
    "embedder": "e",
    "created_at": NOW,
    "updated_at": NOW,
}
VERSION = {"version": "0", "generator": "g", "scorer": "s", "embedder": "e"}
BUSY = problem(503, "overloaded", "Retry-After: 0")
DRAINING = problem(503, "draining", "Retry-After: 0")
STORE = problem(503, "store_unavailable")
QUOTA = problem(429, "rate_limited", "Retry-After: 0")

Does = Callable[[GPOClient], Any]
CREATE: Does = lambda c: c.groups.create(name="Town", preferences=[])  # noqa: E731
PUT: Does = lambda c: c.groups.put("town", name="Town", preferences=[])  # noqa: E731
PUT_IF: Does = lambda c: c.groups.put("town", name="T", preferences=[], if_match=2)  # noqa: E731
APPEND: Does = lambda c: c.groups.append("town", [])  # noqa: E731
APPEND_ANY: Does = lambda c: c.groups.append("town", [], if_match="*")  # noqa: E731
APPEND_IF: Does = lambda c: c.groups.append("town", [], if_match='"2"')  # noqa: E731
DELETE: Does = lambda c: c.groups.delete("town")  # noqa: E731
READ: Does = lambda c: c.version()  # noqa: E731
RIGHT = {CREATE: reply(201, GROUP), READ: reply(200, VERSION), DELETE: reply(204)}


def right(does: Does) -> bytes:
    return RIGHT.get(does, reply(200, GROUP))


@pytest.mark.parametrize("first", [BUSY, STORE, HANG_UP], ids=["busy", "store", "hang up"])
@pytest.mark.parametrize(
    "does",
    [CREATE, PUT, PUT_IF, APPEND, APPEND_ANY, APPEND_IF, DELETE, READ],
    ids=["create", "put", "put if", "append", "append any", "append if", "delete", "read"],
)
def test_what_changes_no_more_when_it_is_repeated_is_repeated(does: Does, first: bytes) -> None:
    with scripted(first, first, right(does)) as server, GPOClient(server.url, retries=QUICK) as c:
        does(c)
        assert len(server.heads) == 3
        assert len(set(server.bodies)) == 1


@pytest.mark.parametrize("does", [CREATE, APPEND], ids=["create", "append"])
def test_an_addition_is_repeated_under_one_key_and_two_additions_have_two(does: Does) -> None:
    with (
        scripted(BUSY, right(does), right(does)) as server,
        GPOClient(server.url, retries=QUICK) as client,
    ):
        does(client)
        does(client)
    keys = [_header(head, "idempotency-key") for head in server.heads]
    assert keys[0] == keys[1] != keys[2]


@pytest.mark.parametrize("first", [BUSY, DRAINING, QUOTA], ids=["busy", "draining", "quota"])
def test_an_append_that_was_refused_is_repeated(first: bytes) -> None:
    with scripted(first, right(APPEND)) as server, GPOClient(server.url, retries=QUICK) as client:
        assert APPEND(client).version == 3


@pytest.mark.parametrize("first", [STORE, HANG_UP], ids=["store", "hang up"])
def test_an_append_that_is_given_up_may_have_been_done(first: bytes) -> None:
    once = Retries(most=0)
    with scripted(first) as server, GPOClient(server.url, retries=once) as client:
        with pytest.raises((Unavailable, ConnectionFailed)) as raised:
            APPEND(client)
        assert raised.value.maybe_done


def test_a_lost_answer_shows_in_what_the_repetition_raises() -> None:
    moved = problem(412, "version_mismatch")
    with scripted(HANG_UP, moved, moved) as server, GPOClient(server.url, retries=QUICK) as client:
        with pytest.raises(PreconditionFailed) as unsure:
            PUT_IF(client)
        with pytest.raises(PreconditionFailed) as sure:
            PUT_IF(client)
    assert (unsure.value.maybe_done, sure.value.maybe_done) == (True, False)


def test_a_deletion_whose_answer_was_lost_is_done_when_the_group_is_gone() -> None:
    gone = problem(404, "group_not_found")
    with scripted(HANG_UP, gone, gone) as server, GPOClient(server.url, retries=QUICK) as client:
        DELETE(client)
        with pytest.raises(NotFound):
            DELETE(client)


def test_tries_are_bounded_and_the_last_error_is_raised() -> None:
    with scripted(*[BUSY] * 5) as server, GPOClient(server.url, retries=QUICK) as client:
        with pytest.raises(Overloaded) as raised:
            READ(client)
        assert len(server.heads) == 3
    assert (raised.value.status, raised.value.code) == (503, "overloaded")
    assert raised.value.maybe_done is False


def test_retry_after_is_waited_out() -> None:
    busy = problem(503, "overloaded", "Retry-After: 1")
    with scripted(busy, right(READ)) as server, GPOClient(server.url, retries=QUICK) as client:
        started = time.monotonic()
        READ(client)
    assert time.monotonic() - started >= 1.0


def test_a_long_retry_after_is_not_waited_for() -> None:
    quota = problem(429, "rate_limited", "Retry-After: 3600")
    with scripted(quota, right(READ)) as server, GPOClient(server.url, retries=QUICK) as client:
        with pytest.raises(RateLimited) as raised:
            READ(client)
        assert len(server.heads) == 1
    assert raised.value.retry_after_s == 3600


@pytest.mark.parametrize("does", [READ, APPEND], ids=["read", "append"])
def test_a_refused_connection_is_tried_again_whatever_the_call(does: Does) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    started = time.monotonic()
    with (
        GPOClient(url, retries=Retries(most=2, backoff_s=0.1)) as client,
        pytest.raises(ConnectionFailed, match="no server answers at") as raised,
    ):
        does(client)
    assert time.monotonic() - started >= 0.15  # at least half of 0.1 + 0.2
    assert raised.value.maybe_done is False
    assert raised.value.status is None


def test_a_time_out_is_not_repeated() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with (
            GPOClient(url, timeout_s=0.2, retries=QUICK) as client,
            pytest.raises(TimedOut) as raised,
        ):
            APPEND(client)
        assert raised.value.maybe_done
        silent.setblocking(False)
        silent.accept()[0].close()
        with pytest.raises(BlockingIOError):
            silent.accept()


async def test_the_asynchronous_client_does_the_same() -> None:
    answers = (BUSY, right(CREATE), HANG_UP, *[BUSY] * 2, problem(404, "group_not_found"))
    with scripted(*answers) as server:
        async with AsyncGPOClient(server.url, retries=QUICK) as client:
            assert (await client.groups.create(name="Town", preferences=[])).etag == '"3"'
            with pytest.raises(GPOError) as raised:
                await client.groups.append("town", [])
            assert raised.value.maybe_done
            with pytest.raises(NotFound):
                await client.groups.get("town")
        assert server.answers == []


def _header(head: str, name: str) -> str:
    lines = (line.partition(": ") for line in head.split("\r\n")[1:])
    return next(value for key, _, value in lines if key.lower() == name)
