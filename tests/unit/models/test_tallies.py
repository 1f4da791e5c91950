"""What is kept of results: errors over draws and groups, gains, calibration."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest

from models.report import to_markdown, to_tables
from models.scorer import Scored
from models.tallies import Predictor, Row, Tallies, reliability

NONE = Predictor("module, 0 context questions", "module", "module", 0)
SOME = Predictor("module, 20 context questions", "module", "module", 20)


def rows(tallies: Tallies, unit: str = "alignment") -> list[Row]:
    return tallies.rows("B", "club", unit, headline=20)


def test_one_draw_of_the_context_has_no_error_and_is_valid_json() -> None:
    tallies = Tallies()
    for group, value in (("a", 0.8), ("b", 0.6)):
        tallies.add(Predictor("uniform"), 0, group, [(value, 1.0)])
    (row,) = rows(tallies)
    assert (row.mean, row.worst) == (pytest.approx(0.7), 0.6)
    assert row.error is None
    assert row.group_error == pytest.approx(0.1)
    json.dumps(asdict(row), allow_nan=False)
    assert "nan" not in to_markdown([row])


def test_draws_say_nothing_about_groups() -> None:
    """Two groups far apart, each with the same result in every draw."""
    tallies = Tallies()
    for seed in range(3):
        for group, value in (("a", 0.9), ("b", 0.5)):
            tallies.add(Predictor("uniform"), seed, group, [(value, 1.0)])
    (row,) = rows(tallies)
    assert row.error == pytest.approx(0)
    assert row.group_error == pytest.approx(0.2)


def test_groups_of_a_debate_count_as_one_in_the_error() -> None:
    tallies = Tallies()
    for group, value in (("a: x", 0.9), ("a: y", 0.1), ("b: x", 0.5), ("b: y", 0.5)):
        tallies.add(Predictor("ridge"), 0, group, [(value, 1.0)], cluster=group[0])
    (row,) = rows(tallies)
    assert row.groups == 4
    assert row.group_error == pytest.approx(0)


def test_a_groups_lists_are_pooled_and_one_without_headroom_is_left_out() -> None:
    tallies = Tallies()
    tallies.add(Predictor("ridge"), 0, "a", [(0.1, 0.2), (0.0, 0.2)])
    tallies.add(Predictor("ridge"), 0, "a", [(0.2, 0.4)])
    tallies.add(Predictor("ridge"), 0, "b", [(0.0, 0.0)])
    (row,) = rows(tallies, "uplift")
    assert row.mean == pytest.approx(0.3 / 0.8)
    assert row.groups == 1


def test_the_gain_is_paired_by_seed_and_by_group() -> None:
    tallies = Tallies()
    for seed in range(2):
        for group, low, gain in (("a", 0.9, 0.02), ("b", 0.4, 0.04)):
            tallies.add(NONE, seed, group, [(low + 0.1 * seed, 1.0)])
            tallies.add(SOME, seed, group, [(low + 0.1 * seed + gain, 1.0)])
    gain = rows(tallies)[-1]
    assert gain.role == "gain"
    assert gain.mean == pytest.approx(0.03)
    assert gain.error == pytest.approx(0)
    assert gain.group_error == pytest.approx(0.01)
    assert gain.worst == pytest.approx(0.02)
    assert "+0.0300" in to_markdown([gain])


def test_coverage_at_every_level_of_a_normal_law() -> None:
    rng = np.random.default_rng(0)
    mean = np.full(20_000, 0.5)
    truth = rng.normal(mean, 0.05)
    tallies = Tallies()
    tallies.add(SOME, 0, "a", [(1.0, 1.0)])
    std = np.full(len(mean), 0.05)
    half = 1.6449 * std
    tallies.intervals(SOME, [Scored(mean, std, mean - half, mean + half)], [truth])
    (row,) = rows(tallies)
    for level, observed in row.levels.items():
        assert observed == pytest.approx(float(level) / 100, abs=0.01)
    assert row.coverage == pytest.approx(row.levels["90"])


def test_reliability_by_tenths() -> None:
    mean = np.repeat([0.05, 0.95, 1.0], [20, 20, 20])
    truth = np.repeat([0.1, 0.9, 0.9], [20, 20, 20])
    low, high = reliability(mean, truth)
    assert low == (pytest.approx(0.05), pytest.approx(0.1), 20)
    assert high == (pytest.approx(0.975), pytest.approx(0.9), 40)
    assert reliability(mean[:5], truth[:5]) == ()


@pytest.mark.parametrize("name", ["neighbours with the same options", "x" * 45])
def test_a_table_fits_80_characters(name: str) -> None:
    row = Row("B", "club", name, "alignment", -0.5, 0.1, 115, (0.1,), 0.1, -0.123, 0.9)
    (table,) = to_tables([row])
    from rich.console import Console

    console = Console(width=80)
    with console.capture() as captured:
        console.print(table)
    assert name in captured.get()
    assert ("0.90" in captured.get()) == (len(name) < 40)
    assert "…" not in captured.get()
