"""Draws the next token of each row from its own random numbers; knows no model and no text.

A draw is the inverse of the cumulative distribution in the order of the vocabulary, so rounding
noise in the logits moves a result only when the random number falls within that noise of a border.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

GREEDY_BELOW = 1e-5
"""Temperatures below this mean the likeliest token, as in vLLM."""


def draw(
    logits: torch.Tensor,
    *,
    temperature: Sequence[float],
    top_p: Sequence[float],
    uniform: Sequence[float],
) -> list[int]:
    """Token ids (B,) from logits (B, V) and one number in [0, 1) for each row."""
    greedy = logits.argmax(dim=-1).tolist()
    if all(t < GREEDY_BELOW for t in temperature):
        return [int(token) for token in greedy]
    scale = torch.tensor([1.0 if t < GREEDY_BELOW else t for t in temperature]).to(logits.device)
    probs = torch.softmax(logits.double() / scale.double()[:, None], dim=-1)
    if any(p < 1.0 for p in top_p):
        probs = _nucleus(probs, torch.tensor(top_p, dtype=torch.float64).to(logits.device))
    cumulative = probs.cumsum(dim=-1)
    point = torch.tensor(uniform, dtype=torch.float64).to(logits.device) * cumulative[:, -1]
    drawn = torch.searchsorted(cumulative, point[:, None], right=True).squeeze(-1)
    tokens = drawn.clamp(max=logits.shape[-1] - 1).tolist()
    return [
        int(g if t < GREEDY_BELOW else d)
        for g, d, t in zip(greedy, tokens, temperature, strict=True)
    ]


def _nucleus(probs: torch.Tensor, top_p: torch.Tensor) -> torch.Tensor:
    """Zero all but the smallest set of likeliest tokens whose mass reaches top_p; (B, V)."""
    ordered, order = probs.sort(dim=-1, descending=True, stable=True)
    before = ordered.cumsum(dim=-1) - ordered
    kept = ordered.masked_fill(before >= top_p[:, None], 0.0)
    return torch.zeros_like(probs).scatter(-1, order, kept)
