"""Weights to start a training from: those of a checkpoint that fits the embedder and the sizes.

The network's weights alone; the bank and the prior are always fitted on the data of the training.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from models.checkpoint import Card, CheckpointError, load_checkpoint
from models.embedders import Embedder
from models.networks import NetworkConfig, build, config_of

RELEASED = Path(__file__).parent / "released" / "minilm"


@dataclass(frozen=True, slots=True)
class Initial:
    """The weights, the sizes of their network, and the digest of the checkpoint."""

    weights: dict[str, Tensor]
    network: NetworkConfig
    digest: str


def load_initial(
    name: str,
    *,
    arch: str,
    embedder: Embedder,
    d_model: int | None = None,
    layers: int | None = None,
) -> Initial:
    """Read `released` or a checkpoint folder.

    Raises CheckpointError when it has another architecture, other sizes than were asked for, or
    was trained on another embedder.
    """
    path = RELEASED if name == "released" else Path(name)
    weights, card = load_checkpoint(path)
    if card.arch != arch:
        raise CheckpointError(f"--init {path} is of the architecture {card.arch}, not {arch}")
    _require_same_embedder(path, card, embedder)
    config = _network(path, card, weights)
    for option, asked, has in (
        ("--d-model", d_model, config.d_model),
        ("--layers", layers, config.layers),
    ):
        if asked not in (None, has):
            raise CheckpointError(f"--init {path} has {option} {has}, not {asked}: leave it out")
    return Initial(weights, config, card.weights_sha256)


def _require_same_embedder(path: Path, card: Card, embedder: Embedder) -> None:
    needed = card.embedder
    if (needed.digest, needed.dim) != (embedder.digest, embedder.dim):
        raise CheckpointError(
            f"--init {path} was trained on the embedder {needed.id} ({needed.digest[:12]}, "
            f"{needed.dim} dimensions), but --embedder is {embedder.id} "
            f"({embedder.digest[:12]}, {embedder.dim} dimensions): its weights mean nothing to "
            "these vectors. Choose that embedder, or train without --init"
        )


def _network(path: Path, card: Card, weights: dict[str, Tensor]) -> NetworkConfig:
    """The sizes in the card, tried on the weights."""
    try:
        config = config_of(card.arch, card.config["network"])
        build(config).load_state_dict(weights)
    except (KeyError, TypeError, RuntimeError) as exc:
        raise CheckpointError(f"--init {path}: the weights do not fit their card: {exc}") from exc
    return config
