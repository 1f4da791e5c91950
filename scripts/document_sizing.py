"""Writes the figures of docs/sizing.md from benchmarks/results/*.json and the default settings.

--check only says whether the page is current.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from marked_blocks import write_or_check
from service.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
TARGET = ROOT / "docs" / "sizing.md"
NAME = "sizing"
STORES = {"sqlite": "SQLite", "redis": "Redis"}
Result = Mapping[str, Any]


def figures(found: Mapping[str, Result]) -> str:
    """The table: what is needed, how much, from which benchmark."""
    lines = ["| what | measured | benchmark |", "|---|---|---|"]
    for name, rows in ((n, ROWS[n](found[n])) for n in ROWS if n in found):
        lines += [f"| {what} | {much} | [{name}](benchmarks.md#{name}) |" for what, much in rows]
    return "\n".join(lines) + "\n\n" + origins(found)


def origins(found: Mapping[str, Result]) -> str:
    """On what machines it was measured."""
    machines = sorted(
        {f"{r['machine']['processor']}, {r['machine']['cores']} cores" for r in found.values()}
    )
    return f"Measured on: {'; '.join(machines)}. Yours differ; `make bench` measures them.\n"


def scoring(result: Result) -> Iterator[tuple[str, str]]:
    """Memory of contexts, processor time of a choice."""
    held = Settings.model_fields["context_cache_mb"].default
    n = result["settings"]["candidates"]
    for row in result["rows"]:
        size, much = row["context_questions"], row["cached_mb"]
        fits = f"{int(held / much):,} such groups in the {held} MB of `GPO_CONTEXT_CACHE_MB`"
        yield f"memory of an encoded context of {size} questions", f"{much:.2g} MB: {fits}"
    for row in result["rows"]:
        what = f"scoring {n} candidates, cached context of {row['context_questions']} questions"
        yield what, f"{row['cached']['cpu_ms']:.2g} ms of a core"
    first = result["rows"][0]
    what = f"encoding a context of {first['context_questions']} questions, and scoring"
    yield what, f"{first['encoded_for_each_question']['cpu_ms']:.2g} ms of a core"


def overhead(result: Result) -> Iterator[tuple[str, str]]:
    """Processor time of the service for one generation, and of what it adds."""
    n, tokens = result["settings"]["candidates"], result["settings"]["tokens"]
    for row in result["rows"]:
        what = f"`/generate` of {n} candidates of {tokens} tokens, {row['concurrency']} at a time"
        core = row["service_cpu_ms"] / 1000
        yield (
            what,
            f"{core:.2g} s of a core in the service: {1 / core:.2g} requests/s for each core",
        )
    for row in result["rows"]:
        ratio = row["latency_ratio"]
        what = f"its latency over that of bare vLLM, {row['concurrency']} at a time"
        yield what, f"{ratio['value']:.2f} times ({ratio['low']:.2f} to {ratio['high']:.2f})"


def predict(result: Result) -> Iterator[tuple[str, str]]:
    """Requests in a second of one process, and texts."""
    servers = {"service": "", "cached": ", answered from the result cache"}
    for row in result["warm"]:
        if row["server"] in servers:
            what = f"`/predict` of known texts, {STORES[row['store']]}{servers[row['server']]}"
            yield (
                what,
                f"{row['requests_s']:,.0f} requests/s, {row['cpu_ms']:.2g} ms of a core each",
            )
    most = result["cold"][-1]
    what = f"embedding new texts, {most['questions_in_request']} questions in a request"
    yield what, f"{most['service_texts_s']:,.0f} texts/s"


def importing(result: Result) -> Iterator[tuple[str, str]]:
    """What groups take in the store, and an import."""
    each = result["settings"]["preferences"]
    for row in result["rows"]:
        size = f"{row['store_mb'] * 1000 / row['groups']:.2g} KB"
        yield f"a group of {each} preferences in {STORES[row['store']]}", size
    for row in result["rows"]:
        yield f"importing into {STORES[row['store']]}", f"{row['groups_s']:,.0f} groups/s"
    peak = max(row["memory_peak_mb"] for row in result["rows"])
    yield "memory of the service with the bundled LLM, at most while it imports", f"{peak:.0f} MB"


ROWS = {"scoring": scoring, "overhead": overhead, "predict": predict, "importing": importing}


def main() -> None:
    """Write the table, or compare it."""
    found = {
        name: json.loads(path.read_text(encoding="utf-8"))
        for name in ROWS
        if (path := RESULTS / f"{name}.json").exists()
    }
    write_or_check(TARGET, NAME, figures(found), script=Path(__file__).name)


if __name__ == "__main__":
    main()
