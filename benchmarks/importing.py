"""What an import of many groups takes: time, memory, and what others wait meanwhile.

`gpo groups import` sends a file of groups to a real server, on SQLite and on Redis. Each group has
5 preferences from a pool of 2,000 texts. Beside it one client asks /livez and another /predict with
preferences of its own, all the time. Then the file is imported once more, exported, and two samples
of the groups are asked one question, the second after a restart: how many texts are embedded then?
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from rich.console import Console
from tqdm import tqdm

from growth import PREFERENCES, group_of, pool
from measuring import report
from measuring.client import Request
from measuring.load import closed_loop
from measuring.machine import ROOT, machine
from measuring.servers import CannotMeasure, Server, serving, serving_redis

GROUPS = 100_000
SAMPLE = 1_000
"""Groups that are asked after the import: with so many, all texts of the pool come up."""
PAUSE_S = 0.02
ALONE_S = 5.0
_EMBEDDED = re.compile(r'^gpo_scorer_batch_size_sum\{kind="texts"\}\s+(\S+)', re.MULTILINE)


def main() -> None:
    """Measure, print a table, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--groups", type=int, default=GROUPS)
    parser.add_argument("--store", choices=("sqlite", "redis", "both"), default="both")
    parser.add_argument("--out", type=Path, help="where the figures go")
    options = parser.parse_args()
    console, measured_on = Console(), machine()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = write_groups(folder / "groups.jsonl", options.groups)
        file_mb = round(file.stat().st_size / 1e6, 1)
        for store in ["sqlite", "redis"] if options.store == "both" else [options.store]:
            try:
                rows.append(measure(folder, file, store, options.groups))
            except CannotMeasure as exc:
                console.print(f"importing on {store}: nothing measured; {exc}")
    console.print(table(rows))
    settings = {
        "groups": options.groups,
        "preferences": PREFERENCES,
        "pool_texts": 5 * len(pool()),
        "file_mb": file_mb,
        "sample": SAMPLE,
    }
    report.write("importing", measured_on, settings, out=options.out, rows=rows)


def write_groups(file: Path, count: int) -> Path:
    """The groups as JSON Lines."""
    questions = pool()
    with file.open("w", encoding="utf-8") as sink:
        for number in tqdm(range(count), desc="file", unit="group"):
            sink.write(json.dumps(group_of(number, questions)) + "\n")
    return file


@dataclass(slots=True)
class Watch:
    """Asks a server the same thing again and again, and its memory, until it is told to stop."""

    server: Server
    path: str
    body: dict[str, Any] | None = None
    seconds: list[float] = field(default_factory=list)
    failures: int = 0
    memory_mb: list[float] = field(default_factory=list)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Ask while the block runs."""
        stop = threading.Event()
        thread = threading.Thread(target=self._run, args=(stop,))
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def _run(self, stop: threading.Event) -> None:
        content = None if self.body is None else json.dumps(self.body).encode()
        request = urllib.request.Request(
            self.server.url + self.path, content, {"Content-Type": "application/json"}
        )
        while not stop.wait(PAUSE_S):
            began = time.perf_counter()
            try:
                with urllib.request.urlopen(request, timeout=60) as response:
                    response.read()
                self.seconds.append(time.perf_counter() - began)
            except OSError:
                self.failures += 1
            self.memory_mb.append(self.server.rss_mb())

    def ms(self, share: float) -> float:
        """Milliseconds below which this share of the answers came."""
        return report.percentile(self.seconds, share) * 1e3


def measure(folder: Path, file: Path, store: str, groups: int) -> dict[str, Any]:
    """One store's row."""
    here = folder / store
    here.mkdir()
    with ExitStack() as stack:
        redis = stack.enter_context(serving_redis(here)) if store == "redis" else None
        settings = {} if redis is None else {"GPO_STORE_URL": redis.url}
        with serving(here, **settings) as server:
            row: dict[str, Any] = {"store": store, "groups": groups}
            row |= imported(server, here, file, groups)
            began = time.perf_counter()
            gpo(server, here, "export", str(here / "out.jsonl"))
            row["export_s"] = time.perf_counter() - began
            row["export_is_import"] = same_groups(file, here / "out.jsonl")
            row |= {"texts_embedded": ask_sample(server, groups), "service_mb": server.rss_mb()}
        store_mb = sum(f.stat().st_size for f in here.glob("groups.db*")) / 1e6
        row["store_mb"] = store_mb if redis is None else redis.rss_mb()
        with serving(here, name="again", **settings) as server:
            row["texts_embedded_after_restart"] = ask_sample(server, groups, seed=1)
    return row


