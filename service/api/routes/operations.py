"""Operations: is it alive, is it ready, what is it."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Response

from service.api.deps import Draining, Services
from service.api.schemas.operations import ComponentOut, LiveOut, ReadyOut, VersionOut

router = APIRouter(tags=["operations"])


@router.get("/livez", operation_id="livez")
async def livez() -> LiveOut:
    """The process answers; asks nothing else."""
    return LiveOut()


@router.get("/readyz", operation_id="readyz", responses={503: {"model": ReadyOut}})
async def readyz(response: Response, services: Services, draining: Draining) -> ReadyOut:
    """Whether requests can be served, part by part; not while the service is shutting down."""
    found = await services.readiness.run()
    status: Literal["ready", "unavailable", "draining"] = "ready"
    if draining:
        status = "draining"
    elif not all(component.ok for component in found.values()):
        status = "unavailable"
    response.status_code = 200 if status == "ready" else 503
    return ReadyOut(
        status=status,
        components={name: ComponentOut(ok=c.ok, reason=c.reason) for name, c in found.items()},
    )


@router.get("/health", operation_id="health", responses={503: {"model": ReadyOut}})
async def health(response: Response, services: Services, draining: Draining) -> ReadyOut:
    """The same as `/readyz`."""
    return await readyz(response, services, draining)


@router.get("/version", operation_id="version")
async def version(services: Services) -> VersionOut:
    """The version of the service and the models that it serves."""
    about = services.about()
    return VersionOut(
        version=about.version,
        generator=about.generator,
        scorer=about.scorer,
        embedder=about.embedder,
    )
