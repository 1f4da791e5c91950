"""Further checkpoints for an evaluation, on the same tasks as the first.

Owns their names, their vectors and the warning where what is new to one is not new to another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from models.batches import FloatArray
from models.checkpoint import Card, CheckpointError
from models.contenders import Contender
from models.corpora import Corpora
from models.embedders import Embedder, load_embedder
from models.scorer import GPOScorer

Vectors = Callable[[Embedder], tuple[FloatArray, ...]]


def load_checked(path: Path, *, device: str) -> tuple[GPOScorer, Embedder]:
    """A checkpoint and the embedder that it was trained with. Raises CheckpointError.

    Raises EmbedderError where the embedder cannot be loaded.
    """
    scorer = GPOScorer.load(path, device=device)
    embedder = load_embedder(scorer.card.embedder.id, device=device)
    if embedder.digest != scorer.card.embedder.digest:
        raise CheckpointError(f"{path} was trained with other vectors")
    return scorer, embedder


def load_rivals(
    paths: Sequence[Path], first: Card, corpora: Corpora, vectors: Vectors, *, device: str
) -> tuple[list[Contender], list[str]]:
    """The checkpoints under names of their own, and what to warn of.

    `vectors` embeds the same files for a checkpoint of another embedder. Raises as above.
    """
    rivals: list[Contender] = []
    notes = []
    for path in paths:
        scorer, embedder = load_checked(path, device=device)
        same = embedder.digest == first.embedder.digest
        taken = {"module", *(r.name for r in rivals)}
        name = _free(scorer.card.name, path, taken)
        found = corpora.vectors if same else vectors(embedder)
        rivals.append(Contender(name, scorer, corpora.corpora, found))
        if _held_out(scorer.card) != _held_out(first):
            notes.append(
                f"{name} was trained on other files or with another split than {first.name}; "
                "some of what counts as new may have been in its training"
            )
    return rivals, notes


def _held_out(card: Card) -> tuple[object, object]:
    return card.config.get("split"), {(d.name, d.sha256) for d in card.data}


def _free(name: str, path: Path, taken: set[str]) -> str:
    """The card's name, that of the folder, or one with a number."""
    for candidate in (name, path.resolve().name):
        if candidate not in taken:
            return candidate
    return next(n for i in range(2, 1000) if (n := f"{name} {i}") not in taken)
