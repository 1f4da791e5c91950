"""What grows with the number of registered groups: latency, memory, start-up.

A store and a service for each size, on SQLite and on Redis, all running while the requests of one
client go to them turn and turn about. Each group has 5 preferences from a pool of 2,000 texts.
Groups are asked in three ways, whatever the size: each for the first time since the service
started, the same few again and again, and drawn at random from all of them, so that of many groups
hardly any was asked before and of few every one was.

The stores are filled through their own adapters, not by requests: a sample of requests says how
many groups a second can be registered that way.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

from pydantic import TypeAdapter
from rich.console import Console
from tqdm import tqdm

from measuring import report
from measuring.client import Request
from measuring.load import closed_loop
from measuring.machine import machine
from measuring.material import answered, new_question
from measuring.servers import CannotMeasure, Server, serving, serving_redis
from models.checkpoint import load_checkpoint
from service.adapters.stores import sqlite_rows
from service.adapters.stores.redis_store import RedisStore
from service.adapters.stores.sqlite_database import Database
from service.api.schemas.preferences import Preferences, to_core
from service.core.domain import DEFAULT_TENANT, GroupDraft
from service.core.limits import Limits
from service.settings import Settings

SIZES = (100, 10_000, 200_000)
PREFERENCES = 5
POOL = 400
"""Questions with four options each: 2,000 texts."""
AT_ONCE = 1_000
FIRST = 100
"""Groups that are asked for the first time, then again; the smallest size has no more."""
REGISTERED = 500


@dataclass(frozen=True, slots=True)
class Grown:
    """A service over a store with so many groups."""

    store: str
    groups: int
    service: Server
    redis: Server | None
    file: Path | None
    start_s: float
    fill_s: float

    @property
    def store_mb(self) -> float:
        """Memory of Redis, or the size of SQLite's file."""
        if self.redis is not None:
            return self.redis.rss_mb()
        assert self.file is not None
        return sum(f.stat().st_size for f in self.file.parent.glob(f"{self.file.name}*")) / 1e6


def main() -> None:
    """Measure, print a table, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--groups", type=int, nargs="+", default=SIZES)
    parser.add_argument("--requests", type=int, default=1_000, help="of each kind to each service")
    parser.add_argument("--store", choices=("sqlite", "redis", "both"), default="both")
    parser.add_argument("--out", type=Path, help="where the figures go")
    options = parser.parse_args()
    console, measured_on = Console(), machine()
    stores = ["sqlite", "redis"] if options.store == "both" else [options.store]
    rows: list[dict[str, Any]] = []
    for store in stores:
        with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
            try:
                grown = [
                    stack.enter_context(filled(Path(folder), store, size))
                    for size in sorted(options.groups)
                ]
            except CannotMeasure as exc:
                console.print(f"growth on {store}: nothing measured; {exc}")
                continue
            rows += measure(grown, options.requests)
    console.print(table(rows))
    settings = {
        "groups": list(options.groups),
        "requests": options.requests,
        "preferences": PREFERENCES,
        "pool_texts": 5 * POOL,
    }
    report.write("growth", measured_on, settings, out=options.out, rows=rows)


@contextmanager
def filled(folder: Path, store: str, size: int) -> Iterator[Grown]:
    """A store with so many groups, and the service over it."""
    here = folder / f"{store}-{size}"
    here.mkdir()
    with ExitStack() as stack:
        redis, file, began = None, None, time.perf_counter()
        drafts = iter(tqdm(drafts_of(size), total=size, desc=f"{store} {size:,}", unit="group"))
        if store == "redis":
            redis = stack.enter_context(serving_redis(here))
            url = redis.url
            asyncio.run(fill_redis(url, drafts))
        else:
            file = here / "groups.db"
            url = f"sqlite:///{file}"
            fill_sqlite(file, drafts)
        fill_s, began = time.perf_counter() - began, time.perf_counter()
        service = stack.enter_context(serving(here, GPO_STORE_URL=url))
        start_s = time.perf_counter() - began
        yield Grown(store, size, service, redis, file, start_s, fill_s)


def pool() -> list[dict[str, Any]]:
    """The questions that all groups are taken from, and that they are asked."""
    draw = Random(0)
    return [new_question(draw) for _ in range(POOL)]


def group_of(number: int, questions: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The group of this number, as a body of POST /groups."""
    draw = Random(number)
    return {
        "id": f"group-{number}",
        "name": f"Group {number}",
        "preferences": [answered(q, draw) for q in draw.sample(questions, PREFERENCES)],
    }


def drafts_of(size: int) -> Iterator[tuple[str, GroupDraft]]:
    """So many groups as the store takes them."""
    questions, limits, read = pool(), Limits(), TypeAdapter(Preferences)
    for number in range(size):
        body = group_of(number, questions)
        preferences = to_core(read.validate_python(body["preferences"]), limits)
        yield body["id"], GroupDraft(body["name"], tuple(preferences))


@cache
def embedder() -> str:
    """What the groups say that they were written under; another label has them cut anew."""
    needed = load_checkpoint(Settings().checkpoint)[1].embedder
    return f"{needed.id}@{needed.digest[:12]}"


