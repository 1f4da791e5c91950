"""Baselines on invented worlds in which the right answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from models.baselines import (
    LinearShares,
    Neighbours,
    ResidualRidge,
    Ridge,
    centre_by_question,
    consensus,
    in_context_ridge,
    likeness_weighted,
    mean_of_groups,
    popularity,
    to_distribution,
    to_distributions,
    uniform,
)

QUESTION = np.repeat(np.arange(40), 4)


def world(groups: int, *, seed: int = 0, factors: int = 2) -> np.ndarray:
    """Shares (groups, 160): a mean per question and two directions in which groups differ."""
    rng = np.random.default_rng(seed)
    base = rng.normal(0, 1, QUESTION.size)
    logits = base + rng.normal(0, 1, (groups, factors)) @ rng.normal(
        0, 0.6, (factors, QUESTION.size)
    )
    exp = np.exp(logits)
    return np.stack([to_distributions(row, QUESTION) for row in exp])


def error(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a - b).mean())


def test_distributions_are_distributions() -> None:
    rng = np.random.default_rng(0)
    question = np.array([7, 7, 3, 3, 3, 9, 9])
    values = rng.normal(size=7)
    values[5:] = -1
    shares = to_distributions(values, question)
    assert (shares >= 0).all()
    for q in (3, 7, 9):
        assert shares[question == q].sum() == pytest.approx(1)
        np.testing.assert_allclose(shares[question == q], to_distribution(values[question == q]))
    np.testing.assert_allclose(shares[5:], uniform(2))


def test_centring_takes_out_what_the_options_share() -> None:
    rng = np.random.default_rng(1)
    own, shared = rng.normal(size=(160, 5)), rng.normal(size=(40, 5))[QUESTION]
    centred = centre_by_question(own + shared, QUESTION)
    np.testing.assert_allclose(centred, centre_by_question(own, QUESTION), atol=1e-12)
    np.testing.assert_allclose(centred[:4].mean(0), 0, atol=1e-12)
    np.testing.assert_allclose(centre_by_question(own[:, 0], QUESTION)[:4].sum(), 0, atol=1e-12)


def test_the_mean_skips_what_was_not_asked() -> None:
    shares = np.array([[0.2, np.nan, np.nan], [0.4, 0.6, np.nan]])
    np.testing.assert_allclose(mean_of_groups(shares), [0.3, 0.6, np.nan])


def test_residual_ridge_learns_from_context_and_is_the_mean_without() -> None:
    shares = world(30)
    known, new = shares[:29], shares[29]
    model = ResidualRidge(known, regularisation=0.01)
    context, targets = np.arange(80), np.arange(80, 160)
    nothing = model.predict(context[:0], new[:0], targets)
    np.testing.assert_allclose(nothing, mean_of_groups(known)[targets])
    few = to_distributions(model.predict(context[:40], new[:40], targets), QUESTION[targets])
    more = to_distributions(model.predict(context, new[:80], targets), QUESTION[targets])
    assert error(few, new[targets]) < 0.5 * error(nothing, new[targets])
    assert error(more, new[targets]) < error(few, new[targets]) + 0.002
    shuffled = np.random.default_rng(0).permutation(context)
    np.testing.assert_allclose(
        model.predict(shuffled, new[shuffled], targets),
        model.predict(context, new[context], targets),
        atol=1e-9,
    )


def test_residual_ridge_finds_a_copy_among_the_known_groups() -> None:
    shares = world(12, factors=8)
    weights = ResidualRidge(shares, regularisation=1e-6).weights(np.arange(160), shares[3])
    assert weights.argmax() == 3
    assert weights[3] > 0.8


def test_residual_ridge_bears_missing_cells() -> None:
    shares = world(30)
    known = shares[:29].copy()
    known[np.random.default_rng(2).random((29, 40))[:, QUESTION] < 0.4] = np.nan
    model = ResidualRidge(known, regularisation=0.3)
    guess = model.predict(np.arange(80), shares[29, :80], np.arange(80, 160))
    assert np.isfinite(guess).all()
    assert error(guess, shares[29, 80:]) < 0.9 * error(model.mean[80:], shares[29, 80:])


def test_likeness_prefers_the_group_that_answers_alike() -> None:
    shares = world(20)
    guess = likeness_weighted(
        shares, np.arange(80), shares[5, :80], np.arange(80, 160), scale=0.001
    )
    assert error(guess, shares[5, 80:]) < 0.1 * error(shares.mean(0)[80:], shares[5, 80:])
    none = likeness_weighted(shares, np.arange(0), np.zeros(0), np.arange(160))
    np.testing.assert_allclose(none, mean_of_groups(shares))


@pytest.mark.parametrize("rows", [8, 200])
def test_ridge_is_the_same_in_either_dimension(rows: int) -> None:
    rng = np.random.default_rng(0)
    x, y, u = rng.normal(size=(rows, 30)), rng.normal(size=rows), rng.uniform(0.5, 2, rows)
    u /= u.mean()
    fitted = Ridge(x, y, regularisation=2.0, weights=u)
    xc, yc = x - u @ x / rows, y - u @ y / rows
    slope = np.linalg.solve(xc.T @ (u[:, None] * xc) + 2.0 * np.eye(30), xc.T @ (u * yc))
    np.testing.assert_allclose(fitted(x) - fitted(x[:1]), (x - x[:1]) @ slope, atol=1e-8)
    assert u @ (fitted(x) - y) == pytest.approx(0, abs=1e-8)


def test_linear_shares_beat_uniform_on_new_questions() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(160, 12))
    direction = rng.normal(size=12)
    shares = to_distributions(np.exp(0.4 * vectors @ direction), QUESTION)
    train = QUESTION < 30
    model = LinearShares(vectors[train], QUESTION[train], shares[train])
    guess = model.predict(vectors[~train], QUESTION[~train])
    assert (guess >= 0).all()
    assert guess[:4].sum() == pytest.approx(1)
    assert error(guess, shares[~train]) < 0.5 * error(np.full(40, 0.25), shares[~train])


def test_neighbours_follow_the_option_texts_not_their_places() -> None:
    vectors = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.1]])
    options = [["Yes", "No"], ["no.", "YES"], ["Red", "Blue"]]
    shares = [np.array([0.9, 0.1]), np.array([0.7, 0.3]), np.array([0.5, 0.5])]
    model = Neighbours(vectors, options, shares, temperature=0.05)
    fallback = np.array([0.4, 0.6])
    np.testing.assert_allclose(
        model.predict(np.array([2.0, 0.0]), ["no", "yes"], fallback=fallback), [0.1, 0.9], atol=1e-3
    )
    np.testing.assert_allclose(
        model.predict(np.array([1.0, 1.0]), ["yes", "no"], fallback=fallback), [0.6, 0.4], atol=1e-3
    )
    unknown = model.predict(np.array([1.0, 0.0]), ["yes", "no", "maybe"], fallback=fallback)
    assert unknown is fallback


def test_in_context_ridge_separates_two_camps() -> None:
    rng = np.random.default_rng(0)
    axis = rng.normal(size=64)
    axis /= np.linalg.norm(axis)
    side = np.array([1, -1] * 30)
    vectors = rng.normal(0, 0.08, (60, 64)) + side[:, None] * axis
    values = (side > 0).astype(float)
    guess = in_context_ridge(vectors[:20], values[:20], vectors[20:])
    assert ((guess > 0.5) == (side[20:] > 0)).mean() > 0.9
    assert guess.min() >= 0
    assert guess.max() <= 1
    np.testing.assert_allclose(in_context_ridge(vectors[:0], values[:0], vectors[:3]), 0.5)
    np.testing.assert_allclose(in_context_ridge(vectors[:1], values[:1], vectors[:3]), values[0])


def test_popularity_weighs_its_rows() -> None:
    x = np.array([[0.0], [1.0], [1.0]])
    rates = np.array([0.0, 1.0, 0.2])
    heavy = popularity(x, rates, weights=np.array([1.0, 100.0, 1.0]), regularisation=1e-6)
    light = popularity(x, rates, weights=np.array([1.0, 1.0, 100.0]), regularisation=1e-6)
    assert heavy(np.array([[1.0]]))[0] > 0.9
    assert light(np.array([[1.0]]))[0] < 0.3


def test_consensus_is_lowest_for_the_odd_one_out() -> None:
    vectors = np.array([[1, 0.0], [2, 0.1], [1, -0.1], [0, 3.0]])
    scores = consensus(vectors)
    assert scores.argmin() == 3
    assert consensus(vectors[:1]).tolist() == [0.0]
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    assert scores[0] == pytest.approx((unit[1:] @ unit[0]).mean())
