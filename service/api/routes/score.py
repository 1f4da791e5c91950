"""Scoring: how far a group approves of given responses."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Request, Response

from service.api.deps import Services, Tenant, in_time
from service.api.errors import documented
from service.api.schemas.base import json_response
from service.api.schemas.score import ScoreIn, ScoreOut
from service.api.straight import StraightRoute

router = APIRouter(tags=["score"], route_class=StraightRoute)


@router.post(
    "/score",
    operation_id="score",
    response_model=ScoreOut,
    responses=documented(400, 404, 413, 415, 422, 500, 502, 503, 504),
)
async def score(
    request: Request, services: Services, tenant: Tenant, body: Annotated[ScoreIn, Body()]
) -> Response:
    """The share of a group that would approve of each response, in the order sent."""
    target = body.target(services.limits)
    work = services.score.run(tenant, target, body.prompt, body.responses)
    limit_s = services.limits.request_timeout_s
    return json_response(ScoreOut.of(await in_time(request, work, seconds=limit_s)))
