"""What /predict costs around the module: warm against an empty FastAPI route, cold against the
bare embedder.

Warm: the same bodies to the service, to the service with a result cache, and to a route that does
nothing, turn and turn about, from a client in a process of its own which shares the cores. Every
text and every context has been met before. Cold: texts that nobody has met, in requests of several
sizes, against the embedder alone on other texts of the same kind in the same process count.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

from rich.console import Console
from tqdm import tqdm

from measuring import report
from measuring.client import Request
from measuring.load import Run, closed_loop
from measuring.machine import ROOT, machine
from measuring.material import answered, new_question
from measuring.servers import (
    Server,
    serving,
    serving_empty_route,
    serving_redis,
)

CONCURRENCY = 64
CONTEXT_QUESTIONS = 20
RESULT_CACHE_MB = "64"
COLD = (1, 16, 256)
"""Questions of one cold request."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured."""

    rounds: int
    seconds: float
    groups: int
    questions: int
    cold_questions: int


def main() -> None:
    """Measure, print tables, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=8, help="turns of each server; medians count")
    parser.add_argument("--seconds", type=float, default=5.0, help="of load in a turn")
    parser.add_argument("--groups", type=int, default=50, help="that are asked, at random")
    parser.add_argument("--questions", type=int, default=100, help="that they are asked, at random")
    parser.add_argument("--store", choices=("sqlite", "redis", "both"), default="both")
    parser.add_argument("--quick", action="store_true", help="a minute, SQLite alone")
    parser.add_argument("--out", type=Path, help="where the figures go")
    options = parser.parse_args()
    sizes = Sizes(options.rounds, options.seconds, options.groups, options.questions, 256)
    stores = ["sqlite", "redis"] if options.store == "both" else [options.store]
    if options.quick:
        sizes, stores = Sizes(3, 1.5, 20, 20, 64), ["sqlite"]
    console, measured_on = Console(), machine()
    warm_rows, cold_rows = [], []
    for store in stores:
        with tempfile.TemporaryDirectory() as folder, opened(Path(folder), store) as servers:
            warm_rows += [{"store": store, **row} for row in warm(servers, sizes)]
            if store == "sqlite":
                cold_rows = cold(servers["service"], sizes)
    console.print(warm_table(warm_rows))
    console.print(cold_table(cold_rows))
    settings = {
        "concurrency": CONCURRENCY,
        "context_questions": CONTEXT_QUESTIONS,
        "result_cache_mb": int(RESULT_CACHE_MB),
        **{name: getattr(sizes, name) for name in Sizes.__slots__},
    }
    report.write("predict", measured_on, settings, out=options.out, warm=warm_rows, cold=cold_rows)


@contextmanager
def opened(folder: Path, store: str) -> Iterator[dict[str, Server]]:
    """The empty route, the service, and the service with a result cache, on one store."""
    with ExitStack() as stack:
        chosen = {}
        if store == "redis":
            chosen["GPO_STORE_URL"] = stack.enter_context(serving_redis(folder)).url
        plain = stack.enter_context(serving(folder, **chosen))
        more = {"GPO_RESULT_CACHE_MB": RESULT_CACHE_MB}
        yield {
            "empty": stack.enter_context(serving_empty_route(folder)),
            "service": plain,
            "cached": stack.enter_context(serving(folder, name="cached", **chosen, **more)),
        }


def warm(servers: dict[str, Server], sizes: Sizes) -> list[dict[str, Any]]:
    """Requests a second of each server, and the ratio of each turn to the empty route's."""
    draw = Random(0)
    pool = [new_question(draw) for _ in range(sizes.questions)]
    register(servers["service"].url, sizes.groups, draw)
    bodies = [
        Request.json(
            "POST",
            "/predict",
            {"group_id": f"group-{draw.randrange(sizes.groups)}", **draw.choice(pool)},
        )
        for _ in range(50_000)
    ]
    every = [
        Request.json("POST", "/predict", {"group_id": f"group-{number}", "questions": pool})
        for number in range(sizes.groups)
    ]
    for name in ("service", "cached"):
        run = closed_loop(servers[name].url, every, concurrency=4)
        run_well(run)
    rates: dict[str, list[float]] = {name: [] for name in servers}
    latencies: dict[str, list[float]] = {name: [] for name in servers}
    cpu: dict[str, list[float]] = {name: [] for name in servers}
    for _ in tqdm(range(sizes.rounds), desc="warm", unit="turn"):
        for name, server in servers.items():
            before = server.cpu_seconds()
            run = run_well(
                closed_loop(server.url, bodies, concurrency=CONCURRENCY, seconds=sizes.seconds)
            )
            rates[name].append(run.rate)
            latencies[name] += run.latencies
            cpu[name].append((server.cpu_seconds() - before) * 1e3 / len(run.latencies))
    return [
        {
            "server": name,
            "requests_s": median(rates[name]),
            "p50_ms": report.percentile(latencies[name], 0.5) * 1e3,
            "p95_ms": report.percentile(latencies[name], 0.95) * 1e3,
            "cpu_ms": median(cpu[name]),
            "to_empty": report.paired_ratio(rates[name], rates["empty"]).as_json(),
        }
        for name in servers
    ]


