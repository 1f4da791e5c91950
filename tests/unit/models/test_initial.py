"""Starting from the weights of a checkpoint: what fits, and how the rest is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from episodes_for_tests import DIM, lively_network, vectors_of, write_data

from models.batches import FloatArray
from models.checkpoint import Card, CardEmbedder, CardTraining, CheckpointError, save_checkpoint
from models.datasets import preference_files, read_corpus
from models.domains import build_domains
from models.embedders import Embedder, EmbedderInfo, load_embedder
from models.episodes import EpisodeConfig
from models.initial import load_initial
from models.networks import PUBLISHED, RESIDUAL
from models.prior import PriorConfig
from models.splits import SplitConfig, split_corpora
from models.texts import TokenWindow
from models.trainer import TrainConfig, Trainer

DIGEST = "ab" * 32


def embedder(digest: str = DIGEST, dim: int = DIM) -> Embedder:
    info = EmbedderInfo("st:club", digest, dim, 64, "mean", None)
    window: TokenWindow = object.__new__(TokenWindow)

    def encode(texts: list[str]) -> FloatArray:
        return np.zeros((len(texts), dim // 2), np.float32)

    return Embedder(info, window, encode)


def card(**changes: object) -> Card:
    plain = Card(
        name="club",
        arch=RESIDUAL,
        config={
            "network": {
                "embedding_dim": DIM,
                "d_model": 16,
                "layers": 2,
                "heads": 2,
                "d_ff": 32,
            }
        },
        embedder=CardEmbedder("st:club", DIGEST, DIM, "t", "mean"),
        data=(),
        training=CardTraining((0,), 1, "all steps done", 1.0),
        metrics={},
        limits=(),
        created="2026-01-01",
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    save_checkpoint(tmp_path / "club", lively_network().state_dict(), card())
    return tmp_path / "club"


def test_weights_and_sizes_are_those_of_the_checkpoint(place: Path) -> None:
    found = load_initial(str(place), arch=RESIDUAL, embedder=embedder(), d_model=16)
    assert (found.network.d_model, found.network.layers) == (16, 2)
    expected = lively_network().state_dict()
    assert all(torch.equal(found.weights[k], v) for k, v in expected.items())


def test_the_released_weights_have_a_name() -> None:
    minilm = load_embedder("minilm")
    found = load_initial("released", arch=RESIDUAL, embedder=minilm)
    assert found.network.embedding_dim == minilm.dim == 768


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"embedder": embedder("cd" * 32)}, "trained on the embedder st:club .abababababab"),
        ({"embedder": embedder(dim=8)}, "8 dimensions.: its weights mean nothing"),
        ({"arch": PUBLISHED}, "of the architecture gpo-residual/1, not gpo-published/1"),
        ({"d_model": 64}, "has --d-model 16, not 64: leave it out"),
        ({"layers": 3}, "has --layers 2, not 3"),
    ],
)
def test_what_does_not_fit_is_refused(place: Path, given: dict[str, object], words: str) -> None:
    plain = {"arch": RESIDUAL, "embedder": embedder()}
    with pytest.raises(CheckpointError, match=words):
        load_initial(str(place), **(plain | given))  # type: ignore[arg-type]


def test_weights_that_are_not_of_their_card_are_refused(place: Path) -> None:
    save_checkpoint(place, {"norm.weight": torch.ones(3)}, card())
    with pytest.raises(CheckpointError, match="the weights do not fit their card"):
        load_initial(str(place), arch=RESIDUAL, embedder=embedder())


def test_a_training_starts_from_them_and_never_ends_below_them(tmp_path: Path) -> None:
    corpora = [read_corpus(p) for p in preference_files(write_data(tmp_path))]
    splits = split_corpora(corpora, SplitConfig(validation_groups=0.2))
    domains, _ = build_domains(corpora, [vectors_of(c) for c in corpora], splits, PriorConfig())
    start = lively_network()
    trainer = Trainer(
        domains,
        start.config,
        EpisodeConfig(max_context=20),
        TrainConfig(steps=3, batch=2, learning_rate=1e-12, warmup=1, evaluate_every=3),
        initial=start.state_dict(),
    )
    result = trainer.run(progress=False)
    assert [row["step"] for row in result.history] == [0, 3]
    for name, weights in start.state_dict().items():
        assert torch.allclose(weights, result.weights[name], atol=1e-6), name
