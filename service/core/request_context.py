"""What the request is known by for whom a task works: its id, and the trace that it belongs to.

Set by the edge; knows no log and no tracing library.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar

REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)

TRACE_HEADERS: ContextVar[Mapping[str, str] | None] = ContextVar("trace_headers", default=None)
"""For whatever is asked on behalf of the request; None where traces are off."""
