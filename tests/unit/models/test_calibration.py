"""Intervals: factors by kind, by what is known of a question, and by the size of a context."""

from __future__ import annotations

import numpy as np
import pytest

from models.batches import Kind
from models.calibration import COVERAGE, FEWEST, NORMAL, SIZES, Calibration, Errors


def test_without_a_fit_the_interval_is_that_of_a_normal_law() -> None:
    assert Calibration().factor(Kind.SHARE, known=True, size=7) == NORMAL
    fitted = Calibration({"share/known": (1.0, 1.0, 1.0)})
    assert fitted.factor(Kind.SHARE, known=False, size=7) == NORMAL
    assert fitted.factor(Kind.RATING, known=True, size=7) == NORMAL


def test_between_the_sizes_the_factor_lies_between_theirs_and_beyond_them_stays() -> None:
    fitted = Calibration({"rating/new": (3.0, 2.0, 1.0)})
    found = [fitted.factor(Kind.RATING, known=False, size=n) for n in range(60)]
    assert [found[n] for n in SIZES] == pytest.approx([3.0, 2.0, 1.0])
    assert found == sorted(found, reverse=True)
    assert found[59] == 1.0


def test_the_factors_hold_nine_tenths_of_the_errors_of_their_cell() -> None:
    rng = np.random.default_rng(0)
    errors, spread = Errors(), {True: 1.0, False: 4.0}
    for known, std in spread.items():
        for size in SIZES:
            for _ in range(20):
                ratios = np.abs(std * rng.normal(size=200)).astype(np.float32)
                errors.add(Kind.SHARE, known=known, size=size, ratios=ratios)
    fitted = errors.calibration()
    for known, std in spread.items():
        fresh = np.abs(std * rng.normal(size=20_000))
        for size in SIZES:
            width = fitted.factor(Kind.SHARE, known=known, size=size)
            assert np.mean(fresh <= width) == pytest.approx(COVERAGE, abs=0.015)


def test_a_cell_with_too_few_errors_borrows_from_its_kind_and_no_other() -> None:
    errors = Errors()
    many, few = np.full(4 * FEWEST, 2.0, np.float32), np.full(FEWEST - 1, 9.0, np.float32)
    errors.add(Kind.SHARE, known=True, size=5, ratios=many)
    errors.add(Kind.SHARE, known=False, size=20, ratios=few)
    fitted = errors.calibration()
    borrowed = np.quantile(np.concatenate([many, few]), COVERAGE)
    assert fitted.factor(Kind.SHARE, known=True, size=5) == 2.0
    assert fitted.factor(Kind.SHARE, known=False, size=20) == pytest.approx(borrowed)
    assert "rating/new" not in fitted.factors
