"""The rows of an evaluation as tables, for a terminal and for a page of Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from models.checkpoint import Card
from models.evaluation import Row, is_headline

REGIMES = {
    "B": "B, known questions, new groups",
    "C": "C, new questions, new groups",
    "F": "F, free text, best of 16, new prompts and groups",
    "X": "X, free text chosen from a survey context",
}
COLUMNS = ("predictor", "score", "± s.e.", "n", "worst", "90 %", "CRPS", "width")
NARROW = 7  # columns that fit a terminal of 80 characters


def to_tables(rows: Sequence[Row]) -> list[Table]:
    """One table for each regime and data set, narrow enough for a terminal."""
    tables = []
    for regime, data in dict.fromkeys((r.regime, r.data) for r in rows):
        table = Table(
            title=f"{REGIMES[regime]}: {data}",
            title_justify="left",
            box=box.SIMPLE_HEAD,
            pad_edge=False,
        )
        for i, column in enumerate(COLUMNS[:NARROW]):
            table.add_column(column, justify="right" if i else "left", no_wrap=True)
        for row in rows:
            if (row.regime, row.data) == (regime, data):
                bold = "bold" if row.predictor.startswith(("module", "gain")) else None
                table.add_row(*_cells(row)[:NARROW], style=bold)
        tables.append(table)
    return tables


def _cells(row: Row) -> tuple[str, ...]:
    def show(value: float | None, digits: int = 3) -> str:
        return "" if value is None else f"{value:.{digits}f}"

    score = f"{row.mean:+.4f}" if row.predictor.startswith("gain") else f"{row.mean:.4f}"
    return (
        row.predictor,
        score,
        show(row.error, 4),
        str(row.groups),
        show(row.worst),
        show(row.coverage, 2),
        show(row.crps, 3),
        show(row.width),
    )


def to_markdown(rows: Sequence[Row]) -> str:
    """The rows of the headline sizes as one Markdown table."""
    columns = ("regime", "data", *COLUMNS)
    lines = ["| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
    lines += [
        "| " + " | ".join((r.regime, r.data, *_cells(r))) + " |" for r in rows if is_headline(r)
    ]
    return "\n".join(lines) + "\n"


def heading(card: Card) -> str:
    """Which checkpoint the figures belong to."""
    return f"Checkpoint {card.name}, digest {card.digest}"


def show(rows: Sequence[Row], card: Card, console: Console) -> None:
    """Print the tables and how to read them."""
    console.print(heading(card), highlight=False)
    console.print(
        "B, C: alignment, 1 is perfect. F, X: uplift, 0 is a random choice, 1 the best.\n"
        "n: groups. worst: lowest of a group. 90 %: true values inside the intervals.\n"
        "CRPS: error of the whole predicted law, lower is better.\n"
    )
    for table in to_tables(rows):
        console.print(table)
