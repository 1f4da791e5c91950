"""How a language model's own distribution enters the prior of questions that no bank knows.

Owns the orders in which options are shown and the pool of two priors; runs no model.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.batches import FloatArray

TINY = 1e-6  # keeps the logarithm of a share of 0 finite


def orders(options: Sequence[str]) -> list[list[int]]:
    """Indices into `options` for each order shown: up to 4 rotations, each also reversed.

    The options are sorted first, so the orders do not depend on how they were sent.
    """
    ranked = sorted(range(len(options)), key=lambda i: options[i])
    k = len(ranked)
    starts = range(k) if k <= 4 else [k * i // 4 for i in range(4)]
    rotated = [ranked[s:] + ranked[:s] for s in starts]
    return rotated + [order[::-1] for order in rotated]


def pooled(
    kernel: FloatArray, llm: FloatArray, *, weight: float = 0.5, temperature: float = 1.0
) -> FloatArray:
    """Geometric pool (k,): weight 0 is the kernel prior, 1 the tempered LLM alone."""
    if not 0 <= weight <= 1 or temperature <= 0:
        raise ValueError("weight must lie in [0, 1] and temperature above 0")
    logs = [np.log(np.maximum(np.asarray(p, np.float64), TINY)) for p in (kernel, llm)]
    logits = (1 - weight) * logs[0] + weight * logs[1] / temperature
    shares = np.exp(logits - logits.max())
    return np.asarray(shares / shares.sum(), np.float32)
