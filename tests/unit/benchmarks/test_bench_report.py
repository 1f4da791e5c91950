"""Figures from samples."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from measuring import report


def test_a_percentile_lies_between_its_neighbours() -> None:
    assert report.percentile([4.0, 1.0, 3.0, 2.0], 0.5) == 2.5
    assert report.percentile([5.0], 0.99) == 5.0
    assert report.percentile(range(101), 0.9) == pytest.approx(90)


def test_a_ratio_of_medians_lies_in_its_interval_and_tells_two_samples_apart() -> None:
    slow, fast = [20.0, 21.0, 19.0, 20.5, 19.5], [10.0, 10.1, 9.9, 10.2, 9.8]
    found = report.ratio_of_medians(slow, fast)
    assert found.value == 2.0
    assert 1.8 < found.low <= found.value <= found.high < 2.2


def test_a_paired_ratio_does_not_see_what_slows_both_sides() -> None:
    drift = [1.0, 2.0, 4.0, 8.0]
    found = report.paired_ratio([1.1 * d for d in drift], drift)
    assert found.low == pytest.approx(1.1)
    assert found.high == pytest.approx(1.1)


def test_sides_of_different_length_cannot_be_paired() -> None:
    with pytest.raises(ValueError, match="broadcast"):
        report.paired_ratio([1.0, 2.0], [1.0, 2.0, 3.0])


def test_the_json_holds_where_and_how_the_figures_were_taken(tmp_path: Path) -> None:
    out = report.write(
        "speed",
        {"commit": "abc"},
        {"n": 8},
        out=tmp_path / "new" / "speed.json",
        rows=[{"s": 1 / 3}],
    )
    found = json.loads(out.read_text())
    assert found == {
        "benchmark": "speed",
        "commit": "abc",
        "settings": {"n": 8},
        "rows": [{"s": 0.333333}],
    }
