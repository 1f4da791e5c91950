"""Writes the README's short table of results from the full one in docs/evaluation.md.

The full table is what `gpo evaluate` printed. --check only says whether the short one is current.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from marked_blocks import write_or_check

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "docs" / "evaluation.md"
TARGET = ROOT / "README.md"
NAME = "results"
COLUMNS = (
    "what is asked",
    "chance",
    "best simple method",
    "no context",
    "20 preferences",
    "± groups",
)
# (regime, data) -> what is asked, in words; what chance scores where no row says it.
ASKED = {
    ("B", "us_survey"): ("US survey, questions that other groups answered", None),
    ("B", "world_survey"): ("world survey, the same", None),
    ("C", "us_survey"): ("US survey, questions that nobody answered", None),
    ("C", "world_survey"): ("world survey, the same", None),
    ("F", "rated answers"): ("best of 16 free-text answers, new prompts", 0.0),
    ("P", "personas, invented"): ("would an invented persona say this?", 0.5),
}
NOT_SIMPLE = ("module", "gain", "Dirichlet", "uniform")
Row = Mapping[str, str]


def rows(page: str) -> Iterator[Row]:
    """The rows of the full table, by the names of its columns."""
    lines = [line for line in page.splitlines() if line.startswith("| ")]
    start = next(i for i, line in enumerate(lines) if line.startswith("| regime | data |"))
    names = cells(lines[start])
    for line in lines[start + 2 :]:
        values = cells(line)
        if len(values) != len(names):
            return
        yield dict(zip(names, values, strict=True))


def cells(line: str) -> list[str]:
    """The cells of one line of a table."""
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def short(found: Sequence[Row]) -> str:
    """The short table, one line for each of ASKED."""
    lines = [f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"]
    for (regime, data), (words, chance) in ASKED.items():
        of = {
            row["predictor"]: row for row in found if (row["regime"], row["data"]) == (regime, data)
        }
        simple = max(float(r["score"]) for name, r in of.items() if not name.startswith(NOT_SIMPLE))
        none = next(row for name, row in of.items() if name.startswith("module, 0 "))
        full = next(row for name, row in of.items() if name.startswith("module, 20 context"))
        least = float(of["uniform"]["score"]) if chance is None else chance
        scores = (least, simple, float(none["score"]), float(full["score"]))
        figures = [f"{value:.3f}" for value in scores] + [f"{float(full['± groups']):.3f}"]
        lines.append(f"| {' | '.join([words, *figures])} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write the table, or compare it."""
    content = short(list(rows(SOURCE.read_text(encoding="utf-8"))))
    write_or_check(TARGET, NAME, content, script=Path(__file__).name)


if __name__ == "__main__":
    main()
