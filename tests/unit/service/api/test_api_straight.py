"""A route that does without FastAPI's general way answers as one that goes it."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from fastapi import APIRouter
from fastapi.responses import Response
from fixtures.service_app import Bench

from service.api.routes.predict import predict
from service.api.strict_json import JsonRoute

GOOD = {"preferences": [], "question": "Which?", "options": ["On parks", "On roads"]}
JSON = {"content-type": "application/json"}


@pytest.fixture
def general(bench: Bench) -> str:
    """The address at which FastAPI itself serves the same endpoint."""
    router = APIRouter(route_class=JsonRoute)
    router.add_api_route("/general", predict, methods=["POST"], response_class=Response)
    bench.app.include_router(router)
    return "/general"


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (json.dumps(GOOD), JSON, 200),
        (json.dumps(GOOD), {}, 200),
        (json.dumps(GOOD), {"content-type": "application/problem+json; charset=utf-8"}, 200),
        (json.dumps(GOOD), {"content-type": "text/plain"}, 415),
        (json.dumps(GOOD), {**JSON, "content-encoding": "gzip"}, 415),
        ("", JSON, 400),
        ("{", JSON, 400),
        ("\ufeff{}", JSON, 400),
        ('{"question": "a", "question": "b"}', JSON, 400),
        ("null", JSON, 422),
        ("[]", JSON, 422),
        ('"text"', JSON, 422),
        ("{}", JSON, 422),
        (json.dumps({**GOOD, "options": ["a", 2], "flavour": "sweet"}), JSON, 422),
        (json.dumps({**GOOD, "group_id": "nobody"}), JSON, 422),
        (json.dumps({"group_id": "nobody", "question": "Q?", "options": ["a", "b"]}), JSON, 404),
    ],
)
async def test_both_ways_give_the_same_answer(
    bench: Bench, general: str, content: str, headers: dict[str, str], status: int
) -> None:
    answers = [
        await bench.client.post(path, content=content.encode(), headers=headers)
        for path in ("/predict", general)
    ]
    assert answers[0].status_code == status, answers[0].text
    assert comparable(answers[0]) == comparable(answers[1])


def comparable(response: httpx.Response) -> tuple[int, str, Any]:
    """What does not differ between two requests."""
    body = response.json()
    for name in ("request_id", "instance", "timings"):
        body.pop(name, None)
    return response.status_code, response.headers["content-type"], body
