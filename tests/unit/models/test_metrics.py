"""Metrics: known values, bounds, and no reward for anything that is not a distribution."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import rel_entr
from scipy.stats import wasserstein_distance

from models.metrics import (
    alignment_js,
    alignment_wasserstein,
    concentration,
    coverage,
    crps_beta,
    mean_and_error,
    mean_width,
    ratio_of_sums,
    uplift,
    uplift_terms,
)

pairs = st.integers(2, 7).flatmap(
    lambda k: st.tuples(
        *[arrays(np.float64, k, elements=st.floats(0.01, 1)).map(lambda a: a / a.sum())] * 2
    )
)


@given(pairs)
def test_both_alignments_agree_with_scipy(pair: tuple[np.ndarray, np.ndarray]) -> None:
    p, q = pair
    ordinal = np.arange(len(p)) ** 1.5
    reference = 1 - wasserstein_distance(ordinal, ordinal, p, q) / ordinal[-1]
    assert alignment_wasserstein(p, q, ordinal) == pytest.approx(reference, abs=1e-9)
    # Squared, since the root of a rounding error below 0 is not a number for equal distributions.
    middle = (p + q) / 2
    divergence = (rel_entr(p, middle).sum() + rel_entr(q, middle).sum()) / 2
    assert (1 - alignment_js(p, q)) ** 2 == pytest.approx(max(divergence, 0), abs=1e-12)


@given(pairs)
def test_the_order_of_the_options_does_not_matter(pair: tuple[np.ndarray, np.ndarray]) -> None:
    p, q = pair
    ordinal = np.arange(len(p), dtype=float)
    order = np.random.default_rng(0).permutation(len(p))
    assert alignment_wasserstein(p[order], q[order], ordinal[order]) == pytest.approx(
        alignment_wasserstein(p, q, ordinal)
    )
    assert alignment_js(p[order], q[order]) == pytest.approx(alignment_js(p, q))


def test_extremes() -> None:
    one, other = [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]
    assert alignment_wasserstein(one, one, [1, 2, 3]) == 1
    assert alignment_wasserstein(one, other, [1, 2, 3]) == 0
    assert alignment_wasserstein(one, other, [1, 3, 2]) == pytest.approx(0.5)
    assert alignment_js(one, one) == 1
    assert alignment_js(one, other) == pytest.approx(1 - math.sqrt(math.log(2)))


@pytest.mark.parametrize(
    "bad",
    [
        [np.nan, 1.0],
        [np.inf, 0.0],
        [-0.1, 1.1],
        [0.5, 0.4],
        [0.0, 0.0],
        [1.0],
        [0.2, 0.3, 0.5],
        [[0.5, 0.5]],
    ],
)
def test_what_is_no_distribution_is_refused_on_either_side(bad: list[float]) -> None:
    good = [0.5, 0.5]
    for p, q in ((bad, good), (good, bad)):
        with pytest.raises(ValueError, match=r"."):
            alignment_js(p, q)
        with pytest.raises(ValueError, match=r"."):
            alignment_wasserstein(p, q, [1, 2])


def test_small_deviations_of_the_sum_are_renormalised() -> None:
    assert alignment_js([0.50003, 0.5], [0.5, 0.5]) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("ordinal", [[1, 1], [1, np.nan], [1, 2, 3]])
def test_useless_ordinals_are_refused(ordinal: list[float]) -> None:
    with pytest.raises(ValueError, match="ordinal"):
        alignment_wasserstein([0.5, 0.5], [0.5, 0.5], ordinal)


def test_uplift_of_oracle_random_and_worst() -> None:
    rates = [np.array([0.1, 0.4, 0.7]), np.array([0.9, 0.3, 0.3])]
    assert uplift([(r, r) for r in rates]).mean == pytest.approx(1)
    assert uplift([(np.zeros(3), r) for r in rates]).mean == pytest.approx(0)
    assert uplift([(-r, r) for r in rates]).mean < 0


def test_uplift_is_a_ratio_of_sums_and_breaks_ties_by_the_mean() -> None:
    assert uplift_terms([1, 1, 0], [0.2, 0.6, 0.1]) == pytest.approx((0.1, 0.3))
    lists = [([1, 0], [0.8, 0.2]), ([0, 1], [0.6, 0.4])]
    assert uplift(lists).mean == pytest.approx((0.3 - 0.1) / (0.3 + 0.1))


def test_uplift_refuses_nan_and_no_headroom() -> None:
    with pytest.raises(ValueError, match="NaN"):
        uplift([([0.1, np.nan], [0.5, 0.6])])
    with pytest.raises(ValueError, match="denominator"):
        uplift([([0.1, 0.2], [0.5, 0.5])])
    with pytest.raises(ValueError, match="denominator"):
        uplift([])


def test_standard_errors_shrink_as_they_should() -> None:
    rng = np.random.default_rng(0)
    few, many = rng.normal(1, 2, 400), rng.normal(1, 2, 40_000)
    assert mean_and_error(few).error == pytest.approx(2 / 20, rel=0.15)
    assert mean_and_error(many).error == pytest.approx(2 / 200, rel=0.05)
    assert math.isnan(mean_and_error([3.0]).error)
    runs = [ratio_of_sums(g, np.ones(100)).mean for g in rng.normal(0.3, 1, (300, 100))]
    claimed = ratio_of_sums(rng.normal(0.3, 1, 100), np.ones(100)).error
    assert claimed == pytest.approx(np.std(runs), rel=0.25)
    with pytest.raises(ValueError, match="NaN"):
        mean_and_error([1.0, np.nan])


def test_coverage_and_width() -> None:
    low, high = np.array([0.1, 0.2, 0.3]), np.array([0.4, 0.3, 0.3])
    assert coverage(low, high, [0.4, 0.5, 0.3]) == pytest.approx(2 / 3)
    assert mean_width(low, high) == pytest.approx(0.4 / 3)
    with pytest.raises(ValueError, match="low > high"):
        coverage(high, low, low)
    with pytest.raises(ValueError, match="NaN"):
        coverage(low, high, [np.nan] * 3)


def test_the_crps_of_a_beta_law_agrees_with_a_simulation() -> None:
    """CRPS = E|X - y| - E|X - X'| / 2."""
    rng = np.random.default_rng(0)
    mean, std, true = rng.uniform(0.2, 0.8, 20), rng.uniform(0.05, 0.2, 20), rng.random(20)
    strength = mean * (1 - mean) / std**2 - 1
    x, other = rng.beta(strength * mean, strength * (1 - mean), (2, 100_000, 20))
    simulated = np.abs(x - true).mean(0) - np.abs(x - other).mean(0) / 2
    assert crps_beta(mean, std, true) == pytest.approx(simulated, abs=2e-3)


def test_the_crps_of_a_sure_law_is_its_distance() -> None:
    true = np.array([0.1, 0.5, 0.95])
    found = crps_beta(np.full(3, 0.5), np.zeros(3), true)
    assert found == pytest.approx(np.abs(true - 0.5), abs=4e-3)


def test_the_crps_rewards_an_honest_std() -> None:
    rng = np.random.default_rng(1)
    true = rng.beta(20, 30, 4000)
    scores = {
        s: crps_beta(np.full(4000, 0.4), np.full(4000, s), true).mean() for s in (0.02, 0.07, 0.3)
    }
    assert min(scores, key=scores.__getitem__) == 0.07


def test_the_concentration_of_dirichlet_laws_is_found_again() -> None:
    rng = np.random.default_rng(2)
    mean = np.array([0.5, 0.3, 0.2])
    true = rng.dirichlet(30 * mean, 20_000)
    assert concentration(np.tile(mean, 20_000), true.ravel()) == pytest.approx(30, rel=0.05)
