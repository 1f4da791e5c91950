"""Random histories: both stores do what a dictionary would do."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from fixtures.groups import numbered
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.adapters.stores.redis_store import RedisStore
from service.adapters.stores.sqlite_store import SqliteStore
from service.core.domain import GroupDraft, OnConflict, Preference, RollEntry, Written
from service.core.errors import (
    GpoServeError,
    GroupExists,
    GroupNotFound,
    IdempotencyConflict,
    InputTooLarge,
    VersionMismatch,
)
from service.core.ports import GroupStore, Idempotency

CAP = 6
ids = st.sampled_from(["a", "a:1", "b"])
matches = st.none() | st.integers(1, 6)
some = st.lists(st.builds(numbered, st.integers(0, 99)), max_size=4).map(tuple)
keys = st.none() | st.builds(Idempotency, st.sampled_from("kl"), st.sampled_from("xy"))
steps = st.one_of(
    st.tuples(st.just("create"), ids, some, keys),
    st.tuples(st.just("put"), ids, some, matches, st.booleans()),
    st.tuples(st.just("append"), ids, some, matches, keys),
    st.tuples(st.just("import_"), ids, some, st.sampled_from(OnConflict)),
    st.tuples(st.just("delete"), ids, matches),
)
histories = st.lists(steps, max_size=25)
State = tuple[int, tuple[Preference, ...]]


@dataclass
class Model:
    """Groups, the last version of each id, and what idempotency keys made."""

    groups: dict[str, State] = field(default_factory=dict)
    last: dict[str, int] = field(default_factory=dict)
    made: dict[str, tuple[str, str, State]] = field(default_factory=dict)
    appended: dict[str, tuple[str, int, int]] = field(default_factory=dict)

    def write(self, group_id: str, preferences: tuple[Preference, ...]) -> State:
        self.last[group_id] = self.last.get(group_id, 0) + 1
        self.groups[group_id] = (self.last[group_id], preferences)
        return self.groups[group_id]

    def check(self, group_id: str, if_match: int | None) -> None:
        actual = self.groups[group_id][0] if group_id in self.groups else None
        if if_match is not None and if_match != actual:
            raise VersionMismatch(group_id, str(if_match), actual)

    def create(self, group_id: str, some: Any, key: Idempotency | None) -> tuple[str, State]:
        if key is not None and key.key in self.appended:
            raise IdempotencyConflict
        if key is not None and key.key in self.made:
            digest, made_id, state = self.made[key.key]
            if digest != key.payload_digest:
                raise IdempotencyConflict
            return made_id, state
        if group_id in self.groups:
            raise GroupExists(group_id)
        state = self.write(group_id, some)
        if key is not None:
            self.made[key.key] = (key.payload_digest, group_id, state)
        return group_id, state

    def put(self, group_id: str, some: Any, if_match: int | None, only: bool) -> tuple[str, State]:
        if only and group_id in self.groups:
            raise VersionMismatch(group_id, "new", self.groups[group_id][0])
        self.check(group_id, if_match)
        return group_id, self.write(group_id, some)

    def append(
        self, group_id: str, some: Any, if_match: int | None, key: Idempotency | None
    ) -> tuple[str, Any]:
        if key is not None and key.key in self.appended:
            digest, version, count = self.appended[key.key]
            if digest != key.payload_digest + group_id:
                raise IdempotencyConflict
            return group_id, (version, count)
        if key is not None and key.key in self.made:
            raise IdempotencyConflict
        if group_id not in self.groups:
            raise GroupNotFound(group_id)
        self.check(group_id, if_match)
        preferences = self.groups[group_id][1] + some
        if len(preferences) > CAP:
            raise InputTooLarge([])
        version, _ = self.write(group_id, preferences)
        if key is not None:
            self.appended[key.key] = (key.payload_digest + group_id, version, len(preferences))
        return group_id, (version, len(preferences))

    def import_(self, group_id: str, some: Any, on_conflict: OnConflict) -> tuple[str, Any]:
        if group_id not in self.groups:
            return group_id, (Written.CREATED, self.write(group_id, some)[0])
        version, held = self.groups[group_id]
        if held == some:
            return group_id, (Written.UNCHANGED, version)
        if on_conflict is OnConflict.UPDATE:
            return group_id, (Written.UPDATED, self.write(group_id, some)[0])
        skipped = on_conflict is OnConflict.SKIP
        return group_id, (Written.SKIPPED if skipped else Written.CONFLICT, version)

    def delete(self, group_id: str, if_match: int | None) -> None:
        if group_id not in self.groups:
            raise GroupNotFound(group_id)
        self.check(group_id, if_match)
        del self.groups[group_id]


async def do(store: GroupStore, tenant: str, step: Any) -> Any:
    match step:
        case ("create", group_id, some, key):
            draft = GroupDraft(name="n", preferences=some)
            group = await store.create(tenant, group_id, draft, embedder="e", idempotency=key)
        case ("put", group_id, some, if_match, only):
            draft = GroupDraft(name="n", preferences=some)
            group, _ = await store.put(
                tenant, group_id, draft, embedder="e", if_match=if_match, create_only=only
            )
        case ("append", group_id, some, if_match, key):
            if key is not None:  # the digest of an append names its group
                key = replace(key, payload_digest=key.payload_digest + group_id)
            grown = await store.append(
                tenant, group_id, some, max_preferences=CAP, if_match=if_match, idempotency=key
            )
            return grown.id, (grown.version, grown.preference_count)
        case ("import_", group_id, some, on_conflict):
            drafts = [(group_id, GroupDraft(name="n", preferences=some))]
            [found] = await store.put_many(tenant, drafts, embedder="e", on_conflict=on_conflict)
            return group_id, found
        case ("delete", group_id, if_match):
            return await store.delete(tenant, group_id, if_match=if_match)
    return group.id, (group.version, group.preferences)


def outcome_of(model: Model, step: Any) -> Any:
    try:
        return getattr(model, step[0])(*step[1:])
    except GpoServeError as exc:
        return type(exc), getattr(exc, "actual", None)


async def replay(store: GroupStore, tenant: str, history: list[Any]) -> None:
    model, tag, tags = Model(), "", {""}
    assert await store.tag(tenant) == tag
    for step in history:
        before = {**model.last}, {**model.groups}
        expected = outcome_of(model, step)
        try:
            actual = await do(store, tenant, step)
        except GpoServeError as exc:
            actual = type(exc), getattr(exc, "actual", None)
        assert actual == expected
        page = await store.list(tenant, limit=10)
        listed = {g.id: (g.version, g.preferences) for g in page.groups}
        assert listed == dict(sorted(model.groups.items()))
        assert list(listed) == sorted(model.groups)
        roll = await store.roll(tenant)
        assert roll.groups == {i: RollEntry(v, len(p)) for i, (v, p) in model.groups.items()}
        assert roll.tag == await store.tag(tenant)
        if (model.last, model.groups) == before:
            assert roll.tag == tag
        else:
            assert roll.tag not in tags
        tag = roll.tag
        tags.add(tag)


@pytest.fixture(params=["sqlite", "redis"])
def url(request: pytest.FixtureRequest) -> str | None:
    return request.getfixturevalue("redis_url") if request.param == "redis" else None


def test_random_histories(url: str | None, tmp_path: Path) -> None:
    numbers = itertools.count()
    with asyncio.Runner() as runner:

        async def opened() -> GroupStore:
            if url is None:
                return SqliteStore(tmp_path / "groups.db")
            return RedisStore(url, timeout_s=20.0)

        store = runner.run(opened())

        @settings(
            max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck)
        )
        @given(histories)
        def check(history: list[Any]) -> None:
            runner.run(replay(store, f"tenant-{next(numbers)}", history))

        try:
            check()
        finally:
            runner.run(store.close())
