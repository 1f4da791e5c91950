"""Encoded contexts side by side, so that one pass encodes or answers several of them.

Owns padding and trimming, and which pieces of work fit into one pass; knows no network and no
prior. Padding is masked, so that it changes no answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

import torch
from torch import Tensor
from torch.nn import functional as F

from models.gpo import EncodedContext
from models.ridge import Fit, Frame, Middle

T = TypeVar("T")


def stacked(contexts: Sequence[EncodedContext]) -> EncodedContext:
    """Contexts as one batch, padded to the widest. Of a single one: itself, without a copy."""
    if len(contexts) == 1:
        return contexts[0]
    width = max(c.width for c in contexts)
    populations = max(c.frame.profile.shape[2] for c in contexts)

    def streams(layers: Iterable[tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
        """Of each layer first the streams with residuals as they are, then the negated ones."""
        return tuple(
            torch.cat([_wide(half, 2, width + 1) for half in _by_stream(layer)])
            for layer in zip(*layers, strict=True)
        )

    def rows(name: str) -> Tensor:
        return torch.cat([_wide(getattr(c.frame, name), 1, width) for c in contexts])

    profiles = [_wide(_wide(c.frame.profile, 2, populations), 1, width) for c in contexts]
    return EncodedContext(
        keys=streams(c.keys for c in contexts),
        values=streams(c.values for c in contexts),
        fit=Fit(
            dual=torch.cat([_wide(c.fit.dual, 2, width) for c in contexts]),
            likely=torch.cat([c.fit.likely for c in contexts]),
            middle=Middle(
                mean=torch.cat([c.fit.middle.mean for c in contexts]),
                seen=torch.cat([_wide(c.fit.middle.seen, 1, width) for c in contexts]),
            ),
        ),
        frame=Frame(
            text=rows("text"),
            stance=rows("stance"),
            profile=torch.cat(profiles),
            doubt=rows("doubt"),
            kind=rows("kind"),
            mask=rows("mask"),
        ),
        items=torch.cat([c.items for c in contexts]),
    )


def apart(batch: EncodedContext, widths: Sequence[int]) -> list[EncodedContext]:
    """The contexts of a batch, each in memory of its own and cut to its width again."""
    if len(widths) == 1:
        return [batch]
    return [_one(batch, i, width) for i, width in enumerate(widths)]


def packed(pieces: Sequence[tuple[T, int, int]], most_cells: int) -> list[list[T]]:
    """Pieces of (work, rows, columns) in passes: near in both sizes, so that padding is small.

    A pass of B pieces counts B * rows * columns of its largest ones, at most `most_cells` or one
    piece.
    """
    passes: list[list[T]] = []
    alike: dict[tuple[int, int], list[T]] = {}
    for work, rows, columns in pieces:
        size = rows.bit_length(), columns.bit_length()
        room = max(most_cells >> (size[0] + size[1]), 1)
        if size not in alike or len(alike[size]) == room:
            alike[size] = []
            passes.append(alike[size])
        alike[size].append(work)
    return passes


def _one(batch: EncodedContext, i: int, width: int) -> EncodedContext:
    count = batch.frame.mask.shape[0]

    def streams(layers: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        # Indexing with a list copies, which a slice would not.
        return tuple(layer[[i, count + i], :, : width + 1].contiguous() for layer in layers)

    def rows(tensor: Tensor) -> Tensor:
        return tensor[i : i + 1, :width].clone()

    fit, frame = batch.fit, batch.frame
    return EncodedContext(
        keys=streams(batch.keys),
        values=streams(batch.values),
        fit=Fit(
            dual=fit.dual[i : i + 1, :, :width].clone(),
            likely=fit.likely[i : i + 1].clone(),
            middle=Middle(fit.middle.mean[i : i + 1].clone(), rows(fit.middle.seen)),
        ),
        frame=Frame(*(rows(getattr(frame, name)) for name in Frame.__slots__)),
        items=batch.items[i : i + 1].clone(),
    )


def _by_stream(layer: Sequence[Tensor]) -> list[Tensor]:
    halves = [tensor.chunk(2) for tensor in layer]
    return [plus for plus, _ in halves] + [minus for _, minus in halves]


def _wide(tensor: Tensor, dim: int, size: int) -> Tensor:
    """Zeros behind `dim` up to `size`."""
    missing = size - tensor.shape[dim]
    if not missing:
        return tensor
    return F.pad(tensor, (0, 0) * (tensor.dim() - 1 - dim) + (0, missing))
