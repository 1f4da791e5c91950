"""What the HTTP edge itself refuses, before a use case is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fastapi import HTTPException

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


class ClientGone(Exception):
    """The client closed its connection; nobody reads the answer."""
