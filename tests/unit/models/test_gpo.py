"""The four properties that the method promises, and what follows from the residual on a prior."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from episodes_for_tests import DIM, lively_network, random_item, random_items
from hypothesis import given, settings
from hypothesis import strategies as st

from models.batches import Expectation, Item, Kind, Tokens, collate
from models.gpo import GPO, Output, log_softmax_by_item

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


def test_a_context_longer_than_one_block_of_rows_is_encoded_alike(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(0)
    network, context, asked = lively_network(), random_items(rng, 12), random_items(rng, 3)
    whole = predict(network, [context], [asked])
    monkeypatch.setattr("models.gpo.ROWS", 5)
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
        network.ridge_weight.mul_(loud)
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
