"""The published protocol: which checkpoints follow it, and the figures to set beside them.

Source: Zhao, Dang and Grover, "Group Preference Optimization", ICLR 2024 (arXiv 2310.11523).
"""

from __future__ import annotations

from collections.abc import Sequence

from models.checkpoint import Card
from models.splits import SplitConfig
from models.tallies import Row

# Alignment by share of the groups in training, read off the paper's figures (to about .003), of
# the module on the vectors of two language models. By the name of the file (docs/data.md).
PUBLISHED = {
    "us_survey": {
        "Alpaca-7B": {0.4: 0.918, 0.6: 0.924, 0.8: 0.945},
        "Llama2-13B": {0.4: 0.921, 0.6: 0.926, 0.8: 0.936},
    },
    "world_survey": {
        "Alpaca-7B": {0.4: 0.797, 0.6: 0.819, 0.8: 0.797},
        "Llama2-13B": {0.4: 0.807, 0.6: 0.821, 0.8: 0.816},
    },
}
UNIFORM = {"us_survey": 0.823, "world_survey": 0.663}


def paper_share(card: Card) -> float | None:
    """The share of the groups in training if no question was held out, as published; else None."""
    split = SplitConfig(**card.config.get("split", {}))
    if split.test_questions or split.validation_questions:
        return None
    return round(1 - split.test_groups - split.validation_groups, 2)


def with_published(rows: Sequence[Row], card: Card) -> list[Row]:
    """The rows, with the published figures after those of the same survey in regime B.

    Only for a checkpoint of the published protocol. The questions are not all the same: the
    published uniform prediction, which is given too, tells how far the two data sets differ.
    """
    share = paper_share(card)
    found: list[Row] = []
    for at, row in enumerate(rows):
        found.append(row)
        last = at + 1 == len(rows) or (rows[at + 1].regime, rows[at + 1].data) != _place(row)
        if share is not None and row.regime == "B" and last and row.data in PUBLISHED:
            found += _published(row.data, share)
    return found


def _place(row: Row) -> tuple[str, str]:
    return row.regime, row.data


def _published(data: str, share: float) -> list[Row]:
    figures = {f"published, {name}": by_share for name, by_share in PUBLISHED[data].items()}
    rows = [("published, uniform", UNIFORM[data])]
    rows += [(name, found[share]) for name, found in figures.items() if share in found]
    return [
        Row("B", data, name, "alignment", value, None, 0, (), role="published")
        for name, value in rows
    ]
