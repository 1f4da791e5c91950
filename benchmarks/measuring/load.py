"""Load from a process of its own: a closed loop of given concurrency, or arrivals at a given rate.

A unit of load is one request, or several that go out together and count as answered with the last.
The process is this module, run with a JSON document on standard input.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any

from .client import Connection, Request

NO_ANSWER = 0
TOO_LATE = -1


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one unit, in the order of the units.

    `start` counts from the first unit. A status of 0 is a connection that broke, one of -1 no
    answer within the time. `bodies` are there where they were asked for.
    """

    start: float
    seconds: float
    statuses: tuple[int, ...]
    bodies: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Was every request of the unit a success?"""
        return all(200 <= status < 300 for status in self.statuses)


@dataclass(frozen=True, slots=True)
class Run:
    """All outcomes, the seconds from the first start to the last end, and the client's CPU time."""

    outcomes: tuple[Outcome, ...]
    seconds: float
    client_cpu_s: float

    @property
    def latencies(self) -> list[float]:
        """Seconds of each unit that succeeded."""
        return [outcome.seconds for outcome in self.outcomes if outcome.ok]

    @property
    def rate(self) -> float:
        """Units that succeeded, for each second."""
        return len(self.latencies) / self.seconds


def closed_loop(
    url: str,
    units: Sequence[Request | Sequence[Request]],
    *,
    concurrency: int,
    timeout_s: float = 300.0,
    seconds: float | None = None,
    bodies: bool = False,
) -> Run:
    """Keep `concurrency` units under way until all are answered, or begin none after `seconds`."""
    return _run(
        {
            "concurrency": concurrency,
            "rate": None,
            **_common(url, units, timeout_s=timeout_s, seconds=seconds, bodies=bodies),
        }
    )


def open_loop(
    url: str,
    units: Sequence[Request | Sequence[Request]],
    *,
    rate: float,
    seed: int = 0,
    timeout_s: float = 300.0,
    bodies: bool = False,
) -> Run:
    """Begin units at random instants, `rate` a second on average, whatever is under way."""
    return _run(
        {
            "rate": rate,
            "seed": seed,
            **_common(url, units, timeout_s=timeout_s, seconds=None, bodies=bodies),
        }
    )


def _common(
    url: str,
    units: Sequence[Request | Sequence[Request]],
    *,
    timeout_s: float,
    seconds: float | None,
    bodies: bool,
) -> dict[str, Any]:
    lists = [[unit] if isinstance(unit, Request) else unit for unit in units]
    sent = [[{**asdict(r), "body": r.body.decode()} for r in unit] for unit in lists]
    return {"url": url, "units": sent, "timeout_s": timeout_s, "seconds": seconds, "bodies": bodies}


def _run(plan: dict[str, Any]) -> Run:
    done = subprocess.run(
        [sys.executable, "-m", __name__],
        input=json.dumps(plan).encode(),
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[1])},
    )
    if done.returncode:
        raise RuntimeError(f"the load generator ended with {done.returncode}")
    found = json.loads(done.stdout)
    outcomes = (
        Outcome(start, seconds, tuple(statuses), tuple(bodies))
        for start, seconds, statuses, bodies in found["outcomes"]
    )
    return Run(tuple(outcomes), found["seconds"], found["client_cpu_s"])


class _Client:
    """Sends units over connections that are used again."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self._plan = plan
        self._idle: list[Connection] = []
        self._began = time.perf_counter()
        self.outcomes: list[tuple[float, float, list[int], list[str]] | None] = []

    async def run(self, units: list[list[Request]]) -> None:
        self.outcomes = [None] * len(units)
        self._began = time.perf_counter()
        if self._plan["rate"] is not None:
            await self._arrivals(units)
        else:
            queue = iter(enumerate(units))
            await asyncio.gather(*(self._loop(queue) for _ in range(self._plan["concurrency"])))

    async def _loop(self, queue: Iterator[tuple[int, list[Request]]]) -> None:
        limit = self._plan["seconds"]
        for number, unit in queue:
            await self._unit(number, unit)
            if limit is not None and time.perf_counter() - self._began >= limit:
                return

    async def _arrivals(self, units: list[list[Request]]) -> None:
        draw, at = Random(self._plan["seed"]), 0.0
        async with asyncio.TaskGroup() as group:
            for number, unit in enumerate(units):
                await asyncio.sleep(self._began + at - time.perf_counter())
                group.create_task(self._unit(number, unit))
                at += draw.expovariate(self._plan["rate"])

    async def _unit(self, number: int, unit: list[Request]) -> None:
        start = time.perf_counter()
        if len(unit) == 1:
            answers = [await self._send(unit[0])]
        else:
            answers = await asyncio.gather(*(self._send(request) for request in unit))
        seconds = time.perf_counter() - start
        statuses = [status for status, _ in answers]
        bodies = [body for _, body in answers] if self._plan["bodies"] else []
        self.outcomes[number] = (start - self._began, seconds, statuses, bodies)

    async def _send(self, request: Request) -> tuple[int, str]:
        connection = self._idle.pop() if self._idle else Connection(self._plan["url"])
        try:
            async with asyncio.timeout(self._plan["timeout_s"]):
                answer = await connection.send(request)
        except TimeoutError:
            return TOO_LATE, ""
        except OSError:
            return NO_ANSWER, ""
        self._idle.append(connection)
        return answer.status, answer.body.decode() if self._plan["bodies"] else ""


def main() -> None:
    """Read the plan, send the load, write what became of it."""
    plan = json.load(sys.stdin)
    units = [
        [Request(r["method"], r["path"], r["body"].encode(), r["headers"]) for r in unit]
        for unit in plan["units"]
    ]
    client = _Client(plan)
    cpu = time.process_time()
    asyncio.run(client.run(units))
    cpu = time.process_time() - cpu
    outcomes = [outcome for outcome in client.outcomes if outcome is not None]
    ends = [start + seconds for start, seconds, _, _ in outcomes]
    json.dump({"outcomes": outcomes, "seconds": max(ends), "client_cpu_s": cpu}, sys.stdout)


if __name__ == "__main__":
    main()
