"""What an evaluation reports of the results that it gathered."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from models.evaluate import _Tallies, to_markdown


def test_one_draw_of_the_context_has_no_error_and_is_valid_json() -> None:
    tallies = _Tallies()
    for group, value in ((3, 0.8), (5, 0.6)):
        tallies.add("uniform", 0, group, value)
    (row,) = tallies.rows("B", "club", "alignment")
    assert (row.mean, row.worst) == (pytest.approx(0.7), 0.6)
    assert row.error is None
    json.dumps(asdict(row), allow_nan=False)
    assert "nan" not in to_markdown([row])
