"""The prior: the bank where a question is known, the kernel elsewhere, no look at the answer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models.batches import Expectation, Kind
from models.prior import BankItem, PopulationPrior, PriorConfig, Rated, fit_prior

DIM = 12


def bank(rng: np.random.Generator, count: int = 15) -> list[BankItem]:
    """Questions whose first option wins in the measure of its vector's first coordinate."""
    items = []
    for question in range(count):
        base, lean = rng.normal(size=DIM), rng.normal()
        step = np.zeros(DIM)
        step[0] = lean
        vectors = np.stack([base + step, base - step])
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        yes = 1 / (1 + np.exp(-2 * lean))
        profile = np.array([[lean, -lean, 0], [-lean, lean, 0]], "f4") / 10
        mean = np.array([yes, 1 - yes], "f4")
        items.append(BankItem(vectors.astype("f4"), mean, profile, 9, question))
    return items


def ratings(rng: np.random.Generator, n: int = 200) -> Rated:
    x = rng.normal(size=(n, DIM)).astype("f4")
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    profile = np.column_stack([x[:, 2], -x[:, 2], np.full(n, np.nan)])
    return Rated(x, 1 / (1 + np.exp(-3 * x[:, 1])), profile.astype("f4"), np.ones(n, "f4"))


@pytest.fixture
def fitted() -> tuple[PopulationPrior, list[BankItem], list[Expectation]]:
    rng = np.random.default_rng(0)
    items = bank(rng)
    prior, unknown = fit_prior(items, ratings(rng), PriorConfig(rating_noise=1.0))
    return prior, items, unknown


def test_a_known_question_gets_the_mean_of_its_groups(fitted) -> None:  # type: ignore[no-untyped-def]
    prior, items, unknown = fitted
    for item, guess in zip(items, unknown, strict=True):
        expected = (item.mean * 9 + 0.5 * guess.mean) / 9.5
        found, turned = (prior(Kind.SHARE, v) for v in (item.vectors, item.vectors[::-1]))
        assert found.support == turned.support == 9
        assert found.mean == pytest.approx(expected, abs=1e-4)
        assert turned.mean[::-1] == pytest.approx(expected, abs=1e-4)
        assert found.profile == pytest.approx(item.profile, abs=1e-3)


def test_a_question_with_another_option_is_not_known(fitted) -> None:  # type: ignore[no-untyped-def]
    prior, items, _ = fitted
    more = np.concatenate([items[0].vectors, items[1].vectors[:1]])
    assert prior.known(more) is None
    assert prior.known(items[0].vectors[[0, 0]]) is None


def test_the_kernel_generalises_to_new_questions(fitted) -> None:  # type: ignore[no-untyped-def]
    prior, _, _ = fitted
    asked = bank(np.random.default_rng(99), 40)
    guesses = prior.unknown([item.vectors for item in asked])
    truth = np.array([item.mean[0] for item in asked])
    assert np.corrcoef(truth, [g.mean[0] for g in guesses])[0, 1] > 0.5
    departure = np.array([item.profile[0, 0] for item in asked])
    assert np.corrcoef(departure, [g.profile[0, 0] for g in guesses])[0, 1] > 0.5
    for guess in guesses:
        assert guess.support == 0
        assert guess.mean.sum() == pytest.approx(1, abs=1e-5)
        assert guess.mean.min() > 0


def test_leaving_a_question_out_is_a_refit_without_it() -> None:
    rng = np.random.default_rng(1)
    items = bank(rng, 8)
    rated = ratings(rng)
    _, unknown = fit_prior(items, rated, PriorConfig())
    refitted, _ = fit_prior(items[1:], rated, PriorConfig())
    found = refitted.unknown([items[0].vectors])[0]
    assert found.mean == pytest.approx(unknown[0].mean, abs=1e-4)
    assert found.profile == pytest.approx(unknown[0].profile, abs=1e-4)


