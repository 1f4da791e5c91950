"""Says in a JSON Schema that exactly one of some fields is given; null counts as absent."""

from __future__ import annotations

from typing import Any


def either(*names: str) -> list[dict[str, Any]]:
    """The branches of a `oneOf`, one for each name."""
    return [
        {
            "required": [name],
            "properties": {other: _nullness(other != name) for other in names},
        }
        for name in names
    ]


def _nullness(null: bool) -> dict[str, Any]:
    return {"type": "null"} if null else {"not": {"type": "null"}}
