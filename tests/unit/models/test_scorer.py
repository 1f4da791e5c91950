"""The scorer: numpy in and out, chunks, intervals, and a checkpoint that loads as it was saved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from episodes_for_tests import DIM, POPULATIONS, lively_network, random_item
from torch import Tensor

from models.batches import Item, Kind, roots
from models.calibration import Calibration
from models.checkpoint import (
    Card,
    CardEmbedder,
    CardTraining,
    CheckpointError,
    save_checkpoint,
)
from models.popularity import Rated
from models.prior import BankItem, PriorConfig, fit_prior
from models.scorer import ARCH, BANK, ContextTooLargeError, GPOScorer


def card() -> Card:
    return Card(
        name="test",
        arch=ARCH,
        config={},
        embedder=CardEmbedder("minilm", "0" * 64, DIM, "t", "mean"),
        data=(),
        training=CardTraining((0,), 1, "all steps done", 1.0),
        metrics={},
        limits=(),
        created="2026-01-01",
    )


@pytest.fixture(scope="module")
def scorer() -> GPOScorer:
    rng = np.random.default_rng(0)
    items = [random_item(rng) for _ in range(8)]
    bank = [
        BankItem(i.vectors, roots(i.values).astype("f4"), i.expected.profile, 5, q)
        for q, i in enumerate(items)
        if i.expected
    ]
    rated = Rated(
        rng.normal(size=(30, DIM)).astype("f4"),
        rng.random(30).astype("f4"),
        0.1 * rng.normal(size=(30, POPULATIONS)).astype("f4"),
        np.ones(30, "f4"),
        np.arange(30) // 5,
    )
    prior, _ = fit_prior(bank, rated, PriorConfig())
    widths = {"share/new": (1.5, 1.4, 1.2), "rating/new": (2.0, 2.0, 1.8)}
    return GPOScorer(lively_network(), prior, card(), Calibration(widths))


def context_items(seed: int = 1, size: int = 6) -> list[Item]:
    rng = np.random.default_rng(seed)
    kinds = [list(Kind)[i % 3] for i in range(size)]
    return [replace(random_item(rng, kind), expected=None) for kind in kinds]


def vectors(n: int, seed: int = 2) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, DIM)).astype(np.float32)


def test_a_distribution_lies_inside_its_interval(scorer: GPOScorer) -> None:
    context = scorer.encode_context(context_items())
    for scored in scorer.predict(context, [vectors(4), vectors(2, 3)]):
        assert scored.mean.sum() == pytest.approx(1, abs=1e-6)
        assert (scored.low >= 0).all()
        assert (scored.low <= scored.mean).all()
        assert (scored.mean <= scored.high).all()
        assert (scored.high <= 1).all()


def test_responses_are_scored_independently_of_each_other(scorer: GPOScorer) -> None:
    context = scorer.encode_context(context_items())
    together = scorer.score(context, vectors(7))
    alone = [scorer.score(context, row[None]).mean[0] for row in vectors(7)]
    assert together.mean == pytest.approx(alone, abs=1e-5)


def test_several_contexts_give_what_each_gives_alone(scorer: GPOScorer) -> None:
    contexts = [scorer.encode_context(context_items(s, n)) for s, n in ((1, 6), (2, 0), (3, 9))]
    questions = [vectors(3), vectors(5, 9)]
    for context, row in zip(contexts, scorer.predict_many(contexts, questions), strict=True):
        for one, other in zip(row, scorer.predict(context, questions), strict=True):
            assert one.mean == pytest.approx(other.mean, abs=1e-6)


def test_chunks_do_not_change_the_answer(
    scorer: GPOScorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = scorer.encode_context(context_items())
    whole = scorer.score(context, vectors(20))
    monkeypatch.setattr("models.scorer.CELLS", 40)
    assert scorer.score(context, vectors(20)).mean == pytest.approx(whole.mean, abs=1e-5)


def test_no_responses_give_no_scores(scorer: GPOScorer) -> None:
    context = scorer.encode_context([])
    assert scorer.score(context, vectors(0)).mean.shape == (0,)
    assert scorer.predict(context, []) == []


def test_a_comparison_favours_neither_side_by_its_place(scorer: GPOScorer) -> None:
    context = scorer.encode_context(context_items())
    pair = vectors(2)
    forward, backward = scorer.compare(context, pair), scorer.compare(context, pair[::-1].copy())
    assert forward.mean == pytest.approx(backward.mean[::-1], abs=1e-5)


def test_a_context_over_the_limit_is_refused(
    scorer: GPOScorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.scorer.MAX_CONTEXT_TOKENS", 10)
    with pytest.raises(ContextTooLargeError, match="at most 10"):
        scorer.encode_context(context_items(size=12))


def test_the_size_of_an_encoded_context_grows_with_it(scorer: GPOScorer) -> None:
    small, large = (scorer.encode_context(context_items(size=n)).nbytes for n in (3, 30))
    assert 0 < small < large < 20 * small


def test_a_saved_checkpoint_loads_and_answers_alike(scorer: GPOScorer, tmp_path: Path) -> None:
    saved = scorer.save(tmp_path / "c")
    loaded = GPOScorer.load(tmp_path / "c")
    assert loaded.card == saved.card
    assert loaded.card.digest
    assert loaded.calibration == scorer.calibration
    answers = [
        s.predict(s.encode_context(context_items()), [vectors(3)])[0].mean for s in (scorer, loaded)
    ]
    assert answers[0] == pytest.approx(answers[1], abs=5e-3)


def test_another_architecture_is_refused(scorer: GPOScorer, tmp_path: Path) -> None:
    saved = scorer.save(tmp_path / "c")
    text = (tmp_path / "c" / "card.json").read_text()
    (tmp_path / "c" / "card.json").write_text(text.replace(saved.card.arch, "something-else"))
    with pytest.raises(CheckpointError, match="something-else"):
        GPOScorer.load(tmp_path / "c")


def test_a_damaged_bank_is_refused(scorer: GPOScorer, tmp_path: Path) -> None:
    scorer.save(tmp_path / "c")
    bank = tmp_path / "c" / "bank.safetensors"
    bank.write_bytes(bank.read_bytes()[:-1] + b"\x00\x01")
    with pytest.raises(CheckpointError, match="bank"):
        GPOScorer.load(tmp_path / "c")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda bank: bank.pop("rating"), "lack 'rating'"),
        (lambda bank: bank.pop("bank_pair"), "lack 'bank_pair'"),
        (lambda bank: bank.update(bank_text=bank["bank_text"][:-1]), "do not fit their card"),
        (lambda bank: bank.update(bank_item=bank["bank_item"][:-1]), "do not fit their card"),
        (lambda bank: bank.update(bank_alpha=bank["bank_alpha"][:-1]), "do not fit their card"),
        (lambda bank: bank.update(rating=bank["rating"][:-1]), "do not fit their card"),
    ],
    ids=["absent", "pairs", "texts", "items", "kernel", "approval"],
)
def test_files_that_do_not_fit_each_other_are_refused(
    scorer: GPOScorer, tmp_path: Path, damage: Callable[[dict[str, Tensor]], None], said: str
) -> None:
    saved = scorer.save(tmp_path)
    bank = dict(saved.prior.tensors())
    damage(bank)
    save_checkpoint(tmp_path, saved.network.state_dict(), saved.card, files={BANK: bank})
    with pytest.raises(CheckpointError, match=said):
        GPOScorer.load(tmp_path)


def test_shares_without_respondents_count_as_those_of_their_survey(scorer: GPOScorer) -> None:
    """A known question of a survey that asked 400 a group: with 400 and without, the same."""
    rng = np.random.default_rng(6)
    item = random_item(rng)
    assert item.expected is not None
    mean = np.sqrt(item.values)
    known = BankItem(item.vectors, mean, item.expected.profile, 5, 0, respondents=400.0)
    rated = Rated(
        rng.normal(size=(30, DIM)).astype("f4"),
        rng.random(30).astype("f4"),
        0.1 * rng.normal(size=(30, POPULATIONS)).astype("f4"),
        np.ones(30, "f4"),
        np.zeros(30, np.int64),
    )
    told = replace(scorer, prior=fit_prior([known], rated, PriorConfig())[0])
    values = np.roll(item.values, 1)
    answers = [
        told.score(
            told.encode_context([Item(Kind.SHARE, item.vectors, values, weight)]), vectors(4)
        ).mean
        for weight in (None, 400.0, 20.0)
    ]
    assert answers[0] == pytest.approx(answers[1], abs=1e-6)
    assert np.abs(answers[0] - answers[2]).max() > 1e-4
