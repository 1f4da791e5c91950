"""Operations: is it alive, is it ready, what is it."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Response

from service.api.deps import Draining, Known, Services
from service.api.schemas.operations import (
    ComponentOut,
    LimitsOut,
    LiveOut,
    ReadyOut,
    VersionOut,
)

router = APIRouter(tags=["operations"])
# Looking at the parts costs a write; strangers can make no more of them than this.
_STRANGERS_S = 1.0


@router.get("/livez", operation_id="livez")
async def livez() -> LiveOut:
    """The process answers; asks nothing else."""
    return LiveOut()


@router.get(
    "/readyz",
    operation_id="readyz",
    response_model_exclude_unset=True,
    responses={503: {"model": ReadyOut}},
)
async def readyz(
    response: Response, services: Services, draining: Draining, known: Known
) -> ReadyOut:
    """Whether requests can be served, part by part; not while the service is shutting down.

    Where keys are needed, who sends none is told the status alone.
    """
    found = await services.readiness.run(max_age_s=0.0 if known else _STRANGERS_S)
    status: Literal["ready", "unavailable", "draining"] = "ready"
    if draining:
        status = "draining"
    elif not all(component.ok for component in found.values()):
        status = "unavailable"
    response.status_code = 200 if status == "ready" else 503
    if not known:
        return ReadyOut(status=status)
    return ReadyOut(
        status=status,
        components={name: ComponentOut(ok=c.ok, reason=c.reason) for name, c in found.items()},
    )


@router.get(
    "/health",
    operation_id="health",
    response_model_exclude_unset=True,
    responses={503: {"model": ReadyOut}},
)
async def health(
    response: Response, services: Services, draining: Draining, known: Known
) -> ReadyOut:
    """The same as `/readyz`, for those with a key where one is needed."""
    return await readyz(response, services, draining, known)


@router.get("/version", operation_id="version")
async def version(services: Services) -> VersionOut:
    """The version of the service, the models that it serves, and the caps on what is asked."""
    about = services.about()
    return VersionOut(
        version=about.version,
        generator=about.generator,
        scorer=about.scorer,
        embedder=about.embedder,
        limits=LimitsOut.of(services.limits),
        bank=about.bank,
    )
