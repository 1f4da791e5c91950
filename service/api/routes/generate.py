"""Generation: the answer that a group would choose."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Request

from service.api.deps import Services, Tenant, while_connected
from service.api.errors import documented
from service.api.schemas.generate import GenerateIn, GenerateOut
from service.api.strict_json import JsonRoute

router = APIRouter(tags=["generate"], route_class=JsonRoute)


@router.post(
    "/generate",
    operation_id="generate",
    response_model_exclude_unset=True,
    responses=documented(400, 404, 413, 415, 422, 500, 502, 503, 504),
)
async def generate(
    request: Request, services: Services, tenant: Tenant, body: Annotated[GenerateIn, Body()]
) -> GenerateOut:
    """Draw n candidates, score them for the group, give back the best.

    A client that leaves stops the work.
    """
    asked = body.to_core(services.limits)
    result = await while_connected(request, services.steer.run(tenant, asked))
    return GenerateOut.of(result, many=asked.target.many, with_candidates=body.return_candidates)
