"""What follows from a tenant's name where the name itself must not go."""

from __future__ import annotations

import hashlib

_SALT_CHARS = 32


def cache_salt(tenant: str) -> str:
    """What keeps a tenant's prompts apart in a generator's prefix cache; made of no secret.

    A cache that is shared would tell one tenant, by how soon an answer begins, which prompts
    another has sent.
    """
    return hashlib.sha256(f"gpo-serve cache salt\0{tenant}".encode()).hexdigest()[:_SALT_CHARS]
