"""The application: lifespan, edge, routes, error handlers; nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline

from service.api import errors
from service.api.auth import Guard
from service.api.documentation import DESCRIPTION, add_docs_page, describe
from service.api.drain import Drain, DrainGate
from service.api.edge import Edge
from service.api.head import Head
from service.api.observe import Observe
from service.api.quotas import Quotas
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
from service.api.shield import Shield
from service.api.telemetry.telemetry import Telemetry
from service.api.web import PREFIX, add_page
from service.core.domain import DEFAULT_TENANT
from service.settings import Settings
from service.wiring import Parts, build_use_cases, limits_of, open_parts

_KB = 1_000
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
            app.state.meters = opened.meters
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
        docs_url=None,
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
    add_page(app)
    add_docs_page(app)
    app.state.drain = drain
    app.state.open_tenant = None if settings.keys else DEFAULT_TENANT
    app.add_middleware(Head)
    app.add_middleware(DrainGate, drain=drain)
    if settings.rate_requests or settings.rate_candidates:
        app.add_middleware(Quotas)
    app.add_middleware(Edge, max_body_bytes=int(settings.max_body_mb * _MB))
    if settings.keys:
        app.add_middleware(Guard, keys=settings.keys, open_prefixes=(PREFIX,))
    app.add_middleware(Shield, max_head_bytes=int(settings.max_head_kb * _KB))
    app.state.telemetry = Telemetry()  # until the lifespan brings that of the parts
    app.add_middleware(Observe)
    errors.install(app)
    describe(app, limits_of(settings), needs_key=bool(settings.keys))
    return app
