"""`/groups` against a plain model of it: any sequence of requests, over both stores.

Hypothesis chooses the requests; the model says what each must answer.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from fakes import FakeEmbedder, FakeGenerator, FakeScorer
from fixtures.redis_server import RedisServer
from hypothesis import HealthCheck, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from service.adapters.stores.open import open_store
from service.app import create_app
from service.settings import Settings
from service.wiring import Parts

# Few ids, so that the same one is written again and again; a name that sorts oddly; long ones.
IDS = st.sampled_from(["a", "A", "a.b", "a:b", "b", "z" * 128, "0"])
KEYS = st.sampled_from(["first key", "second", "k" * 255])
NAMES = st.text(
    st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12
).filter(str.strip)
PREFERENCES = st.lists(
    st.builds(
        lambda number, score: {"prompt": "Why?", "response": f"answer {number}", "score": score},
        st.integers(0, 99),
        st.sampled_from([0.0, 0.25, 1.0]),
    ),
    max_size=3,
)
BODIES = st.fixed_dictionaries(
    {"name": NAMES, "preferences": PREFERENCES},
    optional={
        "description": st.none() | NAMES,
        "metadata": st.none() | st.dictionaries(NAMES, st.integers(0, 9) | NAMES, max_size=2),
    },
)
MOST_PREFERENCES = 5
# Versions that a client may name: the current one, some other, or one that cannot be.
CONDITIONS = st.sampled_from(["current", "older", "newer", "any", "list", "weak"])


@dataclass
class Known:
    """A group as the model has it."""

    body: dict[str, Any]
    version: int

    @property
    def preferences(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.body["preferences"]
        return found


@dataclass
class Model:
    """What the service must hold."""

    groups: dict[str, Known] = field(default_factory=dict)
    last_version: dict[str, int] = field(default_factory=dict)
    keys: dict[str, tuple[dict[str, Any], dict[str, Any]]] = field(default_factory=dict)

    def write(self, group_id: str, body: dict[str, Any]) -> Known:
        """A version that this id never had before."""
        version = self.last_version.get(group_id, 0) + 1
        self.last_version[group_id] = version
        self.groups[group_id] = Known(body, version)
        return self.groups[group_id]


class GroupsMachine(RuleBasedStateMachine):
    """Requests and what they must answer; `url` is where the store of this run is."""

    url: str
    pages = Bundle("pages")

    @initialize()
    def start(self) -> None:
        self.empty()
        self.model = Model()
        self.stack = AsyncExitStack()
        self.runner = asyncio.Runner()
        self.client: httpx.AsyncClient = self.runner.run(self._open())

    def empty(self) -> None:
        """Leave nothing in the store."""

    async def _open(self) -> httpx.AsyncClient:
        parts = Parts(open_store(self.url), FakeGenerator(), FakeEmbedder(), FakeScorer())
        self.stack.push_async_callback(parts.store.close)
        limits = Settings(store_url=self.url, max_preferences=MOST_PREFERENCES)
        app = create_app(limits, parts)
        await self.stack.enter_async_context(app.router.lifespan_context(app))
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        client = httpx.AsyncClient(transport=transport, base_url="http://test")
        return await self.stack.enter_async_context(client)

    def teardown(self) -> None:
        if hasattr(self, "runner"):
            with self.runner:
                self.runner.run(self.stack.aclose())

    def ask(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        response: httpx.Response = self.runner.run(self.client.request(method, path, **kwargs))
        note(f"{method} {path} {kwargs} -> {response.status_code} {response.text[:300]}")
        if response.is_error:
            assert response.json()["status"] == response.status_code
        return response

    # --- writing

    @rule(group_id=IDS, body=BODIES)
    def create(self, group_id: str, body: dict[str, Any]) -> None:
        response = self.ask("POST", "/groups", json={"id": group_id, **body})
        if group_id in self.model.groups:
            assert (response.status_code, response.json()["code"]) == (409, "group_exists")
            return
        assert response.status_code == 201
        assert response.headers["Location"] == f"/groups/{group_id}"
        self.check(response, group_id, self.model.write(group_id, body))

    @rule(key=KEYS, group_id=IDS, body=BODIES, again=st.booleans())
    def create_with_a_key(self, key: str, group_id: str, body: dict[str, Any], again: bool) -> None:
        sent = {"id": group_id, **body}
        if again and key in self.model.keys:
            sent = self.model.keys[key][0]
        response = self.ask("POST", "/groups", json=sent, headers={"Idempotency-Key": key})
        if key in self.model.keys:
            first, answer = self.model.keys[key]
            if sent == first:
                assert (response.status_code, response.json()) == (201, answer)
            else:
                assert response.status_code == 422
                assert response.json()["code"] == "idempotency_conflict"
        elif group_id in self.model.groups:
            assert response.status_code == 409
        else:
            assert response.status_code == 201
            self.check(response, group_id, self.model.write(group_id, body))
            self.model.keys[key] = (sent, response.json())

    @rule(group_id=IDS, body=BODIES, condition=st.none() | CONDITIONS | st.just("new"))
    def put(self, group_id: str, body: dict[str, Any], condition: str | None) -> None:
        known = self.model.groups.get(group_id)
        if condition == "new":
            headers, allowed = {"If-None-Match": "*"}, known is None
        else:
            headers, allowed = self.condition(condition, group_id)
        response = self.ask("PUT", f"/groups/{group_id}", json=body, headers=headers)
        if not allowed:
            assert (response.status_code, response.json()["code"]) == (412, "version_mismatch")
            return
        assert response.status_code == (201 if known is None else 200)
        self.check(response, group_id, self.model.write(group_id, body))

    @rule(group_id=IDS, added=PREFERENCES, condition=st.none() | CONDITIONS)
    def append(self, group_id: str, added: list[dict[str, Any]], condition: str | None) -> None:
        known = self.model.groups.get(group_id)
        headers, allowed = self.condition(condition, group_id)
        response = self.ask(
            "POST", f"/groups/{group_id}/preferences", json={"preferences": added}, headers=headers
        )
        if known is None:
            assert response.status_code == self.absent(condition, group_id)
        elif not allowed:
            assert response.status_code == 412
        elif len(known.preferences) + len(added) > MOST_PREFERENCES:
            assert response.status_code == 413
        else:
            assert response.status_code == 200
            body = {**known.body, "preferences": known.preferences + added}
            self.check(response, group_id, self.model.write(group_id, body))

    @rule(group_id=IDS, condition=st.none() | CONDITIONS)
    def delete(self, group_id: str, condition: str | None) -> None:
        known = self.model.groups.get(group_id)
        headers, allowed = self.condition(condition, group_id)
        response = self.ask("DELETE", f"/groups/{group_id}", headers=headers)
        if known is None:
            assert response.status_code == self.absent(condition, group_id)
        elif not allowed:
            assert response.status_code == 412
        else:
            assert (response.status_code, response.content) == (204, b"")
            del self.model.groups[group_id]

    # --- reading

    @rule(group_id=IDS, include=st.booleans(), condition=st.none() | CONDITIONS)
    def get(self, group_id: str, include: bool, condition: str | None) -> None:
        known = self.model.groups.get(group_id)
        headers, matches = self.condition(condition, group_id, header="If-None-Match")
        params = {"include": "preferences"} if include else {}
        response = self.ask("GET", f"/groups/{group_id}", params=params, headers=headers)
        if known is None:
            assert (response.status_code, response.json()["code"]) == (404, "group_not_found")
        elif condition is not None and matches:
            assert (response.status_code, response.content) == (304, b"")
            assert response.headers["ETag"] == f'"{known.version}"'
        else:
            assert response.status_code == 200
            self.check(response, group_id, known)
            if include:
                assert response.json()["preferences"] == known.preferences
            else:
                assert "preferences" not in response.json()

    @rule(target=pages, limit=st.integers(1, 3))
    def list_from_the_start(self, limit: int) -> Any:
        return self.page({"limit": limit}, "")

    @rule(target=pages, page=consumes(pages), limit=st.integers(1, 3))
    def list_on(self, page: tuple[str, str], limit: int) -> Any:
        cursor, last_id = page
        return self.page({"limit": limit, "cursor": cursor}, last_id)

    def page(self, params: dict[str, Any], after: str) -> Any:
        """A page holds what is there now behind the last id, whatever was written meanwhile."""
        answer = self.ask("GET", "/groups", params=params).json()
        ids = [group["id"] for group in answer["data"]]
        behind = [group_id for group_id in sorted(self.model.groups) if group_id > after]
        assert ids == behind[: params["limit"]]
        for group in answer["data"]:
            assert group["version"] == self.model.groups[group["id"]].version
        assert answer["has_more"] == (len(behind) > params["limit"])
        assert (answer["next_cursor"] is not None) == answer["has_more"]
        return (answer["next_cursor"], ids[-1]) if answer["has_more"] else multiple()

    @invariant()
    def every_group_is_as_it_was_written(self) -> None:
        if not hasattr(self, "client"):
            return
        found = self.runner.run(self.client.get("/groups", params={"limit": 100})).json()["data"]
        assert {g["id"]: (g["version"], g["name"], g["preference_count"]) for g in found} == {
            group_id: (known.version, known.body["name"], len(known.preferences))
            for group_id, known in self.model.groups.items()
        }

    def check(self, response: httpx.Response, group_id: str, known: Known) -> None:
        """An answer that holds a group holds this one."""
        answer = response.json()
        assert response.headers["ETag"] == f'"{known.version}"'
        assert (answer["id"], answer["version"]) == (group_id, known.version)
        for name in ("name", "description", "metadata"):
            assert answer[name] == known.body.get(name)
        assert answer["preference_count"] == answer["context_tokens"] == len(known.preferences)

    def absent(self, condition: str | None, group_id: str) -> int:
        """What changing a group that is not there gives.

        One version by its number asks for that group, any or several ask for a state.
        """
        numbered = {"current", "newer"}
        if self.model.last_version.get(group_id, 0):
            numbered.add("older")
        return 404 if condition is None or condition in numbered else 412

    def condition(
        self, kind: str | None, group_id: str, *, header: str = "If-Match"
    ) -> tuple[dict[str, str], bool]:
        """A header of this kind, and whether a write may go on (a read is unchanged)."""
        known = self.model.groups.get(group_id)
        now = known.version if known else self.model.last_version.get(group_id, 0)
        if kind is None:
            return {}, True
        value, fits = {
            "current": (f'"{now}"', True),
            "older": (f'"{now - 1}"' if now else '"none"', False),
            "newer": (f'"{now + 1}"', False),
            "any": ("*", True),
            "list": (f'"x", "{now + 7}" , "{now}"', True),
            # Weak tags match for a read and never for a write (RFC 9110, 13.1).
            "weak": (f'W/"{now}"', header == "If-None-Match"),
        }[kind]
        return {header: value}, fits and known is not None


@pytest.fixture(params=["sqlite", "redis"])
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[type[GroupsMachine]]:
    """The machine, each of whose runs begins with an empty store."""
    if request.param == "sqlite":

        class OverSqlite(GroupsMachine):
            def empty(self) -> None:
                self.url = f"sqlite:///{tempfile.mkdtemp(dir=tmp_path)}/groups.db"

        yield OverSqlite
        return
    server: RedisServer = request.getfixturevalue("redis_server")

    class OverRedis(GroupsMachine):
        def empty(self) -> None:
            server.flush()
            self.url = server.url

    yield OverRedis


def test_any_sequence_of_requests(machine: type[GroupsMachine]) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=40,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
