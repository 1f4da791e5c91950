"""How much a key may ask for in a time: what a count says, and what takes from it.

Knows no library that counts and no HTTP.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from service.core.errors import FieldError, InputTooLarge, RateLimited

Resource = Literal["requests", "candidates"]


@dataclass(frozen=True, slots=True)
class Standing:
    """A quota after something was asked of it.

    `left` of `most` remain, all of it again after `reset_s` seconds without further use. What was
    not granted took nothing, and fits after `wait_s` seconds; None if it never does.
    """

    granted: bool
    most: int
    left: int
    reset_s: float
    wait_s: float | None


class Meter(Protocol):
    """Counts what each caller takes of one resource, for all replicas that share the count."""

    @property
    def rate(self) -> str:
        """The quota in words, such as "100 per 1 minute"."""

    async def take(self, caller: str, cost: int) -> Standing:
        """Take `cost`, all of it or nothing. Never fails: where it cannot count it says so."""


class Quota:
    """What one request takes from the quotas of its caller; `standings` is for its response."""

    def __init__(self, caller: str, meters: Mapping[Resource, Meter]) -> None:
        self._caller = caller
        self._meters = meters
        self.standings: dict[Resource, Standing] = {}

    async def take(self, resource: Resource, cost: int, *, at: str = "") -> None:
        """Take `cost` if there is a quota. Raises RateLimited; InputTooLarge for what never fits.

        `at` is the pointer of the field that asks for so much.
        """
        meter = self._meters.get(resource)
        if meter is None:
            return
        standing = self.standings[resource] = await meter.take(self._caller, cost)
        if standing.granted:
            return
        if standing.wait_s is None:
            detail = f"{cost} {resource} are more than the quota of the key, {meter.rate}"
            raise InputTooLarge([FieldError(at, detail)])
        raise RateLimited(
            f"The quota of the key is used up: {meter.rate} for {resource}, {standing.left} left "
            f"and {cost} asked for.",
            retry_after_s=standing.wait_s,
        )
