"""An evaluation as a whole: its rows, and what has to be known to repeat it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from models.checkpoint import Card
from models.paper import paper_share
from models.tallies import Row


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Rows of a checkpoint and of `rivals`, with digests of the files and the settings used."""

    card: Card
    rows: tuple[Row, ...]
    data: dict[str, str]
    settings: dict[str, Any]
    rivals: dict[str, Card] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def to_json(self) -> str:
        """All of it, with each group; no NaN."""
        report = {
            "checkpoint": _who(self.card),
            "compared": {name: _who(card) for name, card in self.rivals.items()},
            "data": self.data,
            "settings": self.settings,
            "notes": self.notes,
            "rows": [asdict(row) for row in self.rows],
        }
        return json.dumps(report, indent=2, allow_nan=False) + "\n"


def _who(card: Card) -> dict[str, Any]:
    return {
        "name": card.name,
        "digest": card.digest,
        "arch": card.arch,
        "embedder": card.embedder.id,
        "paper": paper_share(card),
    }
