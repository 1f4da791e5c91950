"""The four properties that the method promises, and what follows from the residual on a prior."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from episodes_for_tests import DIM, SMALL, lively_network, random_item, random_items
from hypothesis import given, settings
from hypothesis import strategies as st

from models.batches import Expectation, Item, Kind, Tokens, collate
from models.gpo import GPO, Output, _shifted, log_softmax_by_item, residuals
from models.ridge import Frame, Middle

EXACT = 1e-5
seeds = st.integers(0, 10_000)
slow = settings(max_examples=15, deadline=None)


def predict(network: GPO, context: list[list[Item]], targets: list[list[Item]]) -> Output:
    with torch.inference_mode():
        return network(collate(context, dim=DIM), collate(targets, dim=DIM))


def worst(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).abs().max())


@slow
@given(seed=seeds, size=st.integers(2, 12))
def test_the_order_of_the_context_does_not_matter(seed: int, size: int) -> None:
    rng = np.random.default_rng(seed)
    network, items, asked = lively_network(seed), random_items(rng, size), random_items(rng, 4)
    one = predict(network, [items], [asked])
    shuffled = [items[i] for i in rng.permutation(size)]
    other = predict(network, [shuffled], [asked])
    assert worst(one.mean, other.mean) < EXACT
    assert worst(one.std, other.std) < EXACT


@slow
@given(seed=seeds)
def test_the_order_of_the_options_does_not_matter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    network = lively_network(seed)
    context, question = random_items(rng, 6), random_item(rng, Kind.SHARE, 5)
    order = rng.permutation(5)
    said = question.expected
    assert said is not None
    turned = replace(
        question,
        vectors=question.vectors[order],
        values=question.values[order],
        expected=Expectation(said.mean[order], said.profile[order], said.support),
    )
    one, other = (predict(network, [context], [[q]]).mean[0] for q in (question, turned))
    assert worst(one[torch.from_numpy(order)], other) < EXACT


@slow
@given(seed=seeds, short=st.integers(0, 3), long=st.integers(8, 14))
def test_padding_changes_nothing(seed: int, short: int, long: int) -> None:
    rng = np.random.default_rng(seed)
    network, asked = lively_network(seed), random_items(rng, 3)
    small, large = random_items(rng, short), random_items(rng, long)
    alone = predict(network, [small], [asked])
    padded = predict(network, [small, large], [asked, random_items(rng, 9)])
    width = alone.mean.shape[1]
    assert worst(alone.mean[0], padded.mean[0, :width]) < EXACT
    assert worst(alone.std[0], padded.std[0, :width]) < EXACT


@slow
@given(seed=seeds)
def test_a_target_does_not_see_other_targets(seed: int) -> None:
    rng = np.random.default_rng(seed)
    network, context, asked = lively_network(seed), random_items(rng, 5), random_items(rng, 6)
    together = predict(network, [context], [asked]).mean[0]
    alone = [predict(network, [context], [[item]]).mean[0] for item in asked]
    assert worst(together, torch.cat(alone)) < EXACT


@slow
@given(seed=seeds, size=st.integers(0, 12))
def test_the_cached_context_gives_the_uncached_answer(seed: int, size: int) -> None:
    rng = np.random.default_rng(seed)
    network = lively_network(seed)
    context = [random_items(rng, size), random_items(rng, 4)]
    targets = [random_items(rng, 5), random_items(rng, 2)]
    whole = predict(network, context, targets)
    with torch.inference_mode():
        encoded = network.encode(collate(context, dim=DIM))
        cached = network.decode(encoded, collate(targets, dim=DIM))
    mask = collate(targets, dim=DIM).mask
    assert worst(whole.mean[mask], cached.mean[mask]) < EXACT
    assert worst(whole.std[mask], cached.std[mask]) < EXACT


def test_a_context_meets_itself_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernels are the larger part of what encoding takes; two layers and the ridges share."""
    calls, kernels = [], Frame.kernels

    def counted(self: Frame, context: Frame, middle: Middle) -> torch.Tensor:
        calls.append(context)
        return kernels(self, context, middle)

    monkeypatch.setattr(Frame, "kernels", counted)
    items = random_items(np.random.default_rng(0), 4)
    lively_network().encode(collate([items], dim=DIM))
    assert len(calls) == 1


