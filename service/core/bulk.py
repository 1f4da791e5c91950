"""Many groups at a time: checks and writes a portion of an import, reads an export page by page.

Knows no file format. Texts are not embedded here: the first use of a group does that.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from service.core.contexts import embedder_label
from service.core.domain import Group, GroupDraft, OnConflict, Written
from service.core.errors import FieldError, InvalidInput
from service.core.groups import check_id
from service.core.limits import Limits
from service.core.ports import Embedder, GroupStore
from service.core.preferences import check_size
from service.core.texts import check_fits_here, place_preferences

PAGE = 50
"""Groups of an export that are in memory at a time."""
_AT_ONCE = 2
_EXISTS = "a group with this id exists already, with other content"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one group of an import; `written` is None where it was refused."""

    written: Written | None
    version: int | None = None
    errors: tuple[FieldError, ...] = ()


class Bulk:
    """Import and export of groups."""

    def __init__(self, store: GroupStore, embedder: Embedder, limits: Limits) -> None:
        self.places = asyncio.Semaphore(_AT_ONCE)
        """Held while a portion is read and written, so that imports leave room for requests."""
        self._store = store
        self._embedder = embedder
        self._limits = limits

    async def put(
        self,
        tenant: str,
        groups: Sequence[tuple[str, GroupDraft]],
        *,
        on_conflict: OnConflict,
        dry_run: bool = False,
    ) -> list[Outcome]:
        """Create or replace groups; for each what became of it, in order.

        A refused group keeps none of the others from being written.
        """
        faults = await asyncio.to_thread(self._faults, groups)
        sound = [group for group, wrong in zip(groups, faults, strict=True) if not wrong]
        written = await self._store.put_many(
            tenant,
            sound,
            embedder=embedder_label(self._embedder.identity),
            on_conflict=on_conflict,
            dry_run=dry_run,
        )
        answers = iter(written)
        return [
            Outcome(None, None, wrong) if wrong else _outcome(*next(answers)) for wrong in faults
        ]

    def _faults(self, groups: Sequence[tuple[str, GroupDraft]]) -> list[tuple[FieldError, ...]]:
        return [self._check(group_id, draft) for group_id, draft in groups]

    def _check(self, group_id: str, draft: GroupDraft) -> tuple[FieldError, ...]:
        try:
            check_id(group_id, at="/id")
            check_size(draft.preferences, at="/preferences", limits=self._limits)
            placed = place_preferences(draft.preferences, at="/preferences")
            check_fits_here(placed, self._embedder, self._limits)
        except InvalidInput as exc:
            return exc.errors
        return ()

    async def count(self, tenant: str) -> int:
        """Number of groups that the tenant has."""
        return await self._store.count(tenant)

    async def pages(
        self, tenant: str, *, after: str | None = None
    ) -> AsyncIterator[Sequence[Group]]:
        """All groups in the order of their ids, from the one behind `after` on.

        Each as of one instant; one that is written meanwhile may be among them or not.
        """
        page = await self._store.list(tenant, limit=PAGE, after=after)
        while True:
            yield page.groups
            if page.next_cursor is None:
                return
            page = await self._store.list(tenant, limit=PAGE, cursor=page.next_cursor)


def _outcome(written: Written, version: int | None) -> Outcome:
    if written is Written.CONFLICT:
        return Outcome(None, version, (FieldError("/id", _EXISTS),))
    return Outcome(written, version)
