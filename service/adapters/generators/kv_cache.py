"""Keys and values of a batch in buffers with room to spare; knows no model and no rows.

transformers' own layer copies all it holds for every token: with 16 rows of 250 tokens that took
63 % of a step.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from transformers.cache_utils import DynamicCache, DynamicLayer

SPARE_TOKENS = 64
"""Tokens that a buffer can take before it is copied into a larger one."""

Pair = tuple[torch.Tensor, torch.Tensor]


class SpareLayer(DynamicLayer):  # type: ignore[no-untyped-call]
    """A layer that writes new tokens behind the old ones; keys and values are (B, H, T, D)."""

    def __init__(self, keys: torch.Tensor, values: torch.Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.lazy_initialization(keys, values)
        self._length = 0
        self._buffers: list[torch.Tensor] = []
        self._enlarge(keys, values)

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> Pair:
        """Append (B, H, t, D) and return everything; the layer's part of the cache protocol."""
        start, end = self._length, self._length + key_states.shape[2]
        if end > self._buffers[0].shape[2]:
            self._enlarge(*self._view(start))
        for buffer, states in zip(self._buffers, (key_states, value_states), strict=True):
            buffer[:, :, start:end] = states
        return self._view(end)

    def _enlarge(self, keys: torch.Tensor, values: torch.Tensor) -> None:
        self._buffers = [
            torch.cat([t, t.new_empty(*t.shape[:2], SPARE_TOKENS, t.shape[3])], dim=2)
            for t in (keys, values)
        ]
        self._view(keys.shape[2])

    def _view(self, length: int) -> Pair:
        """The first `length` tokens, as what the layer holds."""
        self._length = length
        keys, values = (buffer[:, :, :length] for buffer in self._buffers)
        self.keys, self.values = keys, values
        return keys, values


def is_plain(cache: DynamicCache) -> bool:
    """Whether each layer keeps all keys and values, so that rows can be cut and joined."""
    return all(type(layer) in (DynamicLayer, SpareLayer) for layer in cache.layers)


def pairs(cache: DynamicCache) -> list[Pair]:
    """Keys and values (B, H, T, D) of each layer of a plain cache."""
    return [(keys, values) for keys, values, *_ in cache]


def spare_cache(content: Iterable[Pair]) -> DynamicCache:
    """A plain cache with these keys and values, copied."""
    cache = DynamicCache()
    cache.layers = [SpareLayer(keys, values) for keys, values in content]
    return cache
