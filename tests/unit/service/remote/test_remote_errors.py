"""Statuses become the errors of the tree, whatever the body is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

from service import client
from service.remote.errors import FieldError, error_of


def answer(status: int, **fields: object) -> client.GPOError:
    return error_of(httpx.Response(status, json={"detail": "No.", "errors": [], **fields}))


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "bad_request", client.InvalidRequest),
        (401, "unauthorized", client.Unauthorized),
        (404, "group_not_found", client.NotFound),
        (405, "method_not_allowed", client.InvalidRequest),
        (409, "group_exists", client.Conflict),
        (412, "version_mismatch", client.PreconditionFailed),
        (413, "input_too_large", client.TooLarge),
        (415, "unsupported_media_type", client.InvalidRequest),
        (418, "teapot", client.InvalidRequest),
        (422, "invalid_input", client.InvalidRequest),
        (422, "idempotency_conflict", client.Conflict),
        (429, "rate_limited", client.RateLimited),
        (500, "internal_error", client.ServerFailed),
        (500, "scorer_failed", client.ServerFailed),
        (502, "scorer_failed", client.ServerFailed),
        (502, "generator_failed", client.GeneratorFailed),
        (503, "store_unavailable", client.Unavailable),
        (503, "overloaded", client.Overloaded),
        (503, "draining", client.Overloaded),
        (504, "deadline_exceeded", client.DeadlineExceeded),
        (307, None, client.ProtocolError),
    ],
)
def test_each_status_has_its_error(status: int, code: str | None, kind: type) -> None:
    error = answer(status, code=code, request_id="r-1")
    assert type(error) is kind
    assert (error.status, error.code, error.request_id) == (status, code, "r-1")
    assert str(error) == error.detail == "No."


def test_the_fields_are_named() -> None:
    error = answer(422, errors=[{"pointer": "/preferences/1/score", "detail": "is required"}])
    assert error.errors == (FieldError("/preferences/1/score", "is required"),)


@pytest.mark.parametrize(
    "content", [b"<html>Bad gateway</html>", b"", b"[]", b"null", b'"x"', b"\xff\xfe", b"{}"]
)
def test_a_proxys_page_is_an_error_too(content: bytes) -> None:
    error = error_of(httpx.Response(502, content=content, headers={"x-request-id": "from-head"}))
    assert isinstance(error, client.GeneratorFailed)
    assert "502" in error.detail
    assert error.request_id == "from-head"


@pytest.mark.parametrize("errors", [None, 3, [3, None], [{"pointer": 1}], {"a": "b"}])
def test_fields_of_other_types_do_no_harm(errors: object) -> None:
    assert answer(422, errors=errors, code=7, detail=["x"]).detail == "the answer was 422"


@pytest.mark.parametrize(
    ("header", "expected"),
    [("7", 7.0), (" 0 ", 0.0), ("soon", None), ("-3", None), ("", None), ("9" * 400, float("inf"))],
)
def test_retry_after_in_seconds(header: str, expected: float | None) -> None:
    response = httpx.Response(503, json={}, headers={"Retry-After": header})
    assert error_of(response).retry_after_s == expected


def test_retry_after_as_a_date() -> None:
    coming = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    past = format_datetime(datetime.now(UTC) - timedelta(days=1), usegmt=True)
    found = [
        error_of(httpx.Response(503, json={}, headers={"Retry-After": date})).retry_after_s
        for date in (coming, past)
    ]
    assert found[0] == pytest.approx(90, abs=5)
    assert found[1] == 0
