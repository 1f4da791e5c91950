"""Log-probabilities of given answers under a causal language model of transformers."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch

from models.option_tokens import Joined

ROWS = 16
"""Options in one forward pass."""


@torch.inference_mode()
def option_logprobs(model: Any, joined: Joined) -> list[float]:
    """For each option the sum of the log-probabilities (natural) of its tokens."""
    found: list[float] = []
    for first in range(0, len(joined.sequences), ROWS):
        found += _batch(model, joined.sequences[first : first + ROWS], joined.start)
    return found


def _batch(model: Any, sequences: Sequence[Sequence[int]], start: int) -> list[float]:
    width = max(len(s) for s in sequences)
    # Padding is on the right: a causal model reads nothing behind a token.
    ids = torch.tensor([[*s, *[0] * (width - len(s))] for s in sequences])
    mask = torch.tensor([[1] * len(s) + [0] * (width - len(s)) for s in sequences])
    ids, mask = ids.to(model.device), mask.to(model.device)
    kept = width - start + 1  # (B, kept, V): from the last token before the options on
    bounded = "logits_to_keep" in inspect.signature(model.forward).parameters
    extra = {"logits_to_keep": kept} if bounded else {}
    logits = model(input_ids=ids, attention_mask=mask, use_cache=False, **extra).logits
    logs = torch.log_softmax(logits[:, -kept:-1].float(), dim=-1)
    each = logs.gather(-1, ids[:, start:, None]).squeeze(-1).double()
    return [float(v) for v in (each * mask[:, start:]).sum(dim=1)]
