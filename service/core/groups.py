"""The use cases on groups: create, read, replace, append, delete.

Checks that texts fit before anything is written; the store alone gives versions.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from service.core.contexts import embedder_label
from service.core.domain import Group, GroupDraft, GroupPage, GroupSummary, Preference
from service.core.errors import GroupNotFound, VersionMismatch
from service.core.faults import Faults
from service.core.limits import Limits
from service.core.ports import Embedder, GroupStore, Idempotency
from service.core.preferences import check_size
from service.core.texts import check_fits, place_preferences

T = TypeVar("T")
ID_PATTERN = r"[A-Za-z0-9._:-]{1,128}"
_ID = re.compile(ID_PATTERN)
# "." and ".." are steps along a path; the others are routes below /groups.
_TAKEN = {".", "..", "export", "import"}
# Reading the version and writing against it is repeated when another writer came between.
_ATTEMPTS = 5
_PAGE = 50


@dataclass(frozen=True, slots=True)
class Expected:
    """The versions that a write may meet; `any` accepts whichever exists."""

    versions: frozenset[int] = frozenset()
    any: bool = False

    def __str__(self) -> str:
        if self.any:
            return "any existing version"
        return "version " + (" or ".join(str(v) for v in sorted(self.versions)) or "none")


class Groups:
    """Everything that a client does to its groups."""

    def __init__(self, store: GroupStore, embedder: Embedder, limits: Limits) -> None:
        self._store = store
        self._embedder = embedder
        self._limits = limits

    async def create(
        self,
        tenant: str,
        draft: GroupDraft,
        *,
        group_id: str | None = None,
        idempotency: Idempotency | None = None,
    ) -> Group:
        """Add a group under its own or a new id. A repeated idempotency key gives its group."""
        if idempotency is not None:
            known = await self._store.find_idempotent(tenant, idempotency)
            if isinstance(known, Group):
                return known
        if group_id is not None:
            check_id(group_id, at="/id")
        await self._check(draft.preferences)
        return await self._store.create(
            tenant,
            group_id or f"grp_{uuid.uuid4().hex}",
            draft,
            embedder=embedder_label(self._embedder.identity),
            idempotency=idempotency,
        )

    async def get(self, tenant: str, group_id: str) -> Group:
        """The newest version. Raises GroupNotFound."""
        return await self._store.get(tenant, group_id)

    async def list(self, tenant: str, *, limit: int | None, cursor: str | None) -> GroupPage:
        """One page in the order of the ids. Raises InvalidInput, InputTooLarge."""
        if limit is None:
            limit = min(_PAGE, self._limits.list)
        faults = Faults()
        faults.cap("/limit", limit, self._limits.list, "groups on a page")
        faults.check()
        return await self._store.list(tenant, limit=limit, cursor=cursor)

    async def put(
        self,
        tenant: str,
        group_id: str,
        draft: GroupDraft,
        *,
        expected: Expected | None = None,
        create_only: bool = False,
    ) -> tuple[Group, bool]:
        """Create or replace; the flag tells whether it was created. Raises VersionMismatch."""
        check_id(group_id, at="/group_id")
        await self._check(draft.preferences)
        embedder = embedder_label(self._embedder.identity)

        async def write(version: int | None) -> tuple[Group, bool]:
            return await self._store.put(
                tenant,
                group_id,
                draft,
                embedder=embedder,
                if_match=version,
                create_only=create_only,
            )

        return await self._against(tenant, group_id, expected, write)

    async def append(
        self,
        tenant: str,
        group_id: str,
        preferences: Sequence[Preference],
        *,
        expected: Expected | None = None,
        idempotency: Idempotency | None = None,
    ) -> Group | GroupSummary:
        """Add preferences at the end. A repeated idempotency key gives what it gave before.

        Raises GroupNotFound, VersionMismatch, InputTooLarge.
        """
        if idempotency is not None:
            known = await self._store.find_idempotent(tenant, idempotency)
            if known is not None:
                return known
        await self._check(preferences)

        async def write(version: int | None) -> Group | GroupSummary:
            return await self._store.append(
                tenant,
                group_id,
                preferences,
                max_preferences=self._limits.preferences,
                max_context_tokens=self._limits.context_tokens,
                if_match=version,
                idempotency=idempotency,
            )

        return await self._against(tenant, group_id, expected, write)

    async def delete(self, tenant: str, group_id: str, *, expected: Expected | None = None) -> None:
        """Remove a group. Raises GroupNotFound, VersionMismatch."""

        async def write(version: int | None) -> None:
            await self._store.delete(tenant, group_id, if_match=version)

        await self._against(tenant, group_id, expected, write)

    async def _check(self, preferences: Sequence[Preference]) -> None:
        check_size(preferences, at="/preferences", limits=self._limits)
        placed = place_preferences(preferences, at="/preferences")
        await check_fits(placed, self._embedder, self._limits)

    async def _against(
        self,
        tenant: str,
        group_id: str,
        expected: Expected | None,
        write: Callable[[int | None], Awaitable[T]],
    ) -> T:
        """Write against the one version that `expected` names, else against a looked-up one."""
        if expected is None:
            return await write(None)
        if len(expected.versions) == 1 and not expected.any:
            return await write(next(iter(expected.versions)))
        attempts_left = _ATTEMPTS
        while True:
            version = await self._look_up(tenant, group_id, expected)
            attempts_left -= 1
            try:
                return await write(version)
            except VersionMismatch:
                if not attempts_left:
                    raise

    async def _look_up(self, tenant: str, group_id: str, expected: Expected) -> int:
        try:
            version = (await self._store.get(tenant, group_id)).version
        except GroupNotFound as exc:
            raise VersionMismatch(group_id, str(expected), None) from exc
        if not expected.any and version not in expected.versions:
            raise VersionMismatch(group_id, str(expected), version)
        return version


def check_id(group_id: str, *, at: str) -> None:
    """Raise InvalidInput unless `group_id` may name a group."""
    if _ID.fullmatch(group_id) and group_id not in _TAKEN:
        return
    faults = Faults()
    faults.wrong(
        at, "1 to 128 characters of A-Z a-z 0-9 . _ : - (not '.', '..', 'export' or 'import')"
    )
    faults.check()
