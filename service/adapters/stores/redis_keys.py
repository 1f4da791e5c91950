"""The names of a tenant's keys in Redis, all under one hash tag."""

from __future__ import annotations

from urllib.parse import quote


def keys(tenant: str, name: str | None, *parts: str) -> list[str]:
    """The keys of each part, for one group or other thing of this name."""
    # Quoted, so that a brace in the tenant's name cannot end the hash tag.
    prefix = f"gpo:{{{quote(tenant, safe='')}}}"
    suffix = "" if name is None else f":{name}"
    return [f"{prefix}:{part}{suffix}" for part in parts]
