"""From preferences to padded tensors with explicit masks. Knows no text and no network.

An *item* is one preference: a question with its k options, one rated response, or a pair.
A *token* is one (prompt, response) pair of an item. Shapes: B episodes, T tokens, D embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

FloatArray = NDArray[np.float32]
Reals = NDArray[np.floating]


class Kind(StrEnum):
    """What a preference value means; each kind has its own output head."""

    SHARE = "share"
    RATING = "rating"
    COMPARISON = "comparison"


KINDS = tuple(Kind)


@dataclass(frozen=True, slots=True)
class Expectation:
    """What is known of an item before anything is known of the group.

    mean (k,): what the population is expected to answer. profile (k, P): by how much each of P
    known populations departs from it, for shares and comparisons as a difference of square roots
    (`roots`), 0 where it did not answer. support: how many populations the mean stands on, 0
    where the question is new and the mean a guess from similar ones. respondents: how many a
    population was asked in the survey that this question is from, or is like; 0 if that is not
    known.
    """

    mean: FloatArray
    profile: FloatArray
    support: float = 0.0
    respondents: float = 0.0

    @property
    def doubt(self) -> float:
        """How far the mean may be off, as a variance relative to that of a new question's."""
        return 1 / (1 + self.support)


@dataclass(frozen=True, slots=True)
class Item:
    """One preference: vectors (k, D) float32, values (k,) in [0, 1], respondents if known.

    A vector is that of the prompt and that of the response, D / 2 numbers each.

    `expected` is what the prior says of it; the scorer fills it in.
    """

    kind: Kind
    vectors: FloatArray
    values: FloatArray
    weight: float | None = None
    expected: Expectation | None = None


@dataclass(frozen=True, slots=True)
class Tokens:
    """One side of a batch, context or targets; padding is where `mask` is False.

    x (B, T, D): prompts beside responses; centred (B, T, D / 2): what sets a response apart from
    its siblings; profile (B, T, P); y, prior, doubt, weight (B, T); kind, item (B, T) int64; mask
    (B, T) bool.
    `item` numbers the items of an episode from 0, so a softmax can run inside each of them.
    `y` of a target is what a loss compares with; the network never reads it.
    """

    x: Tensor
    centred: Tensor
    profile: Tensor
    y: Tensor
    prior: Tensor
    doubt: Tensor
    weight: Tensor
    kind: Tensor
    item: Tensor
    mask: Tensor

    def to(self, device: torch.device) -> Tokens:
        """The same tokens on another device."""
        return Tokens(*(getattr(self, name).to(device) for name in self.__slots__))

    @property
    def shape(self) -> tuple[int, int]:
        """(B, T)."""
        return self.mask.shape[0], self.mask.shape[1]

    @property
    def items(self) -> Tensor:
        """Items of each episode (B,)."""
        last = torch.where(self.mask, self.item, -1)
        return last.amax(1) + 1 if last.shape[1] else last.new_zeros(len(last))


def halves(vectors: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The prompts' and the responses' halves of vectors (n, D)."""
    middle = vectors.shape[1] // 2
    return vectors[:, :middle], vectors[:, middle:]


def unit(x: Reals) -> FloatArray:
    """Rows of unit length; zeros stay zeros."""
    norm = np.linalg.norm(x, axis=-1, keepdims=True)
    return np.asarray(x / np.maximum(norm, 1e-6), np.float32)


def centre(vectors: FloatArray) -> FloatArray:
    """The responses' halves of vectors (k, D), minus their mean over the k options.

    (k, D / 2); zeros for a single response.
    """
    response = halves(vectors)[1]
    return np.asarray(response - response.mean(axis=0, keepdims=True), dtype=np.float32)


def roots(shares: Reals) -> Reals:
    """Square roots of shares, which vary alike whatever their size: the std of the root of a share
    of n respondents is 1 / (2 sqrt(n)). Between them the Euclidean distance is Hellinger's, which
    the Jensen-Shannon distance follows.
    """
    return np.asarray(np.sqrt(np.maximum(shares, 0)))


def collate(episodes: Sequence[Sequence[Item]], *, dim: int) -> Tokens:
    """Pad episodes of items to one batch. Every item needs what is `expected` of it."""
    counts = [sum(len(item.values) for item in items) for items in episodes]
    batch, width = len(episodes), max(counts, default=0)
    populations = max((_populations(item) for items in episodes for item in items), default=0)
    x = np.zeros((batch, width, dim), np.float32)
    centred = np.zeros((batch, width, dim // 2), np.float32)
    profile = np.zeros((batch, width, populations), np.float32)
    y, prior, doubt, weight = np.zeros((4, batch, width), np.float32)
    kind, number = np.zeros((2, batch, width), np.int64)
    for b, items in enumerate(episodes):
        start = 0
        for i, item in enumerate(items):
            if item.expected is None:
                raise ValueError(f"item {i} of episode {b} has no expectation")
            cells = slice(start, start + len(item.values))
            x[b, cells], centred[b, cells] = item.vectors, centre(item.vectors)
            y[b, cells], prior[b, cells] = item.values, item.expected.mean
            profile[b, cells, : _populations(item)] = item.expected.profile
            doubt[b, cells], weight[b, cells] = item.expected.doubt, item.weight or 0.0
            kind[b, cells], number[b, cells] = KINDS.index(item.kind), i
            start = cells.stop
    mask = np.arange(width) < np.array(counts, dtype=np.int64).reshape(batch, 1)
    arrays = (x, centred, profile, y, prior, doubt, weight, kind, number, mask)
    return Tokens(*(torch.from_numpy(a) for a in arrays))


def _populations(item: Item) -> int:
    return 0 if item.expected is None else item.expected.profile.shape[1]
