"""Encoded contexts side by side, so that one pass encodes or answers several of them.

Owns padding and trimming, and which pieces of work fit into one pass; knows no network and no
prior. Padding is masked, so that it changes no answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from models.gpo import EncodedContext
from models.ridge import Fit, Frame, Middle

T = TypeVar("T")


Columns = list[list[Tensor]]
Padded = Callable[[Columns, list[int]], list[Tensor]]


def padded(columns: list[list[Tensor]], streams: list[int]) -> list[Tensor]:
    """Each column of tensors (n, ...) as one, with zeros behind the shorter ones.

    n is that column's number of `streams`: the first stream of all comes before the second of all.
    """
    found = []
    for number, column in enumerate(columns):
        widest = list(column[0].shape)
        for one in column:
            for dim in range(1, len(widest)):
                widest[dim] = max(widest[dim], one.shape[dim])
        alike: list[Tensor] = []
        for one in column:
            missing: list[int] = []  # from the last dimension on, as pad takes it
            for dim in range(len(widest) - 1, 0, -1):
                missing += [0, widest[dim] - one.shape[dim]]
            alike.append(torch.constant_pad_nd(one, missing) if sum(missing) > 0 else one)
        if streams[number] > 1:
            halves = [one.unbind(0) for one in alike]
            alike = []
            for stream in range(streams[number]):
                alike += [half[stream].unsqueeze(0) for half in halves]
        found.append(torch.cat(alike))
    return found


def stacked(contexts: Sequence[EncodedContext], *, pad: Padded = padded) -> EncodedContext:
    """Contexts as one batch, padded to the widest. Of a single one: itself, without a copy.

    `pad` may be a compiled form of `padded`.
    """
    if len(contexts) == 1:
        return contexts[0]
    layers = len(contexts[0].keys)
    rows = [context.parts() for context in contexts]
    streams = [2] * (2 * layers) + [1] * (len(rows[0]) - 2 * layers)
    columns = [list(column) for column in zip(*rows, strict=True)]
    return EncodedContext.of(pad(columns, streams), layers)


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
