"""What an evaluation reports of the results that it gathered."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from episodes_for_tests import write_data

from models.checkpoint import CardData, load_card
from models.corpora import Corpora
from models.datasets import preference_files, read_corpus
from models.held_out import on_other_data
from models.report import to_markdown
from models.tallies import Predictor, Tallies

RELEASED = Path(__file__).resolve().parents[3] / "models" / "released" / "minilm"


def test_one_draw_of_the_context_has_no_error_and_is_valid_json() -> None:
    tallies = Tallies()
    for group, value in (("a", 0.8), ("b", 0.6)):
        tallies.add(Predictor("uniform"), 0, group, [(value, 1.0)])
    (row,) = tallies.rows("B", "club", "alignment", headline=20)
    assert (row.mean, row.worst) == (pytest.approx(0.7), 0.6)
    assert row.error is None
    json.dumps(asdict(row), allow_nan=False)
    assert "nan" not in to_markdown([row])


def test_files_other_than_those_of_the_training_are_noticed(tmp_path: Path) -> None:
    """A survey left out, or one changed, moves the split, and with it what counts as new."""
    found = tuple(read_corpus(p) for p in preference_files(write_data(tmp_path)))
    data = tuple(CardData(c.name, c.sha256, "", c.rows, "") for c in found)
    card = replace(load_card(RELEASED), data=data)
    assert not on_other_data(card, Corpora(found, (), ()))
    assert on_other_data(card, Corpora(found[:1], (), ()))
    changed = (replace(found[0], sha256="0" * 64), *found[1:])
    assert on_other_data(card, Corpora(changed, (), ()))
