"""The OpenAPI document: what FastAPI writes, with errors in the media type that they have."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

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


def describe(app: FastAPI, limits: Limits) -> None:
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
