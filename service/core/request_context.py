"""What a task knows of the request that it works for: its id, its trace, and whose it is.

Set by the edge; knows no log and no tracing library.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar

from service.core.domain import DEFAULT_TENANT

REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)

TRACE_HEADERS: ContextVar[Mapping[str, str] | None] = ContextVar("trace_headers", default=None)
"""For whatever is asked on behalf of the request; None where traces are off."""

TENANT: ContextVar[str] = ContextVar("tenant", default=DEFAULT_TENANT)
"""Whose request it is, for caches of what follows from texts alone: each tenant has its own, so
that no answer comes sooner because another tenant sent the same text. What holds a tenant's data
is given the tenant by name, never from here."""
