"""The mixed traffic of a soak: generations, predictions, scores and writes, some given up midway.

Counts what came back by route and status and keeps the ledger of writes; starts no server.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from .client import Answer, Connection, Request
from .ledger import Ledger, State
from .material import group, preference, prompt, question

LEFT, STUCK, BROKEN = "left", "stuck", "broken"
IDLE_S = 2.0
STREAMED = 0.4
CANDIDATES, TOKENS = 4, 24
WRITTEN = 12
"""Groups that are written, one writer at a time each."""


@dataclass(slots=True)
class Traffic:
    """Sends single requests of the mix and remembers what became of them."""

    url: str
    seed: int = 0
    leave_share: float = 0.0
    timeout_s: float = 60.0
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    seconds: dict[str, list[float]] = field(default_factory=dict)
    ledger: Ledger = field(default_factory=Ledger)
    under_way: int = 0
    _draw: Random = field(init=False)
    _number: int = 0
    _busy: set[str] = field(default_factory=set)
    _idle: list[tuple[float, Connection]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._draw = Random(self.seed)

    async def prepare(self) -> None:
        """Register the group that is asked."""
        answer = await self._send(
            "prepare", Request.json("POST", "/groups", group("town", questions=20))
        )
        if answer is None or answer.status != 201:
            raise RuntimeError("the group that is asked could not be registered")

    async def one(self) -> None:
        """One request of the mix, to its end."""
        self._number += 1
        number, share = self._number, self._draw.random()
        kinds: list[tuple[float, Callable[[int], Awaitable[None]]]]
        kinds = [(0.40, self._generate), (0.58, self._predict), (0.72, self._score)]
        ask = next((kind for limit, kind in kinds if share < limit), self._write)
        self.under_way += 1
        try:
            await ask(number)
        finally:
            self.under_way -= 1

    async def verify(self) -> None:
        """Read every group that was written, and compare it with the ledger."""
        for identifier in self.ledger.ids:
            await self._read(identifier)

    async def _generate(self, number: int) -> None:
        stream = self._draw.random() < STREAMED
        body = {
            "group_id": "town",
            "prompt": prompt(number),
            "n": CANDIDATES,
            "max_tokens": TOKENS,
            "seed": number,
            "stream": stream,
        }
        route = "generate (stream)" if stream else "generate"
        await self._send(route, Request.json("POST", "/generate", body), stream=stream)

    async def _predict(self, number: int) -> None:
        body = {"group_id": "town", "questions": [question(number), question(number + 1)]}
        await self._send("predict", Request.json("POST", "/predict", body))

    async def _score(self, number: int) -> None:
        responses = [f"Answer {number} of kind {kind}: build a bridge." for kind in range(4)]
        body = {"group_id": "town", "prompt": prompt(number), "responses": responses}
        await self._send("score", Request.json("POST", "/score", body))

    async def _write(self, number: int) -> None:
        free = [i for i in (f"written-{k}" for k in range(WRITTEN)) if i not in self._busy]
        if not free:
            return await self._predict(number)
        identifier = self._draw.choice(free)
        self._busy.add(identifier)
        try:
            if not self.ledger.is_certain(identifier):
                await self._read(identifier)
            await self._change(identifier, number)
        finally:
            self._busy.discard(identifier)

    async def _change(self, identifier: str, number: int) -> None:
        """The next write of one group: create, else append, replace or delete."""
        state = self.ledger.known(identifier)
        name = f"write-{number}"
        added = [preference(number + i) for i in range(2)]
        asked = tuple(p["question"] for p in added)
        match = {"If_Match": f'"{state.version}"'}
        what = self._draw.random()
        if state.content is None:
            content, route = (name, asked), "create"
            body = {"id": identifier, "name": name, "preferences": added}
            request = Request.json("POST", "/groups", body)
        elif what < 0.45 and len(state.content[1]) < 20:
            content, route = (state.content[0], state.content[1] + asked), "append"
            path = f"/groups/{identifier}/preferences"
            request = Request.json("POST", path, {"preferences": added}, **match)
        elif what < 0.85:
            content, route = (name, asked), "put"
            body = {"name": name, "preferences": added}
            request = Request.json("PUT", f"/groups/{identifier}", body, **match)
        else:
            content, route = None, "delete"
            request = Request(
                "DELETE", f"/groups/{identifier}", headers={"If-Match": match["If_Match"]}
            )
        answer = await self._send(route, request)
        if answer is None or answer.status >= 500:
            self.ledger.lose_sight(identifier, content)
        elif answer.status < 300:
            version = 0 if content is None else version_of(answer)
            self.ledger.acknowledge(identifier, State(content, version))
        elif answer.status in (404, 409, 412):
            # A write of unknown outcome has been applied after all: the next reading must tell.
            await self._read(identifier)

    async def _read(self, identifier: str) -> None:
        request = Request("GET", f"/groups/{identifier}?include=preferences")
        answer = await self._send("read", request, stays=True)
        if answer is None:
            return
        if answer.status == 404:
            self.ledger.see(identifier, State())
        elif answer.status == 200:
            found = answer.json()
            asked = tuple(p["question"] for p in found["preferences"])
            self.ledger.see(identifier, State((found["name"], asked), version_of(answer)))

    async def _send(
        self, route: str, request: Request, *, stream: bool = False, stays: bool = False
    ) -> Answer | None:
        """The answer, or None for one that was left, is stuck, or broke; counted in any case."""
        leaves = not stays and self._draw.random() < self.leave_share
        limit = self._draw.uniform(0.0, 1.0) if leaves else self.timeout_s
        connection, started = self._connection(), time.monotonic()
        try:
            async with asyncio.timeout(limit):
                answer = await connection.send(request, again=False)
        except TimeoutError:
            self.counts[route, LEFT if leaves else STUCK] += 1
            return None
        except OSError:
            self.counts[route, BROKEN] += 1
            return None
        ended = time.monotonic()
        self._idle.append((ended, connection))
        status = stream_status(answer) if stream and answer.status == 200 else str(answer.status)
        self.counts[route, status] += 1
        if status.startswith("2"):
            self.seconds.setdefault(route, []).append(ended - started)
        return answer

    def _connection(self) -> Connection:
        """One that was used a moment ago, else a new one: the server closes those that idle."""
        while self._idle:
            since, connection = self._idle.pop()
            if time.monotonic() - since < IDLE_S:
                return connection
            connection.close()
        return Connection(self.url)


def version_of(answer: Answer) -> int:
    """The version in an ETag."""
    return int(answer.headers["etag"].removeprefix("W/").strip('"'))


def stream_status(answer: Answer) -> str:
    """200 for a stream that came to its end, the problem's status for one that says so."""
    events = [block.splitlines() for block in answer.body.decode().split("\n\n") if block.strip()]
    last: dict[str, Any] = {}
    for lines in events:
        fields = dict(line.split(": ", 1) for line in lines if ": " in line)
        if fields.get("event") in ("done", "error"):
            last = fields
    if not last:
        return BROKEN
    return "200" if last["event"] == "done" else str(json.loads(last["data"]).get("status"))
