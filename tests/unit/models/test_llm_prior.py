"""The wording and the orders of options, shares out of log-probabilities, and the pool."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.batches import Expectation, FloatArray, Kind
from models.llm_prior import (
    Fit,
    Pool,
    PooledPrior,
    listings,
    shares_of,
    vectors_key,
    worded,
)

KERNEL = np.array([0.7, 0.2, 0.1], np.float32)
LLM = np.array([0.1, 0.3, 0.6], np.float32)
TEXTS = st.lists(st.text("abc", min_size=1, max_size=3), min_size=2, max_size=9, unique=True)


@given(TEXTS, st.randoms())
def test_listings_do_not_depend_on_how_the_options_were_sent(
    options: list[str], random: np.random.Generator
) -> None:
    mixed = list(options)
    random.shuffle(mixed)
    assert listings(mixed) == listings(options)
    assert all(sorted(listed) == sorted(options) for listed in listings(options))
    assert len(set(listings(options))) == len(listings(options)) == min(len(options), 8)


@pytest.mark.parametrize("k", range(2, 9))
def test_each_option_stands_in_each_place_once(k: int) -> None:
    listed = listings("fghdbcea"[:k])
    assert len(listed) == k
    places = Counter((place, option) for order in listed for place, option in enumerate(order))
    assert set(places.values()) == {1}


def test_of_many_options_none_always_comes_first() -> None:
    for k in (9, 20, 64):
        listed = listings([f"option {i}" for i in range(k)])
        assert len(listed) == len(set(listed)) == 8
        assert len({order[0] for order in listed}) == 8


def test_the_words() -> None:
    assert worded(" May shops open? ", ["Yes", "No"]) == (
        "Question: May shops open?\nOptions:\n- Yes\n- No\nAnswer:"
    )


@pytest.mark.parametrize("k", [2, 3, 4, 7])
def test_a_liking_for_places_cancels_out(k: int) -> None:
    options = [f"option {letter}" for letter in "dbcagfe"[:k]]
    rng = np.random.default_rng(k)
    taste, place = rng.normal(size=k), 3 * rng.normal(size=k)
    rows = [
        [taste[i] + place[listed.index(option)] for i, option in enumerate(options)]
        for listed in listings(options)
    ]
    wanted = np.exp(taste) / np.exp(taste).sum()
    np.testing.assert_allclose(shares_of(options, rows), wanted, atol=1e-6)
    first_alone = shares_of(options, rows[:1])
    assert np.abs(first_alone - wanted).max() > 0.05, "without the other orders it does not"


def test_only_the_options_share_the_mass() -> None:
    rows = [[-40.0, -41.0], [-2.0, -3.0]]
    odds = np.exp([0.0, -1.0])
    np.testing.assert_allclose(shares_of(["Yes", "No"], rows), odds / odds.sum(), atol=1e-6)


def test_an_answer_that_begins_another_one_does_not_get_its_share() -> None:
    options = ["Good", "Good, on the whole", "Goodness", "Bad"]
    intended = np.array([0.2, 0.5, 0.2, 0.1])
    begun = np.array([0.7, 0.5, 0.2, 0.1])  # "Good" begins the second, not the third
    np.testing.assert_allclose(shares_of(options, [np.log(begun)]), intended, atol=1e-6)


def test_likelihoods_that_contradict_each_other_stay_finite() -> None:
    shares = shares_of(["Good", "Good, on the whole"], [[-5.0, -1.0]])
    assert np.isfinite(shares).all()
    assert shares[0] < 0.01


def test_the_ends_of_the_pool_are_its_members() -> None:
    np.testing.assert_allclose(Pool(0.0)(KERNEL, LLM), KERNEL, atol=1e-6)
    np.testing.assert_allclose(Pool(1.0)(KERNEL, LLM), LLM, atol=1e-6)
    np.testing.assert_allclose(Pool(1.0, 1e6)(KERNEL, LLM), 1 / 3, atol=1e-4)
    middle = np.sqrt(KERNEL * LLM)
    np.testing.assert_allclose(Pool(0.5)(KERNEL, LLM), middle / middle.sum(), atol=1e-6)


def test_a_share_of_nothing_stays_finite_and_small_shares_are_raised() -> None:
    none = Pool(1.0)(KERNEL, np.array([1, 0, 0], np.float32))
    assert none.min() == pytest.approx(0.01, abs=1e-3)
    certain = Pool(0.5)(np.array([1, 0], np.float32), np.array([0, 1], np.float32))
    assert np.isfinite(certain).all()


@pytest.mark.parametrize(("weight", "temperature"), [(-0.1, 1), (1.1, 1), (0.5, 0), (np.nan, 1)])
def test_a_pool_that_means_nothing_is_refused(weight: float, temperature: float) -> None:
    with pytest.raises(ValueError, match="weight must lie"):
        Pool(weight, temperature)


def test_a_fit_survives_its_card() -> None:
    fit = Fit("some/model", Pool(0.25, 2.0), Pool(1.0, 4.0), {"questions": 12})
    assert Fit.of(fit.stored()) == fit
    for broken in ({}, {**fit.stored(), "weight": 3}, [1]):
        with pytest.raises(ValueError, match="llm_prior in the card"):
            Fit.of(broken)  # type: ignore[arg-type]


class Base:
    """Knows the questions whose first component is above 0."""

    def expect(self, items: Sequence[tuple[Kind, FloatArray]]) -> list[Expectation]:
        profile = np.ones((3, 2), np.float32)
        return [Expectation(KERNEL, profile, float(v[0, 0] > 0)) for _, v in items]


KNOWN, NEW, OTHER = (np.full((3, 4), fill, np.float32) for fill in (1, -1, -2))


def test_only_what_the_bank_does_not_know_is_pooled() -> None:
    guesses = {vectors_key(v): LLM for v in (KNOWN, NEW)}
    prior = PooledPrior(Base(), guesses, Pool(1.0))
    items = [(Kind.SHARE, KNOWN), (Kind.SHARE, NEW), (Kind.SHARE, OTHER), (Kind.RATING, NEW)]
    known, new, other, rating = prior.expect(items)
    for unchanged in (known, other, rating):
        np.testing.assert_array_equal(unchanged.mean, KERNEL)
    np.testing.assert_allclose(new.mean, LLM, atol=1e-6)
    assert new.support == 0
    np.testing.assert_array_equal(new.profile, other.profile)


def test_priors_can_be_stacked() -> None:
    inner = PooledPrior(Base(), {vectors_key(NEW): LLM}, Pool(1.0))
    outer = PooledPrior(inner, {vectors_key(OTHER): LLM}, Pool(1.0))
    for expected in outer.expect([(Kind.SHARE, NEW), (Kind.SHARE, OTHER)]):
        np.testing.assert_allclose(expected.mean, LLM, atol=1e-6)
