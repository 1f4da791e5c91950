"""What caching a context saves: prediction from cached keys and values, and without them.

Three ways to answer one question from the same context, in one run: with the context encoded
before (and so for the candidates of one prompt); encoding it again for the question; encoding it
again for each option, as the published reference code does. Vectors are random: the time does not
depend on what they mean. The embedder is not measured.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_limits

from measuring import report
from measuring.machine import ROOT, machine
from models.batches import FloatArray, Item, Kind
from models.scorer import GPOScorer

OPTIONS = 4
CANDIDATES = 8
SIZES = (20, 100, 500)
SLOW_MS = 3_000.0


def main() -> None:
    """Measure, print a table, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, default=ROOT / "models/released/minilm")
    parser.add_argument("--repeats", type=int, default=15, help="runs of each; the median counts")
    parser.add_argument("--out", type=Path, help="where the figures go")
    options = parser.parse_args()
    measured_on = machine()
    torch.set_num_threads(1)
    threadpool_limits(1)  # numpy's BLAS
    scorer = GPOScorer.load(options.checkpoint)
    console = Console()
    rows = []
    for size in SIZES:
        console.print(f"measuring a context of {size} questions")
        rows.append(measure(scorer, size, repeats=options.repeats))
    console.print(table(rows))
    settings = {"checkpoint": options.checkpoint.name, "repeats": options.repeats}
    report.write("scoring", measured_on, settings, out=options.out, rows=rows)


def measure(scorer: GPOScorer, size: int, *, repeats: int) -> dict[str, Any]:
    """Median milliseconds to answer one question, or to score the candidates of one prompt."""
    dim = scorer.network.config.embedding_dim
    draw = np.random.default_rng(size)
    items = [context_item(draw, dim) for _ in range(size)]
    question = vectors(draw, OPTIONS, dim)
    candidates = vectors(draw, CANDIDATES, dim)
    context = scorer.encode_context(items)

    def for_each_option() -> None:
        for option in question:
            scorer.score(scorer.encode_context(items), option[None])

    return {
        "context_questions": size,
        "context_tokens": size * OPTIONS,
        "cached_mb": context.nbytes / 1e6,
        "cached_ms": timed(lambda: scorer.predict(context, [question]), repeats),
        "cached_candidates_ms": timed(lambda: scorer.score(context, candidates), repeats),
        "encode_for_each_question_ms": timed(
            lambda: scorer.predict(scorer.encode_context(items), [question]), repeats
        ),
        "encode_for_each_option_ms": timed(for_each_option, repeats),
    }


def timed(work: Callable[[], object], repeats: int) -> float:
    """Median CPU milliseconds, so that other load on the machine does not count.

    A first run warms up, but one that takes seconds is the figure.
    """
    times = []
    for number in range(repeats + 1):
        started = time.process_time()
        work()
        times.append((time.process_time() - started) * 1e3)
        if number == 0 and times[0] > SLOW_MS:
            return times[0]
    return median(times[1:])


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
    """The figures for a person."""
    result = Table(title=f"One question with {OPTIONS} options: median CPU milliseconds")
    columns = {
        "context questions": "context_questions",
        "cached MB": "cached_mb",
        "context cached": "cached_ms",
        f"{CANDIDATES} candidates": "cached_candidates_ms",
        "encoded for each question": "encode_for_each_question_ms",
        "encoded for each option": "encode_for_each_option_ms",
    }
    for title in columns:
        result.add_column(title, justify="right")
    for row in rows:
        size, *values = (row[key] for key in columns.values())
        result.add_row(str(size), *(f"{value:.1f}" for value in values))
    return result


if __name__ == "__main__":
    main()
