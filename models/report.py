"""The rows of an evaluation as tables, for a terminal and for a page of Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from models.checkpoint import Card
from models.evaluation import is_headline
from models.paper import paper_share
from models.tallies import Row

REGIMES = {
    "B": "B, known questions, new groups",
    "C": "C, new questions, new groups",
    "F": "F, free text, best of 16, new prompts and groups",
    "X": "X, free text chosen from a survey context",
    "P": "P, what new personas would say",
    "D": "D, statements of new debates, best of up to 16",
}
COLUMNS = ("predictor", "score", "± draws", "± groups", "n", "worst", "90 %", "CRPS", "width")
FEWEST = 4  # columns that are shown however narrow a terminal is
GAP = 2


def to_tables(rows: Sequence[Row], *, width: int = 80) -> list[Table]:
    """One table for each regime and data set, with the columns that `width` characters hold."""
    tables = []
    for regime, data in dict.fromkeys((r.regime, r.data) for r in rows):
        own = [r for r in rows if (r.regime, r.data) == (regime, data)]
        columns = _fitting([COLUMNS, *(cells(r) for r in own)], width)
        table = Table(
            title=f"{REGIMES[regime]}: {data}",
            title_justify="left",
            box=box.SIMPLE_HEAD,
            pad_edge=False,
            show_edge=False,
            padding=(0, 1, 0, 0),
        )
        for i, column in enumerate(COLUMNS[:columns]):
            table.add_column(column, justify="right" if i else "left", no_wrap=True)
        for row in own:
            bold = "bold" if row.role in ("module", "swapped", "gain") else None
            table.add_row(*cells(row)[:columns], style=bold)
        tables.append(table)
    return tables


def _fitting(lines: Sequence[Sequence[str]], width: int) -> int:
    """How many of the first columns fit."""
    widths = [max(map(len, column)) + GAP for column in zip(*lines, strict=True)]
    fit = [n for n in range(FEWEST, len(widths) + 1) if sum(widths[:n]) - GAP <= width]
    return max(fit, default=FEWEST)


def cells(row: Row) -> tuple[str, ...]:
    """The texts of a line, in the order of COLUMNS."""

    def show(value: float | None, digits: int = 3, *, sign: bool = False) -> str:
        return "" if value is None else f"{value:{'+' if sign else ''}.{digits}f}"

    gain = row.role == "gain"
    return (
        row.predictor,
        show(row.mean, 4, sign=gain),
        show(row.error, 4),
        show(row.group_error, 4),
        str(row.groups or ""),
        show(row.worst, sign=gain),
        show(row.coverage, 2),
        show(row.crps),
        show(row.width),
    )


def to_markdown(rows: Sequence[Row]) -> str:
    """The rows of the headline sizes as one Markdown table."""
    columns = ("regime", "data", *COLUMNS)
    lines = ["| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
    lines += [
        "| " + " | ".join((r.regime, r.data, *cells(r))) + " |" for r in rows if is_headline(r)
    ]
    return "\n".join(lines) + "\n"


def heading(card: Card) -> str:
    """Which checkpoint the figures belong to, and whether it follows the published protocol."""
    share = paper_share(card)
    protocol = "" if share is None else f", published protocol with {share:.0%} of the groups"
    return f"Checkpoint {card.name}, digest {card.digest}{protocol}"


READING = {
    "B, C": "Known questions, that is other groups answered them in training, and new ones; the "
    "groups are new in both. Alignment: 1 minus the distance between the predicted and the true "
    "shares (1-Wasserstein on a scale, Jensen-Shannon without one). 1 is perfect.",
    "F, X": "The best of 16 rated free-text answers, new prompts and new groups. In X the context "
    "is survey questions of the same people. Uplift: 0 is a random choice, 1 the best one.",
    "D": "The best of up to 16 statements of a new debate, by an opinion group that is known by "
    "20 other statements of that debate. Uplift.",
    "P": "What a new persona would say: yes or no to statements that are quoted one at a time, "
    "after 20 others with as many a yes among them as in the whole. Accuracy: 0.5 is chance.",
    "score": "Mean over the groups, then over the draws of the context.",
    "± draws": "Standard error over the draws of the context (the seeds). The groups are the same "
    "in each, so it says nothing about other groups.",
    "± groups": "Standard error over the groups (samples of one country count as one, in D the "
    "groups of one debate): how far the score may be off for others of their sort. For the gain it "
    "is paired, group by group.",
    "n, worst": "Number of groups, and the lowest score of one.",
    "90 %, width": "Share of true values inside the 90 % intervals, and their mean width.",
    "CRPS": "Error of the whole predicted law; lower is better.",
    "swapped": "The same module with the context of another group, the one that answers most "
    "differently (in P: any). If the score does not fall, the context is not used.",
    "gain": "What the context is worth: the score with it minus that without.",
    "Dirichlet around the prior": "A Dirichlet law around the prediction without a context, as "
    "wide as the errors of the validation groups say.",
    "published": "Figures of the paper for its protocol, read off its plots (to about .003), on "
    "its own choice of questions and with the vectors of larger models.",
}
LEGEND = (
    "B, C: alignment, 1 is perfect. F, X, D: uplift, 0 is random, 1 the best choice.\n"
    "P: accuracy, 0.5 is chance. ± draws: standard error over draws of the context;\n"
    "± groups: over the groups (in D: debates). n: groups. worst: lowest of a group.\n"
    "90 %: true values inside the intervals. CRPS: error of the law, lower is better.\n"
)


def show(rows: Sequence[Row], card: Card, console: Console) -> None:
    """Print the tables and how to read them."""
    console.print(heading(card), highlight=False)
    console.print(LEGEND, highlight=False)
    for table in to_tables(rows, width=console.width):
        console.print(table)
