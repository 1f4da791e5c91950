"""What the HTTP edge itself refuses, before a use case is asked, and how that is answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fastapi import HTTPException, Response
from starlette.types import Scope

from service.api.problems import problem_response
from service.core.errors import FieldError


class Refusal(HTTPException):
    """A request that the edge refuses.

    An HTTPException, because FastAPI lets only those pass unchanged out of reading a body.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, detail, dict(headers) if headers else None)
        self.code = code
        self.errors = tuple(errors)

    def response(self, scope: Scope) -> Response:
        """The problem, where no handler of exceptions is in between."""
        return problem_response(
            scope,
            status=self.status_code,
            code=self.code,
            detail=self.detail,
            errors=self.errors,
            headers=self.headers,
        )


class ClientGone(Exception):
    """The client closed its connection; nobody reads the answer."""
