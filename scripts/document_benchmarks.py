"""Writes docs/benchmarks.md from benchmarks/results/*.json; --check only says if it is current."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
TARGET = ROOT / "docs" / "benchmarks.md"
HEAD = """# Benchmarks

Each script in `benchmarks/` answers one question, compares within one run, prints a table and
writes JSON with machine, commit and settings to `benchmarks/results/`. `make bench` runs all of
them; `overhead.py` needs vLLM (`make test-vllm` adds it) and is skipped without it, `soak.py` takes
the bundled model in-process instead. `--quick` makes a short run, `--out` names another file. This
page is written by `python scripts/document_benchmarks.py` from the JSON.

| script | question |
|---|---|
"""
QUESTIONS = {
    "overhead": "What does `/generate` cost over the same candidates from a bare vLLM server?",
    "scoring": "What does caching a context save, and how does the cost of scoring grow?",
    "predict": "What does `/predict` cost over the bare embedder, and over an empty route?",
    "explain": "What does an explanation take, and what do others wait meanwhile?",
    "growth": "What do many registered groups cost?",
    "soak": "Does the service stay whole at twice its capacity, with clients that leave?",
    "own_groups": "What is it worth to register groups of one's own?",
    "importing": "What does an import of many groups take, and what do others wait meanwhile?",
}
Row = Mapping[str, Any]
CANDIDATES = "candidates"


def page() -> str:
    """The whole page."""
    found = {f.stem: json.loads(f.read_text(encoding="utf-8")) for f in RESULTS.glob("*.json")}
    names = [name for name in QUESTIONS if (ROOT / "benchmarks" / f"{name}.py").exists()]
    listed = "".join(f"| `{name}.py` | {QUESTIONS[name]} |\n" for name in names)
    parts = [section(name, found[name]) for name in names if name in found]
    return HEAD + listed + "".join(parts)


def section(name: str, result: Row) -> str:
    """One benchmark: where and how it ran, then its tables."""
    lines = [f"\n## {name}\n\n{QUESTIONS[name]}\n\n{origin(result)}\n"]
    for title, columns, rows in TABLES.get(name, plain)(result):
        if rows:
            lines.append(f"\n{title}\n\n" if title else "\n")
            lines.append(markdown(columns, rows))
    return "".join(lines)


def origin(result: Row) -> str:
    """The machine, the commit and the settings in a sentence."""
    machine, said = result.get("machine", {}), []
    if machine:
        where = f"{machine['processor']}, {machine['cores']} cores, load {machine['load']} before"
        said.append(f"Taken {result['date'][:10]} at {result['commit']} on {where}.")
    settings = ", ".join(f"{k} {v}" for k, v in result.get("settings", {}).items())
    return " ".join([*said, f"Settings: {settings}."] if settings else said)


def plain(result: Row) -> Iterator[tuple[str, dict[str, str], Sequence[Row]]]:
    """The rows as they are, for a benchmark without a layout of its own."""
    rows = [
        {k: v for k, v in row.items() if not isinstance(v, list)} for row in result.get("rows", [])
    ]
    yield "", {key.replace("_", " "): key for row in rows[:1] for key in row}, rows


def scoring(result: Row) -> Iterator[tuple[str, dict[str, str], Sequence[Row]]]:
    """Cached against encoded again, then growth."""
    columns = {"context questions": "context_questions", "cached MB": "cached_mb"}
    columns |= {"cached": "cached", "encoded for each question": "encoded_for_each_question"}
    columns |= {"for each option": "encoded_for_each_option"}
    columns |= {"question / cached": "question_ratio", "option / cached": "option_ratio"}
    yield "Candidates of one prompt, median CPU milliseconds:", columns, result["rows"]
    growth = {
        "count": "count",
        "CPU ms": "cpu_ms",
        "wall ms": "wall_ms",
        "CPU ms each": "cpu_ms_each",
    }
    yield "Cached scoring over the number of candidates:", growth, result.get(CANDIDATES, [])
    growth = growth | {"CPU ms each, one context": "same_context_cpu_ms_each"}
    yield "Over the number of requests in a batch:", growth, result.get("requests", [])


def overhead(result: Row) -> Iterator[tuple[str, dict[str, str], Sequence[Row]]]:
    """Ratios, then where the time goes."""
    columns = {"generator": "generator", "concurrency": "concurrency"}
    ratios = {"bare p50 s": "bare_p50_s", "service p50 s": "service_p50_s"}
    ratios |= {"latency ratio": "latency_ratio", "over one call with n": "latency_ratio_one_call"}
    ratios |= {"throughput ratio": "throughput_ratio", "same texts": "same_texts"}
    yield "Service over bare vLLM, with 95 % intervals:", columns | ratios, result["rows"]
    rows = [{**row, **row["timings_ms"]} for row in result["rows"]]
    times = {f"{s} ms": s for s in ("queue", "context", "generate", "embed", "score", "total")}
    costs = {"service CPU ms": "service_cpu_ms", "vLLM CPU ms": "vllm_cpu_ms"}
    costs |= {"embedder tokens of a text": "embedder_tokens"}
    yield "Where the time of a request goes (stages overlap):", columns | times | costs, rows


def soak(result: Row) -> Iterator[tuple[str, dict[str, str], Sequence[Row]]]:
    """The verdict, then counts by route and status."""
    rows = [{**row, "lost": len(row["lost_or_torn"])} for row in result["rows"]]
    columns = {"store": "store", "requests/s": "rate", "seconds": "seconds", "requests": "requests"}
    columns |= {"writes acknowledged": "acknowledged_writes", "lost or torn": "lost"}
    columns |= {"stuck": "stuck", "broken": "broken", "memory growth": "memory_growth"}
    yield "", columns, rows
    for row in result["rows"]:
        statuses = sorted({key for counts in row["counts"] for key in counts} - {"route", "p50_ms"})
        counts = {"route": "route", **{s: s for s in statuses}, "p50 ms": "p50_ms"}
        yield f"On {row['store']}, by status:", counts, row["counts"]


def predict(result: Row) -> Iterator[tuple[str, dict[str, str], Sequence[Row]]]:
    """Warm beside the empty route, cold beside the embedder."""
    columns = {"store": "store", "server": "server", "requests/s": "requests_s"}
    columns |= {"p50 ms": "p50_ms", "p95 ms": "p95_ms", "CPU ms": "cpu_ms"}
    columns |= {"of the empty route": "to_empty"}
    yield "Warm texts; `cached` has a result cache:", columns, result["warm"]
    columns = {"questions in a request": "questions_in_request"}
    columns |= {"service, texts/s": "service_texts_s", "embedder, texts/s": "embedder_texts_s"}
    yield "Cold texts:", columns | {"of the embedder": "ratio"}, result["cold"]


def importing(result: Row) -> Iterator[tuple[str, dict[str, str], Sequence[Row]]]:
    """What the import takes, what others wait, what is embedded."""
    store = {"store": "store"}
    columns = {"import s": "import_s", "groups/s": "groups_s", "service CPU s": "service_cpu_s"}
    columns |= {"the same again s": "again_s", "export s": "export_s", "store MB": "store_mb"}
    columns |= {"service MB before": "memory_before_mb", "highest": "memory_peak_mb"}
    yield "Through `gpo groups import`, and back:", store | columns, result["rows"]
    columns = {"/livez p50 ms": "livez_p50_ms", "p95": "livez_p95_ms"}
    columns |= {"longest": "livez_longest_ms", "p95 without an import": "livez_alone_p95_ms"}
    columns |= {"/predict p50 ms": "predict_p50_ms", "p95 ": "predict_p95_ms"}
    columns |= {"p95 without an import ": "predict_alone_p95_ms", "failures": "failures"}
    yield "Answers to two clients meanwhile:", store | columns, result["rows"]
    columns = {"of the first sample": "texts_embedded"}
    columns |= {"of a second, after a restart": "texts_embedded_after_restart"}
    yield "Texts that are embedded when groups are asked:", store | columns, result["rows"]


TABLES: dict[str, Callable[[Row], Iterator[tuple[str, dict[str, str], Sequence[Row]]]]] = {
    "scoring": scoring,
    "overhead": overhead,
    "soak": soak,
    "predict": predict,
    "importing": importing,
}


def markdown(columns: Mapping[str, str], rows: Sequence[Row]) -> str:
    """A table of `columns`, heading -> key."""
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    lines += [f"| {' | '.join(cell(row.get(key)) for key in columns.values())} |" for row in rows]
    return "\n".join(lines) + "\n"


def cell(value: Any) -> str:
    """One value; a ratio with its interval, a time by its processor milliseconds."""
    if value is None:
        return ""
    if isinstance(value, Mapping):
        if "low" in value:
            return f"{value['value']:.3g} ({value['low']:.3g} to {value['high']:.3g})"
        if "cpu_ms" in value:
            return f"{value['cpu_ms']:.3g}"
        return ", ".join(f"{key} {cell(each)}" for key, each in value.items())
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return str(value)


def main() -> None:
    """Write the page, or compare it."""
    if "--check" not in sys.argv:
        TARGET.write_text(page(), encoding="utf-8")
    elif not TARGET.exists() or TARGET.read_text(encoding="utf-8") != page():
        sys.exit(f"{TARGET.name} is not current: run python scripts/document_benchmarks.py")


if __name__ == "__main__":
    main()
