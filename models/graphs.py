"""The passes of the GPO module as graphs, run without Python between their operations.

A pass is some 300 small operations. Python between them takes two thirds of the time of a single
request, and holds up whatever else waits for Python. The results are the network's, to the bit.
Knows no prior and no cache.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.jit import TracerWarning  # type: ignore[attr-defined]
from torch.nn import functional as F

from models.batches import KINDS, Tokens
from models.gpo import GPO, EncodedContext, Output
from models.ridge import ROWS
from models.stacks import Columns, padded

# torch.jit is at its end: from Python 3.14 on it does not run, and torch.compile, which is to
# replace it, needs a C++ compiler where the service starts.
POSSIBLE = sys.version_info < (3, 14)
_EXAMPLE = (2, 6, 3)  # episodes, tokens, populations


class Graphs:
    """Answers as a network does that is trained no further."""

    def __init__(self, network: GPO) -> None:
        """Trace a network that is in evaluation mode, which takes less than a second.

        Raises RuntimeError where this Python cannot (`POSSIBLE`).
        """
        self._network = network
        self._layers = len(network.blocks)
        example = _example(network)
        with torch.inference_mode():
            context = network.encode(example)
            self._encode = _traced(_Encode(network), _flat(example))
            self._decode = _traced(
                _Decode(network, self._layers), (*context.parts(), *_flat(example))
            )
        self._padded = _scripted(padded)

    def encode(self, context: Tokens) -> EncodedContext:
        """`GPO.encode`; beyond ROWS tokens the network goes by rows, which is not in the graph."""
        if not 0 < context.shape[1] <= ROWS:
            return self._network.encode(context)
        return EncodedContext.of(self._encode(*_flat(context)), self._layers)

    def decode(self, context: EncodedContext, targets: Tokens) -> Output:
        """`GPO.decode`."""
        # The graph knows one number of populations for both; zeros beyond it say nothing.
        frame, profile = context.frame, targets.profile
        missing = profile.shape[2] - frame.profile.shape[2]
        if missing > 0:
            frame = replace(frame, profile=F.pad(frame.profile, (0, missing)))
            context = replace(context, frame=frame)
        elif missing < 0:
            targets = replace(targets, profile=F.pad(profile, (0, -missing)))
        return Output(*self._decode(*context.parts(), *_flat(targets)))

    def padded(self, columns: Columns, streams: list[int]) -> list[Tensor]:
        """`stacks.padded`."""
        found: list[Tensor] = self._padded(columns, streams)
        return found


class _Encode(nn.Module):
    def __init__(self, network: GPO) -> None:
        super().__init__()
        self.network = network

    def forward(self, *tokens: Tensor) -> tuple[Tensor, ...]:
        return self.network.encode(Tokens(*tokens)).parts()


class _Decode(nn.Module):
    def __init__(self, network: GPO, layers: int) -> None:
        super().__init__()
        self.network = network
        self.layers = layers

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        split = len(tensors) - len(Tokens.__slots__)
        context = EncodedContext.of(tensors[:split], self.layers)
        return _flat(self.network.decode(context, Tokens(*tensors[split:])))


def _scripted(function: Callable[..., Any]) -> Callable[..., Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        script: Callable[..., Any] = torch.jit.script(function)
    return script


def _traced(module: nn.Module, inputs: tuple[Tensor, ...]) -> Callable[..., Any]:
    with warnings.catch_warnings():
        # Of the module's end, and of branches on sizes, all of which the callers rule out.
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", TracerWarning)
        graph = torch.jit.trace(module.eval(), inputs, check_trace=False)  # type: ignore[no-untyped-call]
        frozen: Callable[..., Any] = torch.jit.freeze(graph)
    return frozen


def _example(network: GPO) -> Tokens:
    """Tokens of every kind; that they mean nothing does not matter, only their types do."""
    device = next(network.parameters()).device
    b, t, p = _EXAMPLE
    dim = network.config.embedding_dim
    kind = torch.arange(t).remainder(len(KINDS)).expand(b, t)
    share = torch.full((b, t), 0.5)
    tokens = Tokens(
        x=torch.ones(b, t, dim),
        centred=torch.ones(b, t, dim // 2),
        profile=torch.ones(b, t, p),
        y=share,
        prior=share,
        doubt=share,
        weight=share,
        kind=kind.contiguous(),
        item=torch.arange(t).expand(b, t).contiguous(),
        mask=torch.ones(b, t, dtype=torch.bool),
    )
    return tokens.to(device)


def _flat(fields: Tokens | Output) -> tuple[Tensor, ...]:
    return tuple(getattr(fields, name) for name in fields.__slots__)
