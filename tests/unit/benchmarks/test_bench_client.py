"""Reading answers off the wire, and load over a real socket."""

from __future__ import annotations

import os

import pytest
from fixtures.openai_fake import Reply, fake_server
from fixtures.openai_fake import Request as Received

from measuring.client import Answer, Connection, Request, read_answer
from measuring.processes import cpu_seconds, family, rss_mb
from measuring.traffic import BROKEN, stream_status, version_of

PLAIN = b'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: "7"\r\n\r\nhello'
CHUNKED = (
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n0\r\n\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
)


@pytest.mark.parametrize(("wire", "body"), [(PLAIN, b"hello"), (CHUNKED, b"0\r\n\r\nabc")])
def test_an_answer_is_read_only_when_all_of_it_is_there(wire: bytes, body: bytes) -> None:
    for length in range(len(wire)):
        assert read_answer(bytearray(wire[:length])) is None
    answer = read_answer(bytearray(wire))
    assert answer is not None
    assert (answer.status, answer.body) == (200, body)


def test_the_version_is_in_the_etag() -> None:
    answer = read_answer(bytearray(PLAIN))
    assert answer is not None
    assert version_of(answer) == 7


def test_a_stream_is_judged_by_its_last_event() -> None:
    whole = Answer(200, {}, b": begun\n\nevent: candidate\ndata: {}\n\nevent: done\ndata: {}\n\n")
    failed = Answer(200, {}, b'event: error\ndata: {"status":504}\n\n')
    cut = Answer(200, {}, b"event: candidate\ndata: {}\n\n")
    assert [stream_status(answer) for answer in (whole, failed, cut)] == ["200", "504", BROKEN]


async def test_a_connection_sends_one_request_after_the_other() -> None:
    async def echo(request: Received) -> Reply:
        return Reply(200, request.body)

    async with fake_server(echo) as server:
        connection = Connection(server.url)
        answers = [await connection.send(Request.json("POST", "/x", {"i": i})) for i in range(3)]
        connection.close()
    assert [answer.json() for answer in answers] == [{"i": i} for i in range(3)]


def test_this_process_has_used_time_and_memory() -> None:
    assert os.getpid() in family(os.getpid())
    assert cpu_seconds(os.getpid()) > 0
    assert 1 < rss_mb(os.getpid()) < 100_000
