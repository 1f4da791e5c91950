"""The published architecture: the four properties, faults not inherited, its checkpoint."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from episodes_for_tests import DIM, lively_network, random_item, random_items
from hypothesis import given, settings
from hypothesis import strategies as st

from models.batches import Item, Kind, collate
from models.calibration import Calibration
from models.checkpoint import Card, CardEmbedder, CardTraining, CheckpointError
from models.gpo import Output
from models.losses import item_losses, optimizer, training_losses
from models.networks import PUBLISHED, decode
from models.published import EvenPrior, Published, PublishedConfig, gaussian_loss
from models.scorer import GPOScorer, load_scorer

EXACT = 1e-5
TINY = PublishedConfig(embedding_dim=DIM, d_model=16, layers=2, heads=2, d_ff=16)
seeds = st.integers(0, 10_000)
slow = settings(max_examples=15, deadline=None)


def network(seed: int = 0) -> Published:
    torch.manual_seed(seed)
    return Published(TINY).eval()


def predict(model: Published, context: list[list[Item]], targets: list[list[Item]]) -> Output:
    with torch.inference_mode():
        return model(collate(context, dim=DIM), collate(targets, dim=DIM))


def worst(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).abs().max())


@slow
@given(seed=seeds, size=st.integers(2, 12))
def test_the_order_of_the_context_does_not_matter(seed: int, size: int) -> None:
    rng = np.random.default_rng(seed)
    model, items, asked = network(seed), random_items(rng, size), random_items(rng, 4)
    one = predict(model, [items], [asked])
    other = predict(model, [[items[i] for i in rng.permutation(size)]], [asked])
    assert worst(one.mean, other.mean) < EXACT
    assert worst(one.std, other.std) < EXACT


@slow
@given(seed=seeds, short=st.integers(0, 3), long=st.integers(8, 14))
def test_padding_changes_nothing(seed: int, short: int, long: int) -> None:
    rng = np.random.default_rng(seed)
    model, asked = network(seed), random_items(rng, 3)
    small, large = random_items(rng, short), random_items(rng, long)
    alone = predict(model, [small], [asked])
    padded = predict(model, [small, large], [asked, random_items(rng, 9)])
    width = alone.mean.shape[1]
    assert worst(alone.mean[0], padded.mean[0, :width]) < EXACT
    assert worst(alone.std[0], padded.std[0, :width]) < EXACT


@slow
@given(seed=seeds)
def test_a_target_does_not_see_other_targets_nor_its_own_answer(seed: int) -> None:
    rng = np.random.default_rng(seed)
    model, context, asked = network(seed), random_items(rng, 5), random_items(rng, 6)
    together = predict(model, [context], [asked]).mean[0]
    alone = [predict(model, [context], [[item]]).mean[0] for item in asked]
    blind = [replace(item, values=np.full_like(item.values, 0.5)) for item in asked]
    assert worst(together, torch.cat(alone)) < EXACT
    assert worst(together, predict(model, [context], [blind]).mean[0]) == 0


@slow
@given(seed=seeds, size=st.integers(0, 12))
def test_the_cached_context_gives_the_uncached_answer(seed: int, size: int) -> None:
    rng = np.random.default_rng(seed)
    model = network(seed)
    context = [random_items(rng, size), random_items(rng, 4)]
    targets = [random_items(rng, 5), random_items(rng, 2)]
    whole = predict(model, context, targets)
    with torch.inference_mode():
        encoded = model.encode(collate(context, dim=DIM))
        cached = model.decode(encoded, collate(targets, dim=DIM))
    mask = collate(targets, dim=DIM).mask
    assert worst(whole.mean[mask], cached.mean[mask]) < EXACT
    assert worst(whole.std[mask], cached.std[mask]) < EXACT


def test_a_context_longer_than_one_block_of_rows_is_encoded_alike(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(0)
    model, context, asked = network(), random_items(rng, 12), random_items(rng, 3)
    whole = predict(model, [context], [asked])
    monkeypatch.setattr("models.published.ROWS", 5)
    with torch.inference_mode():
        encoded = model.encode(collate([context], dim=DIM))
        cached = model.decode(encoded, collate([asked], dim=DIM))
    assert worst(whole.mean, cached.mean) < EXACT


def test_a_vector_of_zeros_is_no_padding() -> None:
    rng = np.random.default_rng(1)
    model, asked, item = network(), random_items(rng, 3), random_item(rng, Kind.RATING)
    zero = replace(item, vectors=np.zeros_like(item.vectors))
    with_it = predict(model, [[item, zero]], [asked])
    without = predict(model, [[item]], [asked])
    assert worst(with_it.mean, without.mean) > 1e-6


@slow
@given(seed=seeds, loud=st.floats(1, 3))
def test_everything_is_finite_and_on_the_scale_of_shares(seed: int, loud: float) -> None:
    rng = np.random.default_rng(seed)
    model = network(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(loud)
    asked = [random_item(rng, Kind.SHARE, int(rng.integers(2, 6))) for _ in range(4)]
    for context in ([], random_items(rng, 9)):
        output = predict(model, [context], [asked])
        targets = collate([asked], dim=DIM)
        sums = torch.zeros(1, 4).scatter_add(1, targets.item, output.mean)
        assert torch.allclose(sums, torch.ones(1, 4), atol=EXACT)
        assert torch.isfinite(output.log_mean).all()
        assert 0.0099 < float(output.std.min()) <= float(output.std.max()) < 0.5001


def test_the_gaussian_loss_is_that_of_a_normal_law() -> None:
    rng = np.random.default_rng(2)
    asked = [random_items(rng, 5), random_items(rng, 2)]
    targets = collate(asked, dim=DIM)
    output = predict(network(), [random_items(rng, 4), []], asked)
    law = torch.distributions.Normal(output.mean, output.std)
    half_log = 0.5 * np.log(2 * np.pi)
    expected = -((law.log_prob(targets.y) + half_log) * targets.mask).sum(1)
    assert torch.allclose(gaussian_loss(output, targets), expected, atol=1e-5)


def test_a_few_groups_are_learned_by_heart() -> None:
    """Two groups that answer alike with words reversed: the context alone tells them apart."""
    rng = np.random.default_rng(3)
    context, asked = [random_items(rng, 6) for _ in range(2)], random_items(rng, 4)
    other = [replace(item, values=item.values[::-1].copy()) for item in asked]
    known, targets = collate(context, dim=DIM), collate([asked, other], dim=DIM)
    model = network()
    steps = optimizer(model, rate=3e-3, weight_decay=0.05)

    def error() -> float:
        with torch.inference_mode():
            return float(item_losses(model(known, targets), targets).sum())

    before = error()
    for _ in range(400):
        steps.zero_grad()
        training_losses(model, model(known, targets), targets).sum().backward()
        steps.step()
    assert error() < before / 20


def card() -> Card:
    return Card(
        name="test",
        arch="",
        config={},
        embedder=CardEmbedder("minilm", "0" * 64, DIM, "t", "mean"),
        data=(),
        training=CardTraining((0,), 1, "all steps done", 1.0),
        metrics={},
        limits=(),
        created="2026-01-01",
    )


@pytest.fixture
def saved(tmp_path: Path) -> GPOScorer:
    scorer = GPOScorer(network(), EvenPrior(), card(), Calibration({"share/new": (1.2, 1.2, 1.1)}))
    return scorer.save(tmp_path / "c")


def test_a_checkpoint_loads_as_what_its_card_names(saved: GPOScorer, tmp_path: Path) -> None:
    loaded = load_scorer(tmp_path / "c")
    assert loaded.card == saved.card
    assert loaded.card.arch == PUBLISHED
    assert isinstance(loaded.network, Published)
    assert sorted(p.name for p in (tmp_path / "c").iterdir()) == ["card.json", "model.safetensors"]
    rng = np.random.default_rng(4)
    items = [replace(item, expected=None) for item in random_items(rng, 5)]
    question = rng.normal(size=(3, DIM)).astype(np.float32)
    answers = [s.predict(s.encode_context(items), [question])[0] for s in (saved, loaded)]
    assert answers[0].mean == pytest.approx(answers[1].mean)
    assert answers[0].mean.sum() == pytest.approx(1)
    assert (answers[0].low <= answers[0].mean).all()


def test_the_scorer_gives_the_same_answers_however_it_is_asked(saved: GPOScorer) -> None:
    rng = np.random.default_rng(5)
    items = [[replace(i, expected=None) for i in random_items(rng, n)] for n in (0, 7)]
    contexts = [saved.encode_context(part) for part in items]
    responses = rng.normal(size=(6, DIM)).astype(np.float32)
    for context, scored in zip(contexts, saved.score_many(contexts, responses), strict=True):
        alone = [saved.score(context, row[None]).mean[0] for row in responses]
        assert scored.mean == pytest.approx(alone, abs=EXACT)
        one, other = saved.compare(context, responses[:2]), saved.compare(context, responses[1::-1])
        assert one.mean == pytest.approx(other.mean[::-1], abs=EXACT)
    assert contexts[1].nbytes > contexts[0].nbytes > 0


def test_sizes_of_another_architecture_are_refused(saved: GPOScorer, tmp_path: Path) -> None:
    file = tmp_path / "c" / "card.json"
    file.write_text(file.read_text().replace('"depth": 4', '"x_dropout": 0.2'))
    with pytest.raises(CheckpointError, match="do not fit their card"):
        load_scorer(tmp_path / "c")


def test_the_context_of_another_architecture_is_refused(saved: GPOScorer) -> None:
    with pytest.raises(TypeError, match="GPO cannot read EncodedTokens"):
        decode(lively_network(), saved.encode_context([]), collate([[]], dim=DIM))
