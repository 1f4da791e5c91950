"""A route for an endpoint that takes a strict JSON body and nothing else of the request.

FastAPI serves any signature by a general way, which takes longer than this; the document describes
these routes as it does all others.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from starlette.types import Receive, Scope, Send

from service.api.deps import tenant_of, use_cases_of
from service.api.strict_json import JsonRoute, body_of, parse

_MISSING = {"type": "missing", "loc": ("body",), "msg": "Field required", "input": None}


class StraightRoute(JsonRoute):
    """The endpoint is `(request, services, tenant, body) -> Response`."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        self.app = self._serve

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """What FastAPI would do. Raises Refusal, RequestValidationError, what the endpoint does."""
        request = Request(scope, receive, send)
        value = parse(await body_of(request))
        if value is None:
            raise RequestValidationError([_MISSING], body=value)
        assert self.body_field is not None
        body, faults = self.body_field.validate(value, loc=("body",))
        if faults:
            raise RequestValidationError(faults, body=value)
        response = await self.endpoint(
            request, services=use_cases_of(request), tenant=tenant_of(request), body=body
        )
        await response(scope, receive, send)