def test_two_waves_of_a_question_are_left_out_together() -> None:
    """Otherwise the answer of one wave would be in the prior of the other."""
    rng = np.random.default_rng(2)
    items = bank(rng, 6)
    again = replace(items[0], mean=items[0].mean[::-1].copy())
    _, with_wave = fit_prior([*items, again], ratings(rng), PriorConfig())
    refitted, _ = fit_prior(items[1:], ratings(rng), PriorConfig())
    found = refitted.unknown([items[0].vectors])[0]
    assert found.mean == pytest.approx(with_wave[0].mean, abs=1e-4)


def test_two_waves_of_a_known_question_are_averaged() -> None:
    rng = np.random.default_rng(4)
    items = bank(rng, 6)
    again = replace(items[0], mean=items[0].mean[::-1].copy())
    prior, _ = fit_prior([*items, again], ratings(rng), PriorConfig())
    found = prior.known(items[0].vectors)
    assert found is not None
    assert found.mean == pytest.approx([0.5, 0.5], abs=0.03)


def test_approval_ranks_responses_and_a_comparison_follows_it(fitted) -> None:  # type: ignore[no-untyped-def]
    prior, _, _ = fitted
    rated = ratings(np.random.default_rng(5), 60)
    found = prior.approval(rated.vectors)
    assert np.corrcoef(found.mean, rated.mean)[0, 1] > 0.9
    assert np.corrcoef(found.profile[:, 0], rated.profile[:, 0])[0, 1] > 0.9
    order = rated.mean.argsort()
    pair = prior(Kind.COMPARISON, rated.vectors[[order[0], order[-1]]])
    assert pair.mean[1] > 0.8
    assert pair.mean.sum() == pytest.approx(1, abs=1e-6)
    assert pair.profile.sum(0) == pytest.approx(0, abs=1e-6)


def test_the_tensors_of_a_checkpoint_give_the_same_prior(fitted) -> None:  # type: ignore[no-untyped-def]
    prior, items, _ = fitted
    again = PopulationPrior(prior.tensors(), prior.config)
    vectors = [i.vectors for i in bank(np.random.default_rng(3), 5)]
    for one, other in zip(prior.unknown(vectors), again.unknown(vectors), strict=True):
        assert one.mean == pytest.approx(other.mean, abs=2e-3)
    assert again.known(items[0].vectors) is not None


def test_several_items_are_expected_as_each_alone(
    fitted,
    monkeypatch: pytest.MonkeyPatch,  # type: ignore[no-untyped-def]
) -> None:
    prior, items, _ = fitted
    new = bank(np.random.default_rng(8), 4)
    rated = ratings(np.random.default_rng(9), 3)
    asked = [
        (Kind.SHARE, items[0].vectors),
        (Kind.RATING, rated.vectors[:1]),
        (Kind.SHARE, new[0].vectors),
        (Kind.COMPARISON, rated.vectors[1:]),
        (Kind.SHARE, items[3].vectors),
        *((Kind.SHARE, item.vectors) for item in new[1:]),
    ]
    monkeypatch.setattr("models.prior.CHUNK", 2)
    for (kind, vectors), found in zip(asked, prior.expect(asked), strict=True):
        alone = prior(kind, vectors)
        assert found.mean == pytest.approx(alone.mean, abs=1e-6)
        assert found.profile == pytest.approx(alone.profile, abs=1e-6)
        assert found.support == alone.support
    assert prior.expect([]) == []


def test_tensors_whose_shapes_do_not_fit_are_refused(fitted) -> None:  # type: ignore[no-untyped-def]
    prior, _, _ = fitted
    for name in ("bank_mean", "bank_groups", "bank_profile", "bank_alpha", "rating"):
        tensors = prior.tensors()
        tensors[name] = tensors[name][None]
        with pytest.raises((ValueError, IndexError)):
            PopulationPrior(tensors, prior.config)
