"""Reranking for Cohere's and Jina's clients: documents in the order that a group prefers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Request

from service.api.deps import Services, Tenant, UseCases, in_time
from service.api.errors import documented
from service.api.named_groups import GroupHeader, one_group
from service.api.schemas.rerank import RerankIn, RerankOut
from service.api.strict_json import JsonRoute
from service.core.contexts import Target
from service.core.errors import FieldError, InvalidInput
from service.core.served import SEPARATOR, group_of

router = APIRouter(tags=["rerank"], route_class=JsonRoute)
_ROUTE: dict[str, Any] = {
    "response_model_exclude_unset": True,
    "responses": documented(400, 404, 413, 415, 422, 500, 502, 503, 504),
}


@router.post("/v1/rerank", operation_id="rerank", **_ROUTE)
async def rerank(
    request: Request,
    services: Services,
    tenant: Tenant,
    body: Annotated[RerankIn, Body()],
    x_group_id: GroupHeader = None,
) -> RerankOut:
    """The documents that a group would approve of most as answers to the query, best first."""
    return await _rerank(request, services, tenant, body, x_group_id, version="1")


@router.post("/v2/rerank", operation_id="rerank_v2", **_ROUTE)
async def rerank_v2(
    request: Request,
    services: Services,
    tenant: Tenant,
    body: Annotated[RerankIn, Body()],
    x_group_id: GroupHeader = None,
) -> RerankOut:
    """The same as `/v1/rerank`."""
    return await _rerank(request, services, tenant, body, x_group_id, version="2")


async def _rerank(
    request: Request,
    services: UseCases,
    tenant: str,
    body: RerankIn,
    header: str | None,
    *,
    version: Literal["1", "2"],
) -> RerankOut:
    scorer = services.about().scorer
    served = [scorer, scorer.rpartition(SEPARATOR)[0] or scorer]  # the digest may be left out
    named = None if body.model is None else group_of(body.model, served)
    group_id = one_group(model=named, body=body.group_id, header=header)
    if group_id is None:
        raise InvalidInput([FieldError("/group_id", "name the group whose order is asked for")])
    body.check(services.limits)
    target = Target(group_ids=(group_id,))
    work = services.score.run(tenant, target, body.query, body.documents)
    limit_s = services.limits.request_timeout_s
    return RerankOut.of(await in_time(request, work, seconds=limit_s), body, version=version)
