"""The application: lifespan, edge, routes, error handlers; nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI
from fastapi.responses import RedirectResponse
from fastapi_offline import FastAPIOffline

from service.api import errors
from service.api.documentation import DESCRIPTION, describe
from service.api.drain import Drain, DrainGate
from service.api.edge import Edge
from service.api.head import Head
from service.api.observe import Observe
from service.api.routes import (
    generate,
    groups,
    metrics,
    openai,
    operations,
    predict,
    rerank,
    score,
    transfer,
)
from service.api.telemetry.telemetry import Telemetry
from service.settings import Settings
from service.wiring import Parts, build_use_cases, open_parts

_MB = 1_000_000


def create_app(settings: Settings, parts: Parts | None = None) -> FastAPI:
    """The service as an ASGI application.

    Without `parts` the lifespan opens those that the settings name, and closes them; given parts
    stay the caller's to close.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            opened = parts
            if opened is None:
                opened = await stack.enter_async_context(open_parts(settings))
            app.state.telemetry = opened.telemetry
            app.state.use_cases = use_cases = build_use_cases(settings, opened)
            stack.push_async_callback(use_cases.close)
            app.state.stopping = False
            yield

    drain = Drain()
    app = FastAPIOffline(
        title="gpo-serve",
        version=version("gpo-serve"),
        description=DESCRIPTION,
        lifespan=lifespan,
        redoc_url=None,
        redirect_slashes=False,
        strict_content_type=False,
        swagger_ui_parameters={"validatorUrl": None, "tryItOutEnabled": True},
    )
    # Routes are tried one after the other: the busiest come first.
    native = (predict, score, generate, transfer, groups, operations, metrics)
    for router in (module.router for module in native):
        app.include_router(router)
        app.include_router(router, prefix="/v1", include_in_schema=False)
    app.include_router(openai.router, prefix="/v1")
    app.include_router(rerank.router)
    app.add_api_route("/", _to_docs, include_in_schema=False)
    app.state.drain = drain
    app.add_middleware(Head)
    app.add_middleware(DrainGate, drain=drain)
    app.add_middleware(Edge, max_body_bytes=int(settings.max_body_mb * _MB))
    app.state.telemetry = Telemetry()  # until the lifespan brings that of the parts
    app.add_middleware(Observe)
    errors.install(app)
    describe(app)
    return app


async def _to_docs() -> RedirectResponse:
    return RedirectResponse("docs")
