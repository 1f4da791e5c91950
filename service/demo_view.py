"""What `gpo demo` found out, and how it looks on a terminal. Knows no HTTP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rich import box
from rich.columns import Columns
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table

STYLES = ("cyan", "magenta")


@dataclass(frozen=True, slots=True)
class Answer:
    """What one group is like: its predicted opinion and the answer that it would choose."""

    id: str
    name: str
    preferences: int
    distribution: list[float]
    text: str
    candidates: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answers of the two groups; `difference` is of the first option's probability."""

    question: str
    options: list[str]
    prompt: str
    groups: list[Answer]
    difference: float
    ok: bool
    seconds: float


def show(console: Console, outcome: Outcome) -> None:
    """Print both groups side by side."""
    console.print("\n[bold]How would each group answer?[/]  POST /predict")
    console.print(Padding(escape(outcome.question), (0, 2)))
    console.print(opinions(outcome))
    console.print("[bold]Which answer would each group choose?[/]  POST /generate")
    console.print(Padding(escape(outcome.prompt), (0, 2)))
    console.print(drafts(outcome))
    panels = [
        Panel(
            escape(answer.text),
            title=f"[bold {style}]{answer.name}[/] would say",
            border_style=style,
            width=(min(console.width, 110) - 1) // 2,
        )
        for answer, style in zip(outcome.groups, STYLES, strict=True)
    ]
    console.print(Columns(panels))
    console.print(
        f"\n[bold]{outcome.difference:+.2f}[/] between the two on the first option, from "
        f"{outcome.groups[0].preferences} preferences each, none of them about this question. "
        f"Nothing was fine-tuned and nothing is kept. {outcome.seconds:.0f} s in all."
    )


def opinions(outcome: Outcome) -> Table:
    """The predicted distributions as bars."""
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("option")
    for answer, style in zip(outcome.groups, STYLES, strict=True):
        table.add_column(answer.name, header_style=f"bold {style}", min_width=26)
    for row, option in enumerate(outcome.options):
        cells = [
            bar(answer.distribution[row], style)
            for answer, style in zip(outcome.groups, STYLES, strict=True)
        ]
        table.add_row(option, *cells)
    return table


def drafts(outcome: Outcome) -> Table:
    """Every drawn answer with each group's score; a mark at the one that the group chooses."""
    table = Table(box=box.SIMPLE_HEAD)
    drawn = outcome.groups[0].candidates
    table.add_column(f"the {len(drawn)} answers that the LLM drew")
    for answer, style in zip(outcome.groups, STYLES, strict=True):
        table.add_column(answer.name, header_style=f"bold {style}", justify="right")
    scored = [{c["index"]: c for c in answer.candidates} for answer in outcome.groups]
    for candidate in sorted(drawn, key=lambda c: int(c["index"])):
        cells = [mark(of[candidate["index"]], s) for of, s in zip(scored, STYLES, strict=True)]
        table.add_row(escape(" ".join(candidate["text"].split())), *cells)
    return table


def bar(share: float, style: str) -> Table:
    """A share as a bar with its percentage."""
    grid = Table.grid(padding=(0, 1))
    grid.add_row(
        ProgressBar(total=1.0, completed=share, width=20, complete_style=style), f"{share:4.0%}"
    )
    return grid


def mark(candidate: dict[str, Any], style: str) -> str:
    """A candidate's score, marked when it was selected."""
    score = f"{candidate['score']:.3f}"
    return f"[bold {style}]chosen  {score}[/]" if candidate["selected"] else f"[dim]{score}[/]"