def register(url: str, groups: int, draw: Random) -> None:
    """Groups with answers to questions of their own."""
    requests = [
        Request.json(
            "POST",
            "/groups",
            {
                "id": f"group-{number}",
                "name": f"Group {number}",
                "preferences": [
                    answered(new_question(draw), draw) for _ in range(CONTEXT_QUESTIONS)
                ],
            },
        )
        for number in range(groups)
    ]
    run_well(closed_loop(url, requests, concurrency=4))


def run_well(run: Run) -> Run:
    """The run itself; a benchmark in which something failed says nothing."""
    if bad := sorted({s for o in run.outcomes for s in o.statuses if not 200 <= s < 300}):
        raise SystemExit(f"some requests ended with {bad}")
    return run


def cold(server: Server, sizes: Sizes) -> list[dict[str, Any]]:
    """Texts a second of the service on new texts, by questions in a request, and the embedder's."""
    rows = []
    with bare_embedder() as embed:
        for each in COLD:
            served, bare = [], []
            for turn in tqdm(range(max(sizes.rounds // 2, 2)), desc=f"cold {each}", unit="turn"):
                draw = Random(1_000 * each + turn)
                asked = [new_question(draw) for _ in range(max(sizes.cold_questions, each))]
                other = [new_question(draw) for _ in asked]
                bare.append(embed(texts_of(other)))
                requests = [
                    Request.json(
                        "POST",
                        "/predict",
                        {"group_id": "group-0", "questions": asked[start : start + each]},
                    )
                    for start in range(0, len(asked), each)
                ]
                run = run_well(closed_loop(server.url, requests, concurrency=CONCURRENCY))
                served.append(len(texts_of(asked)) / run.seconds)
            rows.append(
                {
                    "questions_in_request": each,
                    "service_texts_s": median(served),
                    "embedder_texts_s": median(bare),
                    "ratio": report.paired_ratio(served, bare).as_json(),
                }
            )
    return rows


def texts_of(questions: Sequence[dict[str, Any]]) -> list[str]:
    """The distinct texts, as the embedder reads each of them once."""
    return list(dict.fromkeys(t for q in questions for t in (q["question"], *q["options"])))


_EMBEDDER = """
import json, sys, time
import torch
from models.embedders import load_embedder
from service.adapters.scoring.open import default_threads
torch.set_num_threads(default_threads())
embedder = load_embedder("minilm")
embedder.embed_texts(["warm up"])
for line in sys.stdin:
    texts = json.loads(line)
    started = time.perf_counter()
    embedder.embed_texts(texts)
    print(len(texts) / (time.perf_counter() - started), flush=True)
"""


@contextmanager
def bare_embedder() -> Iterator[Any]:
    """Gives the texts a second of the embedder alone, all texts in one call, in its own process.

    With as many threads as the service gives its own.
    """
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", _EMBEDDER],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    stdin, stdout = process.stdin, process.stdout

    def embed(texts: Sequence[str]) -> float:
        stdin.write(json.dumps(list(texts)) + "\n")
        stdin.flush()
        return float(stdout.readline())

    with process:
        yield embed
        stdin.close()


def warm_table(rows: list[dict[str, Any]]) -> Any:
    """The warm figures for a person."""
    columns = {
        "store": "store",
        "server": "server",
        "requests / s": "requests_s",
        "p50 ms": "p50_ms",
        "p95 ms": "p95_ms",
        "CPU ms a request": "cpu_ms",
        "of the empty route (95 %)": "to_empty",
    }
    return report.table(f"Warm /predict, {CONCURRENCY} connections", columns, rows)


def cold_table(rows: list[dict[str, Any]]) -> Any:
    """The cold figures for a person."""
    columns = {
        "questions in a request": "questions_in_request",
        "service, texts / s": "service_texts_s",
        "embedder, texts / s": "embedder_texts_s",
        "ratio (95 %)": "ratio",
    }
    return report.table("Texts that are met for the first time", columns, rows)


if __name__ == "__main__":
    main()
