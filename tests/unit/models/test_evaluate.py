"""What an evaluation reports of the results that it gathered."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

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
