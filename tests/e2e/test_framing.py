"""Requests that are framed oddly, or are none at all: a problem or no answer, never a fault."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator

import httpx
import pytest
from fixtures.serve_process import ServeProcess, serving
from fixtures.wire import check, raw

GOOD = json.dumps({"name": "Framed", "preferences": []}).encode()
NOISE = bytes(random.Random(7).randrange(256) for _ in range(4_000))


def post(*headers: bytes, body: bytes = GOOD) -> bytes:
    """A POST that frames its body only as the headers say."""
    lines = [b"POST /groups HTTP/1.1", b"Host: x", b"Content-Type: application/json", *headers]
    return b"\r\n".join([*lines, b"", body])


def get(target: bytes, *headers: bytes, version: bytes = b"HTTP/1.1") -> bytes:
    """A GET of this target."""
    return b"\r\n".join([b"GET " + target + b" " + version, *headers, b"", b""])


HOST = b"Host: x"
CHUNKED = b"Transfer-Encoding: chunked"
FRAMES = {
    "no length": post(),
    "short length": post(b"Content-Length: 5"),
    "long length": post(b"Content-Length: 9999"),
    "no number": post(b"Content-Length: ten"),
    "negative": post(b"Content-Length: -1"),
    "huge length": post(b"Content-Length: " + b"9" * 40),
    "over the cap": post(b"Content-Length: 9999999", body=b""),
    "two lengths": post(b"Content-Length: 5", b"Content-Length: 6"),
    "length and chunks": post(b"Content-Length: 5", CHUNKED, body=b"0\r\n\r\n"),
    "chunks": post(CHUNKED, body=b"%x\r\n%b\r\n0\r\n\r\n" % (len(GOOD), GOOD)),
    "no chunk size": post(CHUNKED, body=b"zz\r\nabc\r\n"),
    "huge chunk": post(CHUNKED, body=b"f" * 20 + b"\r\nabc"),
    "broken chunk": post(CHUNKED, body=b"5\r\nab"),
    "other coding": post(b"Transfer-Encoding: gzip"),
    "two codings": post(b"Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"),
    "obscured coding": post(b"Transfer-Encoding: xchunked", b"Content-Length: 2", body=b"{}"),
    "space before the colon": post(b"Content-Length : 2", body=b"{}"),
    "other expectation": post(b"Expect: 200-ok", b"Content-Length: 2", body=b"{}"),
    "no host": get(b"/livez"),
    "old": get(b"/livez", version=b"HTTP/1.0"),
    "other version": get(b"/livez", HOST, version=b"HTTP/3.7"),
    "absolute": get(b"http://elsewhere/livez", HOST),
    "star": b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
    "no slash": get(b"livez", HOST),
    "fragment": get(b"/livez#x", HOST),
    "raw bytes": get(b"/\xff\xfe", HOST),
    "raw null": get(b"/\x00", HOST),
    "space in the target": get(b"/a b", HOST),
    "lower case": b"get /livez HTTP/1.1\r\nHost: x\r\n\r\n",
    "no name": get(b"/livez", HOST, b": x"),
    "no colon": get(b"/livez", HOST, b"nonsense"),
    "folded": get(b"/livez", HOST, b"X-A: a", b" b"),
    "null in a header": get(b"/livez", HOST, b"X-A: a\x00b"),
    "control bytes in a header": get(b"/livez", HOST, b"X-Request-Id: a\x01\x7f\x1b[2Jb"),
    "bare line feeds": b"GET /livez HTTP/1.1\nHost: x\n\n",
    "many headers": get(b"/livez", HOST, *[b"X-A: b"] * 3_000),
    "long header": get(b"/livez", HOST, b"X-A: " + b"b" * 200_000),
    "long target": get(b"/" + b"a" * 200_000, HOST),
    "upgrade": get(b"/livez", HOST, b"Connection: Upgrade", b"Upgrade: websocket"),
    "http 2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "empty lines": b"\r\n\r\n",
    "two requests": get(b"/livez", HOST) + get(b"/version", HOST),
    "noise": NOISE,
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServeProcess]:
    settings = {"GPO_MAX_BODY_MB": "0.3", "GPO_LOG_LEVEL": "warning"}
    with serving(tmp_path_factory.mktemp("framing"), **settings) as running:
        yield running
        assert "Traceback" not in running.said


@pytest.mark.parametrize("sent", FRAMES.values(), ids=list(FRAMES))
def test_odd_framing(service: ServeProcess, sent: bytes) -> None:
    for answer in raw(service, sent):
        check(answer)
    assert httpx.get(f"{service.url}/livez").status_code == 200


def test_a_chunked_body_is_read(service: ServeProcess) -> None:
    [answer] = raw(service, FRAMES["chunks"])
    assert answer.status_code == 201


def test_what_is_no_request_is_a_problem(service: ServeProcess) -> None:
    [answer] = raw(service, b"nonsense\r\n\r\n")
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_request")
    check(answer)


def test_a_request_behind_a_short_body_is_not_taken_for_one(service: ServeProcess) -> None:
    inner = b"DELETE /groups/framed HTTP/1.1\r\nHost: x\r\n\r\n"
    answers = raw(service, post(b"Content-Length: 0", CHUNKED, body=b"0\r\n\r\n" + inner))
    # Both headers at once is how requests are smuggled: refused, or the connection ends with it.
    assert len(answers) <= 1
