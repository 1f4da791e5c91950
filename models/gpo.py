"""The GPO module: an in-context transformer that predicts a group's preferences.

A Transformer Neural Process (TNP-D form) after Zhao, Dang, Grover, "Group Preference
Optimization" (ICLR 2024, arXiv 2310.11523), as a residual on a prior: the network says how this
group differs from the population. Every token attends to the context alone; there are no
positions. Knows no text, no store, no service.

The correction is odd in the context's residuals: two streams see them with opposite signs, and
half of their difference counts. So an empty context, or one that answers as the prior expects,
gives exactly the prior, and the network cannot learn the training questions by heart: whatever it
knows of a question that does not depend on the group cancels out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.batches import KINDS, Kind, Tokens
from models.ridge import PARTS, Fit, Frame, InContextRidge, Middle, nbytes, spans

RATING = KINDS.index(Kind.RATING)
LEAST = 1e-6  # smallest base probability, so that its logarithm stays finite
BEND = 0.02  # distance from an end at which the ridge's shift loses its effect
# Brings the kernels that the attention sees to the order of 1: products of profiles are small.
CLOSENESS = (100.0, *[1.0] * (PARTS - 1))


@dataclass(frozen=True, slots=True)
class GPOConfig:
    """Sizes of the network; `x_dropout` drops input features of the embeddings in training.

    `embedding_dim` counts both halves of a vector.
    """

    embedding_dim: int = 768
    d_model: int = 128
    layers: int = 2
    heads: int = 4
    d_ff: int = 256
    dropout: float = 0.1
    x_dropout: float = 0.2


@dataclass(frozen=True, slots=True)
class EncodedContext:
    """All that targets need of B contexts of C tokens; computed once for each group version.

    keys, values: one (2B, H, C + 1, D/H) for each layer, a learned null token first; the second
    half belongs to the stream with negated residuals. items (B,): how many the context has.
    """

    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]
    fit: Fit
    frame: Frame
    items: Tensor

    @classmethod
    def of(cls, parts: Sequence[Tensor], layers: int) -> EncodedContext:
        """From what `parts` gave."""
        keys, values, rest = parts[:layers], parts[layers : 2 * layers], parts[2 * layers :]
        dual, likely, mean, seen, *where, items = rest
        fit = Fit(dual, likely, Middle(mean, seen))
        return cls(tuple(keys), tuple(values), fit, Frame(*where), items)

    def parts(self) -> tuple[Tensor, ...]:
        """All tensors: keys and values of each layer first."""
        middle = self.fit.middle
        fit = self.fit.dual, self.fit.likely, middle.mean, middle.seen
        where = (getattr(self.frame, name) for name in Frame.__slots__)
        return *self.keys, *self.values, *fit, *where, self.items

    @property
    def width(self) -> int:
        """Tokens of a context, C."""
        return self.frame.mask.shape[1]

    @property
    def nbytes(self) -> int:
        """Memory of all tensors, in bytes."""
        return nbytes(*self.keys, *self.values) + self.fit.nbytes + self.frame.nbytes


@dataclass(frozen=True, slots=True)
class Output:
    """Per target token (B, T): log-probability, its exponential, and the error's std.

    For shares and comparisons the means of an item sum to 1; for ratings each stands alone.
    """

    log_mean: Tensor
    mean: Tensor
    std: Tensor


class Block(nn.Module):
    """Pre-norm attention to the context, then a feed-forward layer."""

    def __init__(self, config: GPOConfig) -> None:
        super().__init__()
        d = config.d_model
        self.heads = config.heads
        self.norm_attention = nn.LayerNorm(d)
        self.norm_context = nn.LayerNorm(d)
        self.query = nn.Linear(d, d)
        self.key_value = nn.Linear(d, 2 * d)
        self.null = nn.Parameter(torch.zeros(2, d))
        self.similarity = nn.Parameter(torch.zeros(config.heads, PARTS))
        self.out = nn.Linear(d, d)
        self.norm_ff = nn.LayerNorm(d)
        self.ff = nn.Sequential(
            nn.Linear(d, config.d_ff),
            nn.GELU(),
            nn.Dropout(config.dropout),
            nn.Linear(config.d_ff, d),
        )
        self.dropout = nn.Dropout(config.dropout)

    def encode(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values (B, H, C + 1, D/H) of context states h (B, C, D)."""
        batch, _, d = h.shape
        kv = self.key_value(self.norm_context(h))
        kv = torch.cat([self.null.reshape(1, 1, 2 * d).expand(batch, 1, -1), kv], dim=1)
        k, v = kv.reshape(batch, -1, 2, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        return k, v

    def forward(
        self, h: Tensor, keys: Tensor, values: Tensor, closeness: Tensor, mask: Tensor
    ) -> Tensor:
        """States h (B, T, D) after attending to the context.

        closeness (B, PARTS, T, C) as from `Frame.kernels`; mask (B, C). The null token is always
        visible.
        """
        batch, width, d = h.shape
        q = self.query(self.norm_attention(h)).reshape(batch, width, self.heads, -1).transpose(1, 2)
        weights = self.similarity * self.similarity.new_tensor(CLOSENESS)
        bias = torch.einsum("hs,bstc->bhtc", weights, closeness.clamp(-5, 5))
        bias = F.pad(bias.masked_fill(~mask[:, None, None], float("-inf")), (1, 0))
        mixed = F.scaled_dot_product_attention(q, keys, values, attn_mask=bias)
        h = h + self.dropout(self.out(mixed.transpose(1, 2).reshape(batch, width, d)))
        out: Tensor = h + self.dropout(self.ff(self.norm_ff(h)))
        return out


class GPO(nn.Module):
    """The whole network. `forward` is the uncached pass; `encode` and `decode` split it."""

    correction: Tensor

    def __init__(self, config: GPOConfig) -> None:
        super().__init__()
        self.config = config
        d, dim = config.d_model, config.embedding_dim
        self.x_in = nn.Sequential(nn.Dropout(config.x_dropout), nn.Linear(dim, d), nn.LayerNorm(d))
        self.centred_in = nn.Sequential(
            nn.LayerNorm(dim // 2), nn.Dropout(config.x_dropout), nn.Linear(dim // 2, d)
        )
        self.kind_in = nn.Embedding(len(KINDS), d)
        self.prior_in = nn.Linear(3, d)
        self.value_in = nn.Sequential(nn.Linear(4, d), nn.GELU(), nn.Linear(d, d))
        self.ridge_in = nn.Linear(2, d)
        self.ridge = InContextRidge()
        # By kind, for new and for known questions: how far the ridge's shift counts, and, fitted
        # on held-out groups after the training, how far the network's correction does.
        self.shift = nn.Parameter(torch.ones(len(KINDS), 2))
        self.register_buffer("correction", torch.ones(len(KINDS), 2))
        self.blocks: Sequence[Block] = nn.ModuleList(  # type: ignore[assignment]
            Block(config) for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(d)
        self.delta = nn.Linear(d, len(KINDS))
        self.spread = nn.Linear(d, len(KINDS))
        nn.init.zeros_(self.delta.weight)
        nn.init.zeros_(self.delta.bias)
        nn.init.constant_(self.spread.bias, -2.0)

    def forward(self, context: Tokens, targets: Tokens) -> Output:
        """Predict targets from the context in one pass over both, without any cache."""
        width = context.shape[1]
        known, asked = Frame.of(context), Frame.of(targets)
        fit = self.ridge.fit(known, context, residuals(context))
        near = asked.kernels(known, fit.middle)
        hint = fit(near)
        closeness = torch.cat([known.kernels(known, fit.middle), near], 2)
        closeness, mask = torch.cat([closeness, closeness]), torch.cat([known.mask, known.mask])
        h = torch.cat([self._context_in(context), self._target_in(targets, hint)], 1)
        for block in self.blocks:
            keys, values = block.encode(h[:, :width])
            h = block(h, keys, values, closeness, mask)
        return self._head(h[:, width:], targets, hint)

    def encode(self, context: Tokens) -> EncodedContext:
        """Everything of a context that does not depend on a target."""
        frame = Frame.of(context)
        middle = Middle.of(frame)
        # The ridges and the attention look at the same kernels, unless they are too many to keep.
        blocks = len(list(spans(context.shape[1])))
        near = frame.kernels(frame, middle) if blocks == 1 else None
        fit = self.ridge.fit(frame, context, residuals(context), middle=middle, near=near)
        h, keys, values = self._context_in(context), [], []
        for layer, block in enumerate(self.blocks, 1):
            k, v = block.encode(h)
            keys.append(k)
            values.append(v)
            if layer < len(self.blocks):  # nobody attends to the last states
                h = _attend(block, h, k, v, frame, middle, near)
        return EncodedContext(tuple(keys), tuple(values), fit, frame, context.items)

    def decode(self, context: EncodedContext, targets: Tokens) -> Output:
        """Predict targets from an encoded context; equal to `forward`."""
        closeness = Frame.of(targets).kernels(context.frame, context.fit.middle)
        hint = context.fit(closeness)
        h = self._target_in(targets, hint)
        closeness = torch.cat([closeness, closeness])
        mask = torch.cat([context.frame.mask, context.frame.mask])
        for block, k, v in zip(self.blocks, context.keys, context.values, strict=True):
            h = block(h, k, v, closeness, mask)
        return self._head(h, targets, hint)

    def _shared_in(self, tokens: Tokens) -> Tensor:
        odds = torch.logit(tokens.prior, eps=1e-3) / 4
        prior = torch.stack([tokens.prior, odds, tokens.doubt], -1)
        # What the text itself says counts as far as its question is known: of a new question the
        # network sees how near it is to the context, or it would recite the training's questions.
        text: Tensor = self.x_in(tokens.x) + self.centred_in(tokens.centred)
        text = text * (1 - tokens.doubt).unsqueeze(-1)
        inputs: Tensor = text + self.kind_in(tokens.kind) + self.prior_in(prior)
        return inputs

    def _context_in(self, tokens: Tokens) -> Tensor:
        """Both streams (2B, C, D): residuals in three scales, negated in the second half."""
        residual, p = tokens.y - tokens.prior, tokens.prior
        ratio = torch.log((tokens.y + 0.02) / (p + 0.02))
        odd = torch.stack([4 * residual, ratio, 4 * residuals(tokens)], -1)
        size = (torch.log1p(tokens.weight) / 5).unsqueeze(-1)
        value = torch.cat([torch.cat([odd, size], -1), torch.cat([-odd, size], -1)])
        shared = self._shared_in(tokens)
        both: Tensor = torch.cat([shared, shared]) + self.value_in(value)
        return both

    def _target_in(self, tokens: Tokens, hint: Tensor) -> Tensor:
        """Both streams (2B, T, D)."""
        hints = torch.stack([4 * hint, hint / (tokens.prior + 0.05)], -1)
        shared = self._shared_in(tokens)
        return torch.cat([shared + self.ridge_in(hints), shared + self.ridge_in(-hints)])

    def _head(self, h: Tensor, targets: Tokens, hint: Tensor) -> Output:
        plus, minus = self.norm(h).chunk(2)
        pick = targets.kind.unsqueeze(-1)
        delta = (self.delta(plus) - self.delta(minus)).gather(-1, pick).squeeze(-1) / 2
        spread = (self.spread(plus) + self.spread(minus)).gather(-1, pick).squeeze(-1) / 2
        known = (targets.doubt < 1).long()
        delta = delta * self.correction[targets.kind, known]
        hint = hint * self.shift[targets.kind, known]
        prior = targets.prior.clamp(LEAST, 1 - LEAST)
        base = 2 * torch.log(_shifted(torch.sqrt(prior), hint))
        inside = log_softmax_by_item(base + delta, targets.item, targets.mask)
        odds = torch.log(_shifted(prior, hint)) - torch.log(_shifted(1 - prior, -hint))
        alone = F.logsigmoid(odds + delta)
        log_mean = torch.where(targets.kind == RATING, alone, inside)
        return Output(
            log_mean=log_mean, mean=log_mean.exp(), std=0.005 + 0.5 * torch.sigmoid(spread)
        )


def residuals(tokens: Tokens) -> Tensor:
    """(B, T): what a group answered beyond what was expected of it.

    Of shares and comparisons as a difference of square roots, of ratings as it is.
    """
    roots = torch.sqrt(tokens.y.clamp(min=0)) - torch.sqrt(tokens.prior.clamp(min=0))
    return torch.where(tokens.kind == RATING, tokens.y - tokens.prior, roots)


def _shifted(value: Tensor, shift: Tensor) -> Tensor:
    """value + shift for values above 0, bent so that it stays there; without a shift, value."""
    return value * _above_zero(value + shift) / _above_zero(value)


def _above_zero(value: Tensor) -> Tensor:
    """Nearly `value` where it is well above 0, and above 0 everywhere."""
    bent = (value + torch.sqrt(value.square() + 4 * BEND**2)) / 2
    return bent.clamp(min=LEAST)


def _attend(
    block: Block,
    h: Tensor,
    k: Tensor,
    v: Tensor,
    frame: Frame,
    middle: Middle,
    near: Tensor | None,
) -> Tensor:
    """One layer over both streams of a context, by rows: memory grows with C, not with C**2.

    `near`: the context's kernels with itself, where they are there.
    """
    mask = torch.cat([frame.mask, frame.mask])
    done = []
    for span in spans(h.shape[1]):
        closeness = frame.rows(span).kernels(frame, middle) if near is None else near
        done.append(block(h[:, span], k, v, torch.cat([closeness, closeness]), mask))
    return torch.cat(done, 1) if done else h


def log_softmax_by_item(logits: Tensor, item: Tensor, mask: Tensor) -> Tensor:
    """Log-softmax of logits (B, T) among the tokens that share an item number."""
    width = max(logits.shape[1], 1)
    logits = logits.masked_fill(~mask, -1e4)
    # The padding is an item of its own, behind all others.
    item = item.masked_fill(~mask, width)
    top = logits.new_full((logits.shape[0], width + 1), -1e4)
    top = top.scatter_reduce(1, item, logits.detach(), reduce="amax")
    shifted = logits - top.gather(1, item)
    total = torch.zeros_like(top).scatter_add(1, item, shifted.exp())
    return shifted - torch.log(total.gather(1, item))
