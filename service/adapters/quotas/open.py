"""From the settings to the meters: which quotas there are, and where they are counted."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from limits import RateLimitItem, parse_many

from service.adapters.quotas.meters import WindowMeter
from service.adapters.quotas.shared_count import SharedCount
from service.core.quotas import Meter, Resource
from service.settings import Settings, SettingsError


@asynccontextmanager
async def open_meters(settings: Settings) -> AsyncIterator[Mapping[Resource, Meter]]:
    """A meter for each quota that is set; in Redis where that is the store.

    Raises SettingsError for a quota that cannot be read, StoreUnavailable for a wrong URL.
    """
    rates: dict[Resource, str | None] = {
        "requests": settings.rate_requests,
        "candidates": settings.rate_candidates,
    }
    items = {name: parse_rate(rate, name) for name, rate in rates.items() if rate is not None}
    if not items:
        yield {}
        return
    shared = None if settings.store_url.startswith("sqlite:") else SharedCount(settings.store_url)
    try:
        yield {name: WindowMeter(item, shared) for name, item in items.items()}
    finally:
        if shared is not None:
            await shared.close()


def parse_rate(text: str, resource: Resource) -> RateLimitItem:
    """One quota, such as 100/minute or 1000 per 2 hours. Raises SettingsError."""
    setting = f"GPO_RATE_{resource.upper()}"
    try:
        found = parse_many(text)
    except ValueError as exc:
        raise SettingsError(
            f"{setting}={text!r} is not a quota; write 100/minute, 2000/hour or 5 per 10 seconds"
        ) from exc
    if len(found) > 1:
        raise SettingsError(f"{setting}={text!r} names {len(found)} quotas; name one")
    [item] = found
    if not item.amount:
        raise SettingsError(f"{setting}={text!r} allows nothing; name at least 1")
    item.namespace = resource
    return item
