"""What caching a context saves, and how the cost of scoring grows.

The candidates of one prompt are scored in one run with the context encoded before, with the context
encoded again for the question, and with it encoded again for each option, as the published
reference code evaluates. Then the cost of cached scoring over the number of candidates and of
requests in one batch. Vectors are random: the time does not depend on what they mean. The embedder
is not measured.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from measuring import report
from measuring.machine import ROOT, machine
from models.batches import FloatArray, Item, Kind
from models.networks import Encoded
from models.scorer import Asked, GPOScorer

OPTIONS = 4
CANDIDATES = 8
SIZES = (20, 100, 500)
GROWTH_CONTEXT = 100
MANY_CANDIDATES = (1, 8, 64, 256, 1000)
MANY_REQUESTS = (1, 4, 16, 64)
SLOW_MS = 3_000.0


@dataclass(frozen=True, slots=True)
class Times:
    """Milliseconds of each run: of the processor, and on the clock."""

    cpu: tuple[float, ...]
    wall: tuple[float, ...]

    def as_json(self) -> dict[str, float]:
        """The medians."""
        return {"cpu_ms": median(self.cpu), "wall_ms": median(self.wall)}


def main() -> None:
    """Measure, print tables, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, default=ROOT / "models/released/minilm")
    parser.add_argument("--repeats", type=int, default=15, help="runs of each; the median counts")
    parser.add_argument("--quick", action="store_true", help="three runs, no context of 500")
    parser.add_argument("--out", type=Path, help="where the figures go")
    options = parser.parse_args()
    measured_on = machine()
    torch.set_num_threads(1)
    threadpool_limits(1)  # numpy's BLAS
    scorer = GPOScorer.load(options.checkpoint).traced()  # as the service
    console = Console()
    repeats = 3 if options.quick else options.repeats
    sizes = SIZES[:2] if options.quick else SIZES
    rows = [
        against_encoding(scorer, size, repeats=repeats)
        for size in tqdm(sizes, desc="contexts", unit="context")
    ]
    console.print(table(rows))
    candidates = [
        of_candidates(scorer, count, repeats=repeats)
        for count in tqdm(MANY_CANDIDATES, desc="candidates", unit="count")
    ]
    requests = [
        of_requests(scorer, count, repeats=repeats)
        for count in tqdm(MANY_REQUESTS, desc="requests", unit="count")
    ]
    console.print(growth_table("candidates of one request", candidates))
    console.print(growth_table("requests in one batch, each on its own context", requests))
    settings = {
        "checkpoint": options.checkpoint.name,
        "repeats": repeats,
        "candidates": CANDIDATES,
        "options": OPTIONS,
        "growth_context_questions": GROWTH_CONTEXT,
        "threads": 1,
    }
    report.write(
        "scoring",
        measured_on,
        settings,
        out=options.out,
        rows=rows,
        candidates=candidates,
        requests=requests,
    )