def fill_sqlite(file: Path, drafts: Iterator[tuple[str, GroupDraft]]) -> None:
    """By the store's own statements, many groups in a transaction."""
    database, left = Database(file, busy_timeout_s=5.0), True
    while left:
        with database.write() as conn:
            for _ in range(AT_ONCE):
                group_id, draft = next(drafts, (None, None))
                if group_id is None or draft is None:
                    left = False
                    break
                sqlite_rows.insert(conn, DEFAULT_TENANT, group_id, draft, embedder())
    database.close()


async def fill_redis(url: str, drafts: Iterator[tuple[str, GroupDraft]]) -> None:
    """Through the store, as many at a time as it has connections."""
    store = RedisStore(url, timeout_s=20.0)

    async def some() -> None:
        for group_id, draft in drafts:
            await store.create(DEFAULT_TENANT, group_id, draft, embedder=embedder())

    await asyncio.gather(*(some() for _ in range(16)))
    await store.close()


def measure(grown: Sequence[Grown], requests: int) -> list[dict[str, Any]]:
    """A row for each size; ratios are those to the smallest one."""
    questions = pool()
    for one in grown:
        warm_up(one.service.url, questions)
    kinds = ("first", "again", "predict", "get")
    seconds: dict[str, list[list[float]]] = {kind: [[] for _ in grown] for kind in kinds}
    portion = 20
    for turn in tqdm(range(FIRST // portion), desc="first", unit="turn"):
        for i, one in enumerate(grown):
            numbers = range(turn * portion, (turn + 1) * portion)
            seconds["first"][i] += ask(one, [predict(n, questions, Random(n)) for n in numbers])
    portion = 50
    for turn in tqdm(range(max(requests // portion, 1)), desc=grown[0].store, unit="turn"):
        for i, one in enumerate(grown):
            draw = Random(turn)
            numbers = [draw.randrange(one.groups) for _ in range(portion)]
            few = [draw.randrange(FIRST) for _ in range(portion)]
            seconds["again"][i] += ask(one, [predict(n, questions, draw) for n in few])
            seconds["predict"][i] += ask(one, [predict(n, questions, draw) for n in numbers])
            reads = [Request("GET", f"/groups/group-{n}") for n in numbers]
            seconds["get"][i] += ask(one, reads)
    rows = []
    for i, one in enumerate(grown):
        row: dict[str, Any] = {"store": one.store, "groups": one.groups}
        for kind in kinds:
            found, least = seconds[kind][i], seconds[kind][0]
            row |= {
                f"{kind}_p50_ms": median(found) * 1e3,
                f"{kind}_p95_ms": report.percentile(found, 0.95) * 1e3,
                f"{kind}_ratio": report.ratio_of_medians(found, least).as_json(),
            }
        rows.append(
            row
            | {
                "service_mb": one.service.rss_mb(),
                "store_mb": one.store_mb,
                "start_s": one.start_s,
                "fill_s": one.fill_s,
                "registered_s": registrations(one, questions),
            }
        )
    return rows


def warm_up(url: str, questions: Sequence[dict[str, Any]]) -> None:
    """Embed the pool, by a group that is not measured."""
    body = group_of(-1, questions)
    asked = [{"preferences": body["preferences"], "questions": questions[: POOL // 2]}]
    asked += [{"preferences": body["preferences"], "questions": questions[POOL // 2 :]}]
    for one in asked:
        run = closed_loop(url, [Request.json("POST", "/predict", one)], concurrency=1)
        assert run.outcomes[0].ok, run.outcomes[0].statuses


def predict(number: int, questions: Sequence[dict[str, Any]], draw: Random) -> Request:
    """One question to one group."""
    body = {"group_id": f"group-{number}", **draw.choice(questions)}
    return Request.json("POST", "/predict", body)


def ask(one: Grown, requests: Sequence[Request]) -> list[float]:
    """Seconds of each request, one after the other. Raises SystemExit where one fails."""
    run = closed_loop(one.service.url, requests, concurrency=1)
    if len(run.latencies) < len(requests):
        raise SystemExit(f"{one.store}, {one.groups} groups: {run.outcomes[-1].statuses}")
    return run.latencies


def registrations(one: Grown, questions: Sequence[dict[str, Any]]) -> float:
    """Groups a second by POST /groups, of 16 clients."""
    bodies = [
        {**group_of(10**6 + n, questions), "id": f"registered-{n}"} for n in range(REGISTERED)
    ]
    requests = [Request.json("POST", "/groups", body) for body in bodies]
    return closed_loop(one.service.url, requests, concurrency=16).rate


def table(rows: list[dict[str, Any]]) -> Any:
    """The figures for a person."""
    columns = {
        "store": "store",
        "groups": "groups",
        "any group, p50 ms": "predict_p50_ms",
        "p95 ms": "predict_p95_ms",
        "of the fewest": "predict_ratio",
        "first time, p50 ms": "first_p50_ms",
        "of the fewest ": "first_ratio",
        "the same 100, p50 ms": "again_p50_ms",
        "of the fewest  ": "again_ratio",
        "GET p50 ms": "get_p50_ms",
        "service MB": "service_mb",
        "store MB": "store_mb",
        "start s": "start_s",
        "POST / s": "registered_s",
    }
    return report.table("/predict with so many registered groups, one client", columns, rows)


if __name__ == "__main__":
    main()
