"""Prediction: how a group answers a question."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Request, Response

from service.api.deps import Services, Tenant, in_time
from service.api.errors import documented
from service.api.schemas.base import json_response
from service.api.schemas.predict import PredictIn, PredictOut
from service.api.straight import StraightRoute

router = APIRouter(tags=["predict"], route_class=StraightRoute)


@router.post(
    "/predict",
    operation_id="predict",
    response_model=PredictOut,
    responses=documented(400, 404, 413, 415, 422, 500, 502, 503, 504),
)
async def predict(
    request: Request, services: Services, tenant: Tenant, body: Annotated[PredictIn, Body()]
) -> Response:
    """The distribution of a group's answers over the options of a question."""
    target = body.target(services.limits)
    questions, at = body.to_questions()
    work = services.predict.run(tenant, target, questions, at=at)
    limit_s = services.limits.request_timeout_s
    return json_response(PredictOut.of(await in_time(request, work, seconds=limit_s)))