def against_encoding(scorer: GPOScorer, size: int, *, repeats: int) -> dict[str, Any]:
    """The candidates of one prompt, scored from a cached context and without; ratios of CPU time.

    The slower a way is, the fewer runs it gets.
    """
    dim = scorer.network.config.embedding_dim
    draw = np.random.default_rng(size)
    items = [context_item(draw, dim) for _ in range(size)]
    candidates = vectors(draw, CANDIDATES, dim)
    context = scorer.encode_context(items)

    def for_each_option() -> None:
        for candidate in candidates:
            scorer.score(scorer.encode_context(items), candidate[None])

    cached = timed(lambda: scorer.score(context, candidates), 3 * repeats)
    question = timed(lambda: scorer.score(scorer.encode_context(items), candidates), repeats)
    option = timed(for_each_option, max(1, repeats // 3))
    return {
        "context_questions": size,
        "context_tokens": size * OPTIONS,
        "cached_mb": context.nbytes / 1e6,
        "cached": cached.as_json(),
        "encoded_for_each_question": question.as_json(),
        "encoded_for_each_option": option.as_json(),
        "question_ratio": report.ratio_of_medians(question.cpu, cached.cpu).as_json(),
        "option_ratio": report.ratio_of_medians(option.cpu, cached.cpu).as_json(),
    }


def of_candidates(scorer: GPOScorer, count: int, *, repeats: int) -> dict[str, Any]:
    """One request of so many candidates on a cached context."""
    dim = scorer.network.config.embedding_dim
    draw = np.random.default_rng(count)
    context = cached_context(scorer, draw)
    candidates = vectors(draw, count, dim)
    found = timed(lambda: scorer.score(context, candidates), repeats)
    return {"count": count, **found.as_json(), "cpu_ms_each": median(found.cpu) / count}


def of_requests(scorer: GPOScorer, count: int, *, repeats: int) -> dict[str, Any]:
    """So many requests at once, each of a few candidates on a cached context of its own."""
    dim = scorer.network.config.embedding_dim
    draw = np.random.default_rng(count)
    contexts = [cached_context(scorer, draw) for _ in range(count)]
    asked = [vectors(draw, CANDIDATES, dim) for _ in range(count)]

    batch = [
        Asked(context, [candidates]) for context, candidates in zip(contexts, asked, strict=True)
    ]
    found, together = timed(lambda: scorer.score_each(batch), repeats), np.concatenate(asked)
    shared = timed(lambda: scorer.score(contexts[0], together), repeats)
    return {
        "count": count,
        **found.as_json(),
        "cpu_ms_each": median(found.cpu) / count,
        "same_context_cpu_ms": median(shared.cpu),
        "same_context_cpu_ms_each": median(shared.cpu) / count,
    }


def cached_context(scorer: GPOScorer, draw: np.random.Generator) -> Encoded:
    """An encoded context of the size that growth is measured at."""
    dim = scorer.network.config.embedding_dim
    return scorer.encode_context([context_item(draw, dim) for _ in range(GROWTH_CONTEXT)])


def timed(work: Callable[[], object], repeats: int) -> Times:
    """Processor time beside the clock: other load on the machine counts only in the second.

    A first run warms up, but one that takes seconds is the figure.
    """
    cpu, wall = [], []
    for number in range(repeats + 1):
        on_clock, started = time.perf_counter(), time.process_time()
        work()
        cpu.append((time.process_time() - started) * 1e3)
        wall.append((time.perf_counter() - on_clock) * 1e3)
        if number == 0 and cpu[0] > SLOW_MS:
            return Times(tuple(cpu), tuple(wall))
    return Times(tuple(cpu[1:]), tuple(wall[1:]))


def vectors(draw: np.random.Generator, k: int, dim: int) -> FloatArray:
    """Vectors (k, dim) of one prompt beside k responses; both halves have length 1."""
    prompt = np.repeat(draw.normal(size=(1, dim // 2)), k, axis=0)
    both = np.stack([prompt, draw.normal(size=(k, dim // 2))], axis=1)
    both /= np.linalg.norm(both, axis=2, keepdims=True)
    return np.asarray(both.reshape(k, dim), dtype=np.float32)


def context_item(draw: np.random.Generator, dim: int) -> Item:
    """A question that the group has answered."""
    shares = draw.dirichlet(np.ones(OPTIONS)).astype(np.float32)
    return Item(Kind.SHARE, vectors(draw, OPTIONS, dim), shares)


def table(rows: list[dict[str, Any]]) -> Table:
    """Cached against encoded again, for a person."""
    columns = {
        "context questions": "context_questions",
        "cached MB": "cached_mb",
        "cached, ms": "cached",
        "encoded for each question": "encoded_for_each_question",
        "for each option": "encoded_for_each_option",
        "question / cached": "question_ratio",
        "option / cached": "option_ratio",
    }
    flat = [
        {k: v["cpu_ms"] if isinstance(v, dict) and "cpu_ms" in v else v for k, v in r.items()}
        for r in rows
    ]
    return report.table(f"{CANDIDATES} candidates: median CPU milliseconds", columns, flat)


def growth_table(what: str, rows: list[dict[str, Any]]) -> Table:
    """How the cost grows, for a person."""
    columns = {
        what: "count",
        "CPU ms": "cpu_ms",
        "wall ms": "wall_ms",
        "CPU ms each": "cpu_ms_each",
    }
    if "same_context_cpu_ms" in rows[0]:
        columns["CPU ms on one context"] = "same_context_cpu_ms"
    return report.table(f"Cached scoring, context of {GROWTH_CONTEXT} questions", columns, rows)


if __name__ == "__main__":
    main()
