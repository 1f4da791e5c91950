"""Decodes rows in a batch that they join and leave at any token, with a cache of keys and values.

Owns tensors; knows no threads, no ports and no text. Every prompt is prefilled alone, so only the
decode steps see the other rows, as left padding.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import torch
from transformers.cache_utils import DynamicCache

from service.adapters.generators.kv_cache import is_plain, pairs, spare_cache
from service.adapters.generators.sampling import draw


@dataclass(slots=True, eq=False)
class Row:
    """One completion in the making; the same seed in `random` gives the same numbers."""

    prompt: list[int]
    temperature: float
    top_p: float
    max_tokens: int
    random: Random
    tokens: list[int] = field(default_factory=list)


class Batch:
    """Rows that are decoded together; `logits` (B, V) belong to their next token."""

    def __init__(
        self, rows: list[Row], cache: DynamicCache, mask: torch.Tensor, logits: torch.Tensor
    ) -> None:
        self.rows = rows
        self.cache = cache
        self.mask = mask  # (B, T), 1 where the cache holds a token of the row
        self.logits = logits

    @property
    def mergeable(self) -> bool:
        """Whether other rows can join: only where each layer keeps all keys and values."""
        return is_plain(self.cache)

    def merge(self, other: Batch) -> None:
        """Take over the rows of another batch, padding the shorter cache on the left."""
        width = max(self.mask.shape[1], other.mask.shape[1])
        self.mask = torch.cat([_widen(b.mask, width, dim=1) for b in (self, other)])
        self.logits = torch.cat([self.logits, other.logits])
        self.rows = self.rows + other.rows
        self.cache = spare_cache(
            (
                torch.cat([_widen(k, width, dim=2) for k in (k1, k2)]),
                torch.cat([_widen(v, width, dim=2) for v in (v1, v2)]),
            )
            for (k1, v1), (k2, v2) in zip(pairs(self.cache), pairs(other.cache), strict=True)
        )

    def keep(self, kept: Sequence[int]) -> None:
        """Drop all rows but those at the indices `kept`, and the padding they no longer need."""
        if not kept:
            self.rows = []
            return
        index = torch.tensor(kept, dtype=torch.long, device=self.mask.device)
        self.rows = [self.rows[i] for i in kept]
        self.mask, self.logits = self.mask[index], self.logits[index]
        if not self.mergeable:
            self.cache.batch_select_indices(index)
            return
        padding = int(self.mask.argmax(dim=1).min())
        self.mask = self.mask[:, padding:]
        self.cache = spare_cache(
            (k[index, :, padding:], v[index, :, padding:]) for k, v in pairs(self.cache)
        )


class Decoder:
    """A causal language model with its forward passes; the caller serialises the calls."""

    def __init__(self, model: Any) -> None:
        self._model = model
        names = inspect.signature(model.forward).parameters
        self._takes_positions = "position_ids" in names
        self._last_only = {"logits_to_keep": 1} if "logits_to_keep" in names else {}

    @torch.inference_mode()
    def prefill(self, rows: list[Row]) -> Batch:
        """Read the prompt that all `rows` share, once, and give each row a copy of its cache."""
        ids = torch.tensor([rows[0].prompt], device=self._model.device)
        cache = DynamicCache(config=self._model.config)
        mask = torch.ones_like(ids)
        logits = self._forward(ids, mask, cache)
        if is_plain(cache):
            n = len(rows)
            cache = spare_cache(
                (k.expand(n, -1, -1, -1), v.expand(n, -1, -1, -1)) for k, v in pairs(cache)
            )
        elif len(rows) > 1:
            cache.batch_repeat_interleave(len(rows))
        return Batch(rows, cache, mask.repeat(len(rows), 1), logits.repeat(len(rows), 1))

    @torch.inference_mode()
    def draw(self, batch: Batch) -> None:
        """Append the next token to each row."""
        drawn = draw(
            batch.logits,
            temperature=[r.temperature for r in batch.rows],
            top_p=[r.top_p for r in batch.rows],
            uniform=[r.random.random() for r in batch.rows],
        )
        for row, token in zip(batch.rows, drawn, strict=True):
            row.tokens.append(token)

    @torch.inference_mode()
    def advance(self, batch: Batch) -> None:
        """Feed each row's newest token through the model."""
        ids = torch.tensor([[r.tokens[-1]] for r in batch.rows], device=self._model.device)
        batch.mask = torch.cat([batch.mask, torch.ones_like(ids)], dim=1)
        batch.logits = self._forward(ids, batch.mask, batch.cache)

    def _forward(self, ids: torch.Tensor, mask: torch.Tensor, cache: DynamicCache) -> torch.Tensor:
        extra: dict[str, Any] = dict(self._last_only)
        if self._takes_positions:
            extra["position_ids"] = (mask.cumsum(dim=1) - 1).clamp(min=0)[:, -ids.shape[1] :]
        out = self._model(
            input_ids=ids, attention_mask=mask, past_key_values=cache, use_cache=True, **extra
        )
        logits: torch.Tensor = out.logits[:, -1, :]
        return logits.float()


def share_prompts(rows: Sequence[Row]) -> list[list[Row]]:
    """Rows grouped by equal prompts, in the order of arrival."""
    groups: dict[tuple[int, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row.prompt), []).append(row)
    return list(groups.values())


def _widen(tensor: torch.Tensor, width: int, *, dim: int) -> torch.Tensor:
    """Zeros on the left of `dim` up to `width`."""
    missing = width - tensor.shape[dim]
    if not missing:
        return tensor
    shape = list(tensor.shape)
    shape[dim] = missing
    return torch.cat([tensor.new_zeros(shape), tensor], dim=dim)
