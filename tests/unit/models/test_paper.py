"""The published figures stand beside the checkpoints that follow the published protocol."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import pytest

from models.checkpoint import Card, load_card
from models.paper import paper_share, with_published
from models.report import heading, to_markdown
from models.splits import SplitConfig
from models.tallies import Row
from models.train_options import parser, split_config

CARD = load_card(Path(__file__).resolve().parents[3] / "models" / "released" / "minilm")


def row(regime: str, data: str, name: str) -> Row:
    return Row(regime, data, name, "alignment", 0.9, None, 3, (0.9,))


ROWS = [
    row("B", "us_survey", "uniform"),
    row("B", "us_survey", "CF-ridge"),
    row("F", "us_survey", "popularity, linear"),
    row("B", "club", "uniform"),
]


def trained_with(*options: str) -> Card:
    split = split_config(parser("").parse_args(["--data", "d", "--out", "o", *options]))
    return replace(CARD, config={**CARD.config, "split": asdict(split)})


@pytest.mark.parametrize(("share", "figure"), [(0.4, "0.9180"), (0.6, "0.9240"), (0.8, "0.9450")])
def test_the_published_protocol_is_recognised(share: float, figure: str) -> None:
    card = trained_with("--paper", str(share))
    assert paper_share(card) == share
    rows = with_published(ROWS, card)
    names = [r.predictor for r in rows]
    assert names[2:5] == ["published, uniform", "published, Alpaca-7B", "published, Llama2-13B"]
    assert names[5:] == ["popularity, linear", "uniform"]
    assert f"published, Alpaca-7B | {figure} |  |  |  |" in to_markdown(rows)
    assert f"{share:.0%} of the groups" in heading(card)


def test_any_other_split_gets_no_published_figures() -> None:
    assert paper_share(trained_with()) is None
    assert with_published(ROWS, CARD) == ROWS
    assert SplitConfig(**CARD.config["split"]) == SplitConfig()
