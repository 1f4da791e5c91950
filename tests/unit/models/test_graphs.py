"""The graphs answer as the network they were traced from, whatever the sizes."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
import torch
from torch import Tensor

from models.batches import Expectation, Item, Kind, Tokens, collate
from models.gpo import GPO, EncodedContext, GPOConfig
from models.graphs import POSSIBLE, Graphs
from models.ridge import ROWS
from models.stacks import padded, stacked

pytestmark = pytest.mark.skipif(not POSSIBLE, reason="torch.jit needs Python below 3.14")
DIM, POPULATIONS = 24, 5


@pytest.fixture(scope="module")
def network() -> GPO:
    torch.manual_seed(0)
    made = GPO(GPOConfig(embedding_dim=DIM, d_model=16, layers=3, heads=2, d_ff=32)).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    return made


@pytest.fixture(scope="module")
def graphs(network: GPO) -> Graphs:
    return Graphs(network)


def tokens(*sizes: int, seed: int, populations: int = POPULATIONS) -> Tokens:
    """Episodes of so many items of mixed kinds."""
    draw, episodes = np.random.default_rng(seed), []
    for size in sizes:
        items = []
        for number in range(size):
            kind = tuple(Kind)[number % 3]
            k = {Kind.SHARE: 3, Kind.RATING: 1, Kind.COMPARISON: 2}[kind]
            share = draw.dirichlet(np.ones(4))[:k].astype(np.float32)
            profile = draw.normal(scale=0.1, size=(k, populations)).astype(np.float32)
            vectors = draw.normal(size=(k, DIM)).astype(np.float32)
            expected = Expectation(share[::-1].copy(), profile, support=float(number % 2))
            items.append(Item(kind, vectors, share, weight=20.0, expected=expected))
        episodes.append(items)
    return collate(episodes, dim=DIM)


def parts(context: EncodedContext) -> tuple[Tensor, ...]:
    return context.parts()


@pytest.mark.parametrize("sizes", [(1,), (2,), (40,), (1, 7, 3), (5,) * 16, (ROWS,)])
def test_a_context_is_encoded_to_the_bit(
    network: GPO, graphs: Graphs, sizes: tuple[int, ...]
) -> None:
    context = tokens(*sizes, seed=len(sizes))
    with torch.inference_mode():
        for mine, plain in zip(
            parts(graphs.encode(context)), parts(network.encode(context)), strict=True
        ):
            assert torch.equal(mine, plain)


@pytest.mark.parametrize("context_sizes", [(0,), (1,), (60,), (3, 9), (ROWS,)])
@pytest.mark.parametrize("target_size", [1, 2, 30])
def test_targets_are_predicted_to_the_bit(
    network: GPO, graphs: Graphs, context_sizes: tuple[int, ...], target_size: int
) -> None:
    targets = tokens(*[target_size] * len(context_sizes), seed=9)
    with torch.inference_mode():
        context = network.encode(tokens(*context_sizes, seed=4))
        mine, plain = graphs.decode(context, targets), network.decode(context, targets)
        for field in fields(mine):
            assert torch.equal(getattr(mine, field.name), getattr(plain, field.name))


@pytest.mark.parametrize(("known", "asked"), [(0, 5), (5, 0), (2, 5), (7, 3)])
def test_context_and_targets_may_know_different_numbers_of_populations(
    network: GPO, graphs: Graphs, known: int, asked: int
) -> None:
    targets = tokens(4, seed=1, populations=asked)
    with torch.inference_mode():
        context = graphs.encode(tokens(6, seed=2, populations=known))
        mine, plain = graphs.decode(context, targets), network.decode(context, targets)
    torch.testing.assert_close(mine.mean, plain.mean)


def test_contexts_are_put_side_by_side_to_the_bit(network: GPO, graphs: Graphs) -> None:
    with torch.inference_mode():
        contexts = [
            network.encode(tokens(size, seed=size, populations=3 + size % 2))
            for size in (0, 4, 4, 11)
        ]
        mine, plain = stacked(contexts, pad=graphs.padded), stacked(contexts, pad=padded)
    for a, b in zip(parts(mine), parts(plain), strict=True):
        assert torch.equal(a, b)
