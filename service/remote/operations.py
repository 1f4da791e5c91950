"""The calls for operations. The clients take their methods from here."""

from __future__ import annotations

from service.remote.answers import Liveness, Readiness, Version, read
from service.remote.call import Call


def live() -> Call[Liveness]:
    """Whether the process answers."""
    return Call(method="GET", path="/livez", read=lambda response: read(Liveness, response))


def ready() -> Call[Readiness]:
    """Whether requests can be served, and if not, what is down; that is no error here."""
    return Call(
        method="GET",
        path="/readyz",
        answers=frozenset({200, 503}),
        read=lambda response: read(Readiness, response),
    )


def version() -> Call[Version]:
    """The version of the service and the models that it serves."""
    return Call(method="GET", path="/version", read=lambda response: read(Version, response))
