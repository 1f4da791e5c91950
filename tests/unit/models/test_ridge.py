"""Groups that hold firm views, unlike any in the training: the context decides, and only then."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from episodes_for_tests import DIM, POPULATIONS, SMALL

from models.batches import Expectation, Item, Kind, collate
from models.gpo import GPO
from models.ridge import DECIDED_TOKENS

AXES = 6  # directions in which the statements differ; the rest of a vector is common wording


def network() -> GPO:
    """An untrained network: its heads are zero, so the ridges alone answer."""
    torch.manual_seed(0)
    return GPO(SMALL).eval()


def statements(count: int, *, seed: int = 0) -> np.ndarray:
    """(count, DIM): alike wording, different content."""
    vectors = np.ones((count, DIM))
    vectors[:, :AXES] += 2.0 * np.random.default_rng(seed).normal(size=(count, AXES))
    return vectors.astype(np.float32)


def quoted(vectors: np.ndarray, yes: np.ndarray) -> list[Item]:
    """Each statement as a yes/no question, of which the share `yes` says yes."""
    side = np.zeros(DIM, np.float32)
    side[-1] = 0.5
    even = Expectation(np.full(2, 0.5, np.float32), np.zeros((2, POPULATIONS), np.float32))
    return [
        Item(
            Kind.SHARE, np.stack([v + side, v - side]), np.array([y, 1 - y], np.float32), None, even
        )
        for v, y in zip(vectors, yes, strict=True)
    ]


def rated(vectors: np.ndarray, rates: np.ndarray) -> list[Item]:
    half = Expectation(np.full(1, 0.5, np.float32), np.zeros((1, POPULATIONS), np.float32))
    return [
        Item(Kind.RATING, v[None], np.array([r], np.float32), None, half)
        for v, r in zip(vectors, rates, strict=True)
    ]


def agrees(vectors: np.ndarray, *, seed: int = 1) -> np.ndarray:
    """(n,) bool: which statements lie on this persona's side."""
    return vectors[:, :AXES] @ np.random.default_rng(seed).normal(size=AXES) > 1.0


@pytest.mark.parametrize("form", [quoted, rated])
def test_a_persona_is_followed_to_new_statements(form) -> None:  # type: ignore[no-untyped-def]
    right = []
    for seed in range(10):
        vectors = statements(80, seed=seed)
        side = agrees(vectors, seed=seed)
        items = form(vectors, np.where(side, 0.97, 0.03))
        module = network()
        context = module.encode(collate([items[:20]], dim=DIM))
        output = module.decode(context, collate([items[20:]], dim=DIM))
        first = output.mean[0].detach().numpy().reshape(60, -1)[:, 0]
        right.append(np.mean((first > 0.5) == side[20:]))
    assert np.mean(right) > 0.85


def test_an_ordinary_group_is_left_to_the_learned_ridge() -> None:
    vectors = statements(20)
    lean = 0.5 + 0.03 * np.random.default_rng(2).normal(size=20)
    for items in (quoted(vectors, lean), rated(vectors, lean)):
        assert network().encode(collate([items], dim=DIM)).trust.strong.item() < 0.01


def test_a_firm_context_is_one_of_a_decided_group() -> None:
    vectors = statements(20)
    items = quoted(vectors, np.where(agrees(vectors), 0.97, 0.03))
    assert network().encode(collate([items], dim=DIM)).trust.strong.item() > 0.99


def test_a_context_above_the_limit_is_left_to_the_learned_ridge_alone() -> None:
    """Also beside a small one in the same batch, which keeps its own ridges."""
    vectors = statements(DECIDED_TOKENS + 1)
    items = rated(vectors, np.where(agrees(vectors), 0.97, 0.03))
    strong = network().encode(collate([items, items[:20]], dim=DIM)).trust.strong[:, 0]
    assert strong[0] == 0
    assert strong[1] > 0.9
