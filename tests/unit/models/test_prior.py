"""The prior: the bank where a question is known, the kernel elsewhere, no look at the answer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models.batches import Expectation, Kind
from models.popularity import Rated, fit_approval
from models.prior import BankItem, Cells, PopulationPrior, PriorConfig, fit_prior, shrunk

HALF = 12
DIM = 2 * HALF


def normal(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Random directions (..., HALF)."""
    x = rng.normal(size=(*shape, HALF))
    found: np.ndarray = (x / np.linalg.norm(x, axis=-1, keepdims=True)).astype("f4")
    return found


def bank(rng: np.random.Generator, count: int = 15) -> list[BankItem]:
    """Questions whose first option wins in the measure of its vector's first coordinate."""
    items = []
    for question in range(count):
        base, lean = normal(rng), rng.normal()
        step = np.zeros(HALF)
        step[0] = lean / 2
        options = np.stack([base + step, base - step])
        options /= np.linalg.norm(options, axis=1, keepdims=True)
        vectors = np.column_stack([np.tile(normal(rng), (2, 1)), options]).astype("f4")
        yes = 1 / (1 + np.exp(-2 * lean))
        profile = np.array([[lean, -lean, 0], [-lean, lean, 0]], "f4") / 10
        mean = np.sqrt(np.array([yes, 1 - yes], "f4"))
        items.append(BankItem(vectors, mean, profile, 9, question))
    return items


def many_options(rng: np.random.Generator, count: int, *, lengths: bool = False) -> list[BankItem]:
    """Questions with 2 to 6 options and figures at random; `lengths`: vectors of any length."""
    items = []
    for question in range(count):
        k = int(rng.integers(2, 7))
        vectors = np.column_stack([np.tile(normal(rng), (k, 1)), normal(rng, k)])
        if lengths:
            vectors[:, :HALF] *= rng.uniform(0.5, 4)
            vectors[:, HALF:] *= rng.uniform(0.5, 4, size=(k, 1)).astype("f4")
        mean = np.sqrt(rng.dirichlet(np.ones(k))).astype("f4")
        profile = 0.1 * rng.normal(size=(k, 3)).astype("f4")
        items.append(BankItem(vectors, mean, profile, int(rng.integers(1, 9)), question))
    return items


def shares(root: np.ndarray) -> np.ndarray:
    """Shares that sum to 1, from their roots."""
    found: np.ndarray = root**2 / (root**2).sum()
    return found


