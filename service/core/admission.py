"""Bounded admission: places for candidates in flight, refused early when none is free."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from service.core.errors import Overloaded


class Admission:
    """Counts places. Used from one event loop only, so it needs no lock.

    `admitted` and `refused` are plain counters of candidates for whoever wants to publish them.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._taken = 0
        self.admitted = 0
        self.refused = 0

    @property
    def capacity(self) -> int:
        """Places that there are."""
        return self._capacity

    @property
    def taken(self) -> int:
        """Places in use now."""
        return self._taken

    @contextmanager
    def reserve(self, places: int) -> Iterator[None]:
        """Hold `places` while the block runs. Raises Overloaded at once when they are not free."""
        if self._taken + places > self._capacity:
            self.refused += places
            raise Overloaded(
                f"{self._taken} of {self._capacity} candidates are being drawn; "
                f"{places} more do not fit now."
            )
        self._taken += places
        self.admitted += places
        try:
            yield
        finally:
            self._taken -= places
