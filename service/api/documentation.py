"""The OpenAPI document: what FastAPI writes, with errors in the media type that they have, what any
route may refuse, and how a key is sent. And the page that shows it.
"""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Any

from fastapi import FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.openapi.utils import get_openapi
from starlette.responses import HTMLResponse

from service.api.auth import OPEN_PATHS
from service.api.document import complete
from service.api.problems import MEDIA_TYPE
from service.core.limits import Limits

DESCRIPTION = """
Register a group of people with a few of its preferences; then ask how it would answer a question
(`/predict`), how far it would approve of texts (`/score`), or for the answer that it would choose
(`/generate`). No fine-tuning: the preferences are the context of a small model that was trained to
read them.

Every route also answers under `/v1`. Every error is a problem (RFC 9457) that names the field.
"""


SCHEME = "bearer"
_SECURITY = {
    "type": "http",
    "scheme": "bearer",
    "description": "A key of `GPO_API_KEYS`, where the service has any.",
}
_HEADERS: dict[int, dict[str, Any]] = {
    401: {
        "WWW-Authenticate": {
            "description": "What to send.",
            "required": True,
            "schema": {"type": "string", "enum": ["Bearer"]},
        }
    },
    429: {
        "Retry-After": {
            "description": "Seconds after which it fits.",
            "required": True,
            "schema": {"type": "integer", "minimum": 1},
        }
    },
}
_REFUSALS = {
    401: "No key, or none that is known here. Only where keys are set.",
    414: "The address is too long.",
    429: "The quota of the key is used up. Only where quotas are set.",
    431: "The headers are too large.",
}
_STATIC = "/static-offline-docs"
_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)


def add_docs_page(app: FastAPI) -> None:
    """Serve Swagger's page, whose files this service has, under a policy that knows its script."""

    async def docs(request: Request) -> HTMLResponse:
        root = request.scope.get("root_path", "")
        page = get_swagger_ui_html(
            openapi_url=f"{root}{app.openapi_url}",
            title=f"{app.title} - Swagger UI",
            swagger_js_url=f"{root}{_STATIC}/swagger-ui-bundle.js",
            swagger_css_url=f"{root}{_STATIC}/swagger-ui.css",
            swagger_favicon_url=f"{root}{_STATIC}/favicon.png",
            swagger_ui_parameters=app.swagger_ui_parameters,
        )
        page.headers["Content-Security-Policy"] = _policy(bytes(page.body).decode())
        return page

    app.add_api_route("/docs", docs, include_in_schema=False)


def _policy(page: str) -> str:
    """Lets the page's own script run and no other; Swagger's styles are in its elements."""
    digests = (hashlib.sha256(script.encode()).digest() for script in _SCRIPT.findall(page))
    scripts = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return (
        f"default-src 'none'; script-src 'self' {scripts}; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; font-src 'self' data:; connect-src 'self'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    )


def describe(app: FastAPI, limits: Limits, *, needs_key: bool = False) -> None:
    """Make `app` give out its OpenAPI document with errors as problems and the limits as caps."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = get_openapi(
                title=app.title,
                version=app.version,
                description=app.description,
                routes=app.routes,
                tags=app.openapi_tags,
            )
            _as_problems(app.openapi_schema)
            _add_refusals(app.openapi_schema)
            _add_security(app.openapi_schema, needs_key=needs_key)
            complete(app.openapi_schema, limits)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _as_problems(document: dict[str, Any]) -> None:
    for path in document["paths"].values():
        for operation in path.values():
            for status, response in operation["responses"].items():
                content = response.get("content", {})
                schema = content.get("application/json", {}).get("schema", {})
                if status >= "400" and schema.get("$ref", "").endswith("/Problem"):
                    content[MEDIA_TYPE] = content.pop("application/json")


def _add_refusals(document: dict[str, Any]) -> None:
    """What is answered before a route is looked for."""
    schema = {"$ref": "#/components/schemas/Problem"}
    for path, methods in document["paths"].items():
        statuses = [s for s in _REFUSALS if s in (414, 431) or path not in OPEN_PATHS]
        for operation in methods.values():
            for status in statuses:
                response: dict[str, Any] = {
                    "description": _REFUSALS[status],
                    "content": {MEDIA_TYPE: {"schema": schema}},
                }
                response["headers"] = dict(_HEADERS.get(status, {}))
                operation["responses"].setdefault(str(status), response)
            operation["responses"] = dict(sorted(operation["responses"].items()))


def _add_security(document: dict[str, Any], *, needs_key: bool) -> None:
    document["components"].setdefault("securitySchemes", {})[SCHEME] = _SECURITY
    keyed: dict[str, list[str]] = {SCHEME: []}
    document["security"] = [keyed] if needs_key else [keyed, {}]
    for path, methods in document["paths"].items():
        if path in OPEN_PATHS:
            for operation in methods.values():
                operation["security"] = []