def imported(server: Server, folder: Path, file: Path, groups: int) -> dict[str, Any]:
    """The first import with its company, and a second that finds everything there."""
    before = server.rss_mb()
    asked = {"preferences": group_of(0, pool())["preferences"], **pool()[0]}
    closed_loop(server.url, [Request.json("POST", "/predict", asked)] * 3, concurrency=1)
    alone = Watch(server, "/livez"), Watch(server, "/predict", asked)
    with alone[0].watching(), alone[1].watching():
        time.sleep(ALONE_S)
    live, predict = Watch(server, "/livez"), Watch(server, "/predict", asked)
    cpu, began = server.cpu_seconds(), time.perf_counter()
    with live.watching(), predict.watching():
        counts = gpo(server, folder, "import", str(file), "--json")
    seconds = time.perf_counter() - began
    cpu = server.cpu_seconds() - cpu
    assert json.loads(counts)["created"] == groups, counts
    again = time.perf_counter()
    counts = gpo(server, folder, "import", str(file), "--json")
    again = time.perf_counter() - again
    assert json.loads(counts)["unchanged"] == groups, counts
    return {
        "import_s": seconds,
        "groups_s": groups / seconds,
        "service_cpu_s": cpu,
        "again_s": again,
        "memory_before_mb": before,
        "memory_peak_mb": max(live.memory_mb),
        "livez_p50_ms": live.ms(0.5),
        "livez_p95_ms": live.ms(0.95),
        "livez_longest_ms": live.ms(1.0),
        "livez_alone_p95_ms": alone[0].ms(0.95),
        "predict_p50_ms": predict.ms(0.5),
        "predict_p95_ms": predict.ms(0.95),
        "predict_alone_p95_ms": alone[1].ms(0.95),
        "failures": live.failures + predict.failures,
    }


def gpo(server: Server, folder: Path, *arguments: str) -> str:
    """What `gpo groups` prints. Raises SystemExit where it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "service", "groups", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "GPO_URL": server.url},
        stdout=subprocess.PIPE,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"gpo groups {arguments[0]} ended with {done.returncode}: {done.stdout}")
    return done.stdout


def same_groups(one: Path, other: Path) -> bool:
    """Whether two files hold the same groups, in any order; neither is read as a whole."""

    def digest(file: Path) -> int:
        with file.open(encoding="utf-8") as lines:
            read = (json.loads(line, parse_int=float) for line in lines)
            return sum(hash(json.dumps(group, sort_keys=True)) for group in read)

    return digest(one) == digest(other)


def ask_sample(server: Server, groups: int, *, seed: int = 0) -> int:
    """Ask some groups one thing; the texts that were embedded for it."""
    draw, question = Random(seed), pool()[0]
    before = embedded(server)
    bodies = [{"group_id": f"group-{draw.randrange(groups)}", **question} for _ in range(SAMPLE)]
    requests = [Request.json("POST", "/predict", body) for body in bodies]
    run = closed_loop(server.url, requests, concurrency=4)
    if len(run.latencies) < len(requests):
        raise SystemExit(f"/predict failed: {run.outcomes[-1].statuses}")
    return embedded(server) - before


def embedded(server: Server) -> int:
    """Texts that the service has embedded so far."""
    with urllib.request.urlopen(f"{server.url}/metrics", timeout=60) as response:
        found = _EMBEDDED.search(response.read().decode())
    if found is None:
        raise SystemExit("the service does not count the texts that it embeds")
    return int(float(found[1]))


def table(rows: list[dict[str, Any]]) -> Any:
    """The figures for a person."""
    columns = {
        "store": "store",
        "groups": "groups",
        "import s": "import_s",
        "groups/s": "groups_s",
        "again s": "again_s",
        "export s": "export_s",
        "memory before": "memory_before_mb",
        "peak MB": "memory_peak_mb",
        "/livez p95 ms": "livez_p95_ms",
        "alone": "livez_alone_p95_ms",
        "/predict p95 ms": "predict_p95_ms",
        "alone ": "predict_alone_p95_ms",
        "texts embedded": "texts_embedded",
        "after restart": "texts_embedded_after_restart",
    }
    return report.table("An import through the command line, and requests beside it", columns, rows)


if __name__ == "__main__":
    main()
