"""From a URL to a store: the one place that knows which stores there are."""

from __future__ import annotations

from pathlib import Path

from service.adapters.stores.redis_client import SCHEMES
from service.adapters.stores.redis_store import RedisStore
from service.adapters.stores.sqlite_store import SqliteStore
from service.core.errors import StoreUnavailable
from service.core.ports import GroupStore

_SQLITE = "sqlite:///"


def open_store(url: str) -> GroupStore:
    """The store that a URL names: sqlite:///relative, sqlite:////absolute, redis://….

    Redis also as rediss://, unix:// and redis+sentinel://host:port,host:port/primary/db.

    A SQLite file is created and migrated at once. Redis is first spoken to by the first call, so
    that a service starts while Redis is down. Raises StoreUnavailable, without the URL's password.
    """
    if url.startswith(_SQLITE):
        name = url.removeprefix(_SQLITE)
        if not name or name.startswith(":memory:"):
            raise StoreUnavailable("The store URL names no file; write sqlite:///name.db.")
        return SqliteStore(Path(name))
    if url.startswith(SCHEMES):
        return RedisStore(url)
    scheme = url.partition(":")[0]
    raise StoreUnavailable(
        f"No store knows the scheme {scheme[:20]!r}: use sqlite:/// or redis://."
    )