def ratings(rng: np.random.Generator, n: int = 200) -> Rated:
    """Responses to prompts of ten each that are liked in the measure of one coordinate."""
    x = normal(rng, n)
    prompt = np.arange(n) // 10
    vectors = np.column_stack([normal(rng, n // 10 + 1)[prompt], x])
    profile = np.column_stack([x[:, 2], -x[:, 2], np.zeros(n)])
    liked = 1 / (1 + np.exp(-3 * x[:, 1]))
    return Rated(vectors, liked, profile.astype("f4"), np.ones(n, "f4"), prompt)


@pytest.fixture
def fitted() -> tuple[PopulationPrior, list[BankItem], list[Expectation]]:
    rng = np.random.default_rng(0)
    items = bank(rng)
    prior, unknown = fit_prior(items, ratings(rng), PriorConfig(rating_noise=1.0))
    return prior, items, unknown


def test_a_known_question_gets_the_mean_of_its_groups(fitted) -> None:  # type: ignore[no-untyped-def]
    prior, items, unknown = fitted
    for item, guess in zip(items, unknown, strict=True):
        expected = shares((item.mean * 9 + 0.5 * np.sqrt(guess.mean)) / 9.5)
        found, turned = (prior(Kind.SHARE, v) for v in (item.vectors, item.vectors[::-1]))
        assert found.support == turned.support == 9
        assert found.mean == pytest.approx(expected, abs=1e-4)
        assert turned.mean[::-1] == pytest.approx(expected, abs=1e-4)
        assert found.profile == pytest.approx(item.profile, abs=1e-3)


def test_a_known_question_is_found_whatever_the_order_of_its_options() -> None:
    rng = np.random.default_rng(6)
    items = many_options(rng, 12)
    prior, _ = fit_prior(items, ratings(rng), PriorConfig())
    for item in items:
        order = rng.permutation(len(item.mean))
        found, turned = (prior.known(v) for v in (item.vectors, item.vectors[order]))
        assert found is not None
        assert turned is not None
        assert turned.mean == pytest.approx(found.mean[order])
        assert turned.profile == pytest.approx(item.profile[order], abs=1e-3)
        assert turned.support == found.support == item.groups


def test_what_few_groups_gave_nothing_keeps_a_little_room() -> None:
    """For a group that gives it something; the more groups gave nothing, the less."""
    guess = np.array([0.9999, 0.0001], "f4")
    one, ten = (shrunk(np.array([n, 0.0], "f4"), n, guess)[1] for n in (1, 10))
    assert 1e-3 < one < 2e-3
    assert 0 < ten < one / 20


def test_a_question_under_another_prompt_is_not_known(fitted) -> None:  # type: ignore[no-untyped-def]
    """The same options are those of many questions."""
    prior, items, _ = fitted
    other = items[0].vectors.copy()
    other[:, :HALF] = items[1].vectors[:, :HALF]
    assert prior.known(other) is None


def test_a_text_of_many_questions_is_kept_once() -> None:
    rng = np.random.default_rng(7)
    items = bank(rng, 6)
    for item in items[1:]:
        item.vectors[:, HALF:] = items[0].vectors[:, HALF:]
    prior, _ = fit_prior(items, ratings(rng), PriorConfig())
    assert prior.bank_text.shape == (6 + 2, HALF)
    assert all(prior.known(item.vectors) is not None for item in items)


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


@pytest.mark.parametrize("k", [3, 8])
def test_an_option_that_nobody_ever_picks_is_expected_to_be_picked_hardly_at_all(k: int) -> None:
    """By less than one in two hundred, yet not by nobody: the loss of a zero has no bound."""
    rng = np.random.default_rng(9)
    options = normal(rng, k)
    mean = np.sqrt(np.array([*np.full(k - 1, 1 / (k - 1)), 0.0])).astype("f4")
    items = []
    for question in range(30):
        vectors = np.column_stack([np.tile(normal(rng), (k, 1)), options])
        items.append(BankItem(vectors, mean, np.zeros((k, 3), "f4"), 9, question))
    prior, _ = fit_prior(items, ratings(rng), PriorConfig())
    asked = np.column_stack([np.tile(normal(rng), (k, 1)), options]).astype("f4")
    assert 0 < prior(Kind.SHARE, asked).mean[-1] < 0.005


@pytest.mark.parametrize("lengths", [False, True], ids=["unit", "any length"])
def test_leaving_a_question_out_is_a_refit_without_it(lengths: bool) -> None:
    rng = np.random.default_rng(1)
    items = many_options(rng, 8, lengths=lengths)
    rated = ratings(rng)
    _, unknown = fit_prior(items, rated, PriorConfig())
    for left, expected in enumerate(unknown):
        rest = items[:left] + items[left + 1 :]
        refitted, _ = fit_prior(rest, rated, PriorConfig())
        found = refitted.unknown([items[left].vectors])[0]
        assert found.mean == pytest.approx(expected.mean, abs=1e-4)
        assert found.profile == pytest.approx(expected.profile, abs=1e-4)


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
    assert found.support == 18


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
    for name in prior.tensors():
        tensors = prior.tensors()
        tensors[name] = tensors[name][None]
        with pytest.raises((ValueError, IndexError)):
            PopulationPrior(tensors, prior.config)


@pytest.mark.parametrize("pair", [-1, 10_000])
def test_a_pair_that_points_at_no_text_is_refused(fitted, pair: int) -> None:  # type: ignore[no-untyped-def]
    prior, _, _ = fitted
    tensors = prior.tensors()
    tensors["bank_pair"][3, 1] = pair
    with pytest.raises(ValueError, match="outside of the"):
        PopulationPrior(tensors, prior.config)


def test_questions_that_are_out_of_order_are_refused(fitted) -> None:  # type: ignore[no-untyped-def]
    prior, _, _ = fitted
    tensors = prior.tensors()
    tensors["bank_item"] = tensors["bank_item"].flip(0)
    with pytest.raises(ValueError, match="ascend"):
        PopulationPrior(tensors, prior.config)


def test_popularity_is_learned_inside_each_prompt() -> None:
    """What sets the answers to one prompt above another's is the prompt's, not the answers'."""
    rng = np.random.default_rng(11)
    rated = ratings(rng)
    lift = np.repeat(rng.normal(size=20), 10)
    shifted = 1 / (1 + np.exp(-(np.log(rated.mean / (1 - rated.mean)) / 3 + lift)))
    plain = 1 / (1 + np.exp(-np.log(rated.mean / (1 - rated.mean)) / 3))
    one, other = (
        fit_approval(replace(rated, mean=mean.astype("f4")), noise=1.0) for mean in (plain, shifted)
    )
    assert one[:-1, 0] == pytest.approx(other[:-1, 0], abs=1e-3)


def test_an_answer_to_the_point_is_expected_to_be_liked() -> None:
    rng = np.random.default_rng(12)
    prompt = np.arange(300) // 10
    prompts, near = normal(rng, 30)[prompt], rng.uniform(-1, 1, 300)
    response = near[:, None] * prompts + normal(rng, 300)
    vectors = np.column_stack([prompts, response]).astype("f4")
    rated = Rated(vectors, (1 + near) / 2, np.zeros((300, 1), "f4"), np.ones(300, "f4"), prompt)
    prior, _ = fit_prior([], rated, PriorConfig(rating_noise=1.0))
    fresh = normal(rng, 2)
    asked = np.column_stack([fresh[[0, 0]], np.stack([fresh[0], -fresh[0]])]).astype("f4")
    liked = prior.approval(asked).mean
    assert liked[0] > liked[1] + 0.3


def test_ratings_alone_make_a_prior() -> None:
    """Data without any survey: the bank is empty, and every question is new."""
    rng = np.random.default_rng(13)
    rated = ratings(rng)
    prior, unknown = fit_prior([], rated, PriorConfig())
    assert unknown == []
    again = PopulationPrior(prior.tensors(), prior.config)
    question = bank(rng, 1)[0].vectors
    for found in (prior, again):
        assert found.known(question) is None
        guess = found(Kind.SHARE, question)
        assert guess.mean == pytest.approx([0.5, 0.5])
        assert guess.support == 0


def test_a_survey_alone_makes_a_prior() -> None:
    rng = np.random.default_rng(14)
    none = Rated(*(np.zeros(s, "f4") for s in ((0, DIM), 0, (0, 3), 0)), np.zeros(0, np.int64))
    prior, unknown = fit_prior(bank(rng, 5), none, PriorConfig())
    assert len(unknown) == 5
    assert prior.approval(normal(rng, 4).reshape(2, DIM)).mean == pytest.approx([0.5, 0.5])


def test_the_kernel_by_way_of_distinct_texts_is_the_plain_one() -> None:
    rng = np.random.default_rng(11)
    items = many_options(rng, 9, lengths=True)
    prior, _ = fit_prior(items, ratings(rng), PriorConfig())
    known = Cells.of([item.vectors for item in items])
    asked = Cells.of([item.vectors for item in many_options(rng, 4, lengths=True)])
    plain = asked.kernel(known, prior.config)
    assert prior.kernel(asked) == pytest.approx(plain, abs=1e-5)
    alone = Cells.of([items[0].vectors[:1]])
    assert prior.kernel(alone) == pytest.approx(alone.kernel(known, prior.config), abs=1e-5)


def test_a_question_brings_the_respondents_of_the_survey_that_it_is_from() -> None:
    rng = np.random.default_rng(12)
    items = bank(rng, 6)
    told = [replace(item, respondents=100.0 * (1 + n)) for n, item in enumerate(items)]
    prior, _ = fit_prior(told, ratings(rng), PriorConfig())
    for item in told:
        assert prior(Kind.SHARE, item.vectors).respondents == item.respondents
    near = items[2].vectors.copy()
    near[:, 0] += 0.1 * np.linalg.norm(near[0, :HALF])
    assert prior.known(near) is None
    assert prior(Kind.SHARE, near).respondents == 300
    far = items[2].vectors.copy()
    far[:, :HALF] *= -1
    assert prior(Kind.SHARE, far).respondents == 0
    again = PopulationPrior(prior.tensors(), prior.config)
    assert again(Kind.SHARE, items[5].vectors).respondents == 600