def test_a_context_longer_than_one_block_of_rows_is_encoded_alike(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(0)
    network, context, asked = lively_network(), random_items(rng, 12), random_items(rng, 3)
    whole = predict(network, [context], [asked])
    monkeypatch.setattr("models.ridge.ROWS", 5)
    with torch.inference_mode():
        encoded = network.encode(collate([context], dim=DIM))
        cached = network.decode(encoded, collate([asked], dim=DIM))
    assert worst(whole.mean, cached.mean) < EXACT


@slow
@given(seed=seeds)
def test_without_a_context_the_prediction_is_the_prior(seed: int) -> None:
    rng = np.random.default_rng(seed)
    asked = random_items(rng, 6)
    output = predict(lively_network(seed), [[]], [asked])
    prior = np.concatenate([item.expected.mean for item in asked if item.expected])
    assert float(np.abs(output.mean[0].numpy() - prior).max()) < EXACT


@slow
@given(seed=seeds)
def test_a_context_that_answers_as_the_prior_expects_changes_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    asked = random_items(rng, 6)
    plain = [
        replace(item, values=item.expected.mean) for item in random_items(rng, 8) if item.expected
    ]
    output = predict(lively_network(seed), [plain], [asked])
    prior = np.concatenate([item.expected.mean for item in asked if item.expected])
    assert float(np.abs(output.mean[0].numpy() - prior).max()) < EXACT


def test_a_context_changes_the_prediction() -> None:
    rng = np.random.default_rng(3)
    network, asked = lively_network(), random_items(rng, 4)
    first, second = (predict(network, [random_items(rng, 5)], [asked]) for _ in range(2))
    assert worst(first.mean, second.mean) > 1e-3


def test_the_kind_of_a_preference_matters() -> None:
    """The same vectors and values mean something else as a comparison than as shares."""
    rng = np.random.default_rng(4)
    network, asked = lively_network(), random_items(rng, 4)
    pair = random_item(rng, Kind.COMPARISON)
    first, second = (
        predict(network, [[replace(pair, kind=kind)]], [asked])
        for kind in (Kind.COMPARISON, Kind.SHARE)
    )
    assert worst(first.mean, second.mean) > 1e-4


@slow
@given(seed=seeds)
def test_shares_sum_to_one_and_everything_is_finite(seed: int) -> None:
    rng = np.random.default_rng(seed)
    items = [random_item(rng, Kind.SHARE, int(rng.integers(2, 6))) for _ in range(4)]
    extreme = replace(items[0], values=np.eye(len(items[0].values), dtype=np.float32)[0])
    targets = collate([items], dim=DIM)
    output = predict(lively_network(seed), [[extreme] * 5], [items])
    sums = torch.zeros(1, 4).scatter_add(1, targets.item, output.mean)
    assert torch.allclose(sums, torch.ones(1, 4), atol=EXACT)
    assert torch.isfinite(output.std).all()
    assert (output.std > 0).all()


@slow
@given(seed=seeds, loud=st.floats(1, 1000))
def test_an_extreme_context_gives_finite_answers(seed: int, loud: float) -> None:
    """Many equal answers, all far from what is expected, must not drive a share to NaN."""
    rng = np.random.default_rng(seed)
    network = lively_network(seed)
    with torch.no_grad():
        network.ridge.log_kernel.add_(float(np.log(loud)))
    asked = random_items(rng, 6)
    against = replace(asked[0], values=np.eye(len(asked[0].values), dtype=np.float32)[-1])
    output = predict(network, [[against] * 30], [asked])
    for tensor in (output.mean, output.std, output.log_mean):
        assert torch.isfinite(tensor).all()


def test_the_softmax_runs_inside_each_item_and_skips_padding() -> None:
    logits = torch.tensor([[1.0, 1.0, 5.0, 100.0]])
    item = torch.tensor([[0, 0, 1, 0]])
    mask = torch.tensor([[True, True, True, False]])
    result = log_softmax_by_item(logits, item, mask).exp()
    assert torch.allclose(result[0, :3], torch.tensor([0.5, 0.5, 1.0]))


def test_collate_refuses_an_item_without_an_expectation() -> None:
    item = replace(random_item(np.random.default_rng(0)), expected=None)
    with pytest.raises(ValueError, match="no expectation"):
        collate([[item]], dim=DIM)


def test_collate_marks_padding_explicitly() -> None:
    """A vector of zeros is data, not padding."""
    item = random_item(np.random.default_rng(0), Kind.RATING)
    zero = replace(item, vectors=np.zeros_like(item.vectors))
    tokens: Tokens = collate([[zero], [item, item]], dim=DIM)
    assert tokens.mask.tolist() == [[True, False], [True, True]]


def test_residuals_are_of_roots_for_shares_and_plain_for_ratings() -> None:
    rng = np.random.default_rng(7)
    items = random_items(rng, 9)
    tokens = collate([items, items[:2]], dim=DIM)
    found = residuals(tokens)
    assert not found[~tokens.mask].any()
    expected = []
    for item in items:
        assert item.expected is not None
        if item.kind is Kind.RATING:
            expected += (item.values - item.expected.mean).tolist()
        else:
            expected += (np.sqrt(item.values) - np.sqrt(item.expected.mean)).tolist()
    assert found[0].tolist() == pytest.approx(expected, abs=1e-6)


values = st.floats(0.001, 0.999)
shifts = st.floats(-3, 3)


@given(value=values)
def test_without_a_shift_a_value_stays(value: float) -> None:
    assert shifted(value, 0.0) == pytest.approx(value, rel=1e-6)


@given(value=values, one=shifts, other=shifts)
def test_a_shift_moves_a_value_its_own_way_and_never_out(
    value: float, one: float, other: float
) -> None:
    low, high = shifted(value, min(one, other)), shifted(value, max(one, other))
    assert 0 < low <= high
    assert shifted(value, -abs(one)) <= value * (1 + 1e-6)
    rates = [rate(value, shift) for shift in (min(one, other), max(one, other))]
    assert 0 < rates[0] <= rates[1] < 1
    assert rate(value, 0.0) == pytest.approx(value, rel=1e-6)
    assert rate(1 - value, -one) == pytest.approx(1 - rate(value, one), abs=1e-9)


@given(value=st.floats(0.3, 0.7), shift=st.floats(-0.2, 0.2))
def test_well_inside_a_shift_is_an_addition(value: float, shift: float) -> None:
    assert shifted(value, shift) == pytest.approx(value + shift, abs=0.01)
    assert rate(value, shift) == pytest.approx(value + shift, abs=0.01)


def shifted(value: float, shift: float) -> float:
    return float(_shifted(*torch.tensor([value, shift], dtype=torch.float64)))


def rate(value: float, shift: float) -> float:
    """A rating of which `value` is expected, shifted as the head does it."""
    up, down = shifted(value, shift), shifted(1 - value, -shift)
    return up / (up + down)


@slow
@given(seed=seeds, push=st.floats(-50, 50))
def test_no_ridge_pushes_an_answer_out_of_its_range(seed: int, push: float) -> None:
    """Whatever the hint, shares stay shares and rates stay between 0 and 1."""
    rng = np.random.default_rng(seed)
    network, asked = GPO(SMALL).eval(), random_items(rng, 6)
    targets = collate([asked], dim=DIM)
    hint = push * torch.randn(targets.shape, generator=torch.Generator().manual_seed(seed))
    with torch.inference_mode():
        output = network._head(network._target_in(targets, hint), targets, hint)
    assert torch.isfinite(output.log_mean).all()
    assert (output.mean >= 0).all()
    assert (output.mean <= 1 + EXACT).all()
    share = targets.kind != list(Kind).index(Kind.RATING)
    sums = torch.zeros(1, 6).scatter_add(1, targets.item, output.mean * share)
    there = torch.zeros(1, 6).scatter_add(1, targets.item, share.float()) > 0
    assert torch.allclose(sums[there], torch.ones(int(there.sum())), atol=EXACT)
