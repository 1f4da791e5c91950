"""What an explanation takes, and what others wait meanwhile.

Groups of several sizes, each question with four options, are asked with `explain` by one client,
while another one asks a small group again and again. Every preference is left out in turn and the
rest encoded anew, so that the time grows with a power of the size.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

from rich.console import Console
from tqdm import tqdm

from measuring import report
from measuring.client import Request
from measuring.load import closed_loop
from measuring.machine import machine
from measuring.material import answered, new_question
from measuring.servers import Server, serving

TOKENS = 600
"""The cap here, above the default: beyond 512 the module has no graph for a context."""

SIZES = (10, 20, 50, 100, 150)
REPEATS = 2
ALONE = 200
QUESTION = {"question": "Should the market be open at night?", "options": ["Yes", "Later", "No"]}
COLUMNS = {
    "preferences": "preferences",
    "tokens": "tokens",
    "/predict ms": "predict_ms",
    "with explain s": "explain_s",
    "another client: p50 ms": "other_p50_ms",
    "p95 ms": "other_p95_ms",
    "longest ms": "other_longest_ms",
    "alone: p50 ms": "alone_p50_ms",
    "alone: p95 ms": "alone_p95_ms",
}


def main() -> None:
    """Measure, print a table, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one run, groups of up to 50")
    parser.add_argument("--out", type=Path, help="where the figures go")
    options = parser.parse_args()
    measured_on = machine()
    repeats = 1 if options.quick else REPEATS
    sizes = SIZES[:3] if options.quick else SIZES
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(Path(folder), GPO_MAX_EXPLAINED_TOKENS=str(TOKENS)) as server,
    ):
        rows = [measure(server, size, repeats) for size in tqdm(sizes, unit="group")]
    Console().print(report.table("/predict with explain", COLUMNS, rows))
    report.write(
        "explain",
        measured_on,
        {"repeats": repeats, "max_explained_tokens": TOKENS},
        out=options.out,
        rows=rows,
    )


def measure(server: Server, size: int, repeats: int) -> dict[str, Any]:
    """One size of a group."""
    draw = Random(size)
    group = [answered(new_question(draw), draw) for _ in range(size)]
    small = Request.json("POST", "/predict", {"preferences": group[:5], **QUESTION})
    plain = Request.json("POST", "/predict", {"preferences": group, **QUESTION})
    seconds(server, small, 3)
    predict = seconds(server, plain, 1 + 5)[1:]
    alone = seconds(server, small, ALONE)
    asked = {"preferences": group, **QUESTION, "explain": True}
    explained, others = [], []
    for _ in range(repeats):
        took, waited = beside(server, Request.json("POST", "/predict", asked), small)
        explained.append(took)
        others += waited
    return {
        "preferences": size,
        "tokens": 4 * size,
        "predict_ms": median(predict) * 1e3,
        "explain_s": median(explained),
        "other_p50_ms": median(others) * 1e3,
        "other_p95_ms": report.percentile(others, 0.95) * 1e3,
        "other_longest_ms": max(others) * 1e3,
        "alone_p50_ms": median(alone) * 1e3,
        "alone_p95_ms": report.percentile(alone, 0.95) * 1e3,
    }


def seconds(server: Server, request: Request, times: int) -> list[float]:
    """Of each of so many requests. Raises SystemExit where one fails."""
    run = closed_loop(server.url, [request] * times, concurrency=1)
    if len(run.latencies) < times:
        raise SystemExit(f"refused: {run.outcomes[-1].statuses}")
    return run.latencies


def beside(server: Server, long: Request, short: Request) -> tuple[float, list[float]]:
    """Seconds of the long request, and of the short ones that were answered meanwhile."""
    found: list[float] = []
    thread = threading.Thread(target=lambda: found.extend(seconds(server, long, 1)))
    waited: list[float] = []
    thread.start()
    began = time.perf_counter()
    while thread.is_alive() and time.perf_counter() - began < 300:
        waited += seconds(server, short, 20)
    thread.join()
    return found[0], waited


if __name__ == "__main__":
    main()
