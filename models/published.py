"""The published module: a Transformer Neural Process (TNP-D) over (x, y) tokens, for comparison.

After Zhao, Dang, Grover, "Group Preference Optimization" (ICLR 2024, arXiv 2310.11523): an MLP
embeds concat(x, y), a target's y is 0, every token attends to the context alone, a Gaussian says
what a target's y may be. Knows no prior, no bank, no kind of preference but by its head.

Where the published description leaves a gap or its code errs: padding is an explicit mask, the
std is bounded, means and std are both on the scale of shares, and an empty context is allowed.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.batches import Expectation, FloatArray, Kind, Tokens
from models.gpo import RATING, Output, log_softmax_by_item
from models.ridge import ROWS, nbytes

LEAST_STD = 0.01
MOST_STD = 0.5  # no value in [0, 1] can vary more


@dataclass(frozen=True, slots=True)
class PublishedConfig:
    """Sizes as published; `embedding_dim` is that of the embedder."""

    embedding_dim: int = 768
    d_model: int = 128
    layers: int = 6
    heads: int = 4
    d_ff: int = 128
    depth: int = 4
    dropout: float = 0.0


@dataclass(frozen=True, slots=True)
class EncodedTokens:
    """B contexts of C tokens for every target: keys and values (B, H, C + 1, D/H) of each layer.

    bias (B, 1, 1, C + 1) is 0 where a target may look. The token in front is all zeros and is
    looked at by targets without any context, which so read zeros instead of NaN. items (B,): how
    many the context has.
    """

    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]
    bias: Tensor
    items: Tensor

    @property
    def width(self) -> int:
        """Tokens of a context, C."""
        return self.bias.shape[-1] - 1

    @property
    def nbytes(self) -> int:
        """Memory of all tensors, in bytes."""
        return nbytes(*self.keys, *self.values, self.bias)


class EvenPrior:
    """Expects nothing in particular, since the published module has no prior."""

    def expect(self, items: Sequence[tuple[Kind, FloatArray]]) -> list[Expectation]:
        """Even shares; an approval of one half."""
        found = []
        for kind, vectors in items:
            even = torch.full((len(vectors),), 0.5 if kind is Kind.RATING else 1 / len(vectors))
            found.append(Expectation(even.numpy(), torch.zeros(len(vectors), 0).numpy()))
        return found


class Layer(nn.Module):
    """Post-norm attention to the context, then a feed-forward layer."""

    def __init__(self, config: PublishedConfig) -> None:
        super().__init__()
        d = config.d_model
        self.heads = config.heads
        self.query = nn.Linear(d, d)
        self.key_value = nn.Linear(d, 2 * d)
        self.out = nn.Linear(d, d)
        self.norm_attention = nn.LayerNorm(d)
        self.ff = nn.Sequential(
            nn.Linear(d, config.d_ff),
            nn.ReLU(),
            nn.Dropout(config.dropout),
            nn.Linear(config.d_ff, d),
        )
        self.norm_ff = nn.LayerNorm(d)
        self.dropout = nn.Dropout(config.dropout)

    def encode(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values (B, H, C + 1, D/H) of context states h (B, C, D), zeros in front."""
        batch, width, d = h.shape
        kv = self.key_value(h).reshape(batch, width, 2, self.heads, d // self.heads)
        k, v = F.pad(kv.permute(2, 0, 3, 1, 4), (0, 0, 1, 0))
        return k, v

    def forward(self, h: Tensor, keys: Tensor, values: Tensor, bias: Tensor) -> Tensor:
        """States h (B, T, D) after attending to the context."""
        batch, width, d = h.shape
        q = self.query(h).reshape(batch, width, self.heads, d // self.heads).transpose(1, 2)
        mixed = F.scaled_dot_product_attention(q, keys, values, attn_mask=bias)
        mixed = self.out(mixed.transpose(1, 2).reshape(batch, width, d))
        h = self.norm_attention(h + self.dropout(mixed))
        out: Tensor = self.norm_ff(h + self.dropout(self.ff(h)))
        return out


class Published(nn.Module):
    """The whole network. `forward` is the uncached pass; `encode` and `decode` split it."""

    def __init__(self, config: PublishedConfig) -> None:
        super().__init__()
        self.config = config
        d = config.d_model
        widths = [config.embedding_dim + 1, *[d] * config.depth]
        steps: list[nn.Module] = []
        for before, after in itertools.pairwise(widths):
            steps += [nn.Linear(before, after), nn.ReLU()]
        self.embed = nn.Sequential(*steps[:-1])
        self.layers: Sequence[Layer] = nn.ModuleList(  # type: ignore[assignment]
            Layer(config) for _ in range(config.layers)
        )
        self.predict = nn.Sequential(
            nn.Linear(d, config.d_ff), nn.ReLU(), nn.Linear(config.d_ff, 2)
        )

    def forward(self, context: Tokens, targets: Tokens) -> Output:
        """Predict targets from the context in one pass over both, without any cache."""
        width, bias = context.shape[1], _bias(context.mask)
        h = torch.cat([self._in(context, context.y), self._in(targets, None)], 1)
        for layer in self.layers:
            h = layer(h, *layer.encode(h[:, :width]), bias)
        return self._head(h[:, width:], targets)

    def encode(self, context: Tokens) -> EncodedTokens:
        """Everything of a context that does not depend on a target."""
        h, bias = self._in(context, context.y), _bias(context.mask)
        keys, values = [], []
        for layer in self.layers:
            k, v = layer.encode(h)
            keys.append(k)
            values.append(v)
            # By rows, as memory would grow with the square of the context.
            h = torch.cat([layer(part, k, v, bias) for part in torch.split(h, ROWS, 1)], 1)
        return EncodedTokens(tuple(keys), tuple(values), bias, context.items)

    def decode(self, context: EncodedTokens, targets: Tokens) -> Output:
        """Predict targets from an encoded context; equal to `forward`."""
        h = self._in(targets, None)
        for layer, k, v in zip(self.layers, context.keys, context.values, strict=True):
            h = layer(h, k, v, context.bias)
        return self._head(h, targets)

    def _in(self, tokens: Tokens, y: Tensor | None) -> Tensor:
        value = torch.zeros_like(tokens.y) if y is None else y
        h: Tensor = self.embed(torch.cat([tokens.x, value.unsqueeze(-1)], -1))
        return h

    def _head(self, h: Tensor, targets: Tokens) -> Output:
        logits, spread = self.predict(h).unbind(-1)
        inside = log_softmax_by_item(logits, targets.item, targets.mask)
        log_mean = torch.where(targets.kind == RATING, F.logsigmoid(logits), inside)
        std = LEAST_STD + (MOST_STD - LEAST_STD) * torch.sigmoid(spread)
        return Output(log_mean=log_mean, mean=log_mean.exp(), std=std)


def gaussian_loss(output: Output, targets: Tokens) -> Tensor:
    """Negative log-likelihood of the targets' y, summed over each episode's tokens (B,)."""
    error = (targets.y - output.mean) / output.std
    return ((torch.log(output.std) + error.square() / 2) * targets.mask).sum(1)


def _bias(mask: Tensor) -> Tensor:
    """(B, 1, 1, C + 1): 0 where a token may be looked at; the zero token only without any other."""
    seen = torch.cat([~mask.any(1, keepdim=True), mask], 1)
    bias = torch.zeros(seen.shape, device=mask.device).masked_fill(~seen, float("-inf"))
    return bias[:, None, None]
