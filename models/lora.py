"""Low-rank updates of an embedder's weights: what a tuning learns and a checkpoint carries.

After Hu and others, "LoRA" (ICLR 2022, arXiv 2106.09685): a linear map W becomes W + SCALE b a,
with a (r, in) and b (out, r). Knows no data and no loss.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SCALE = 2.0


class LowRank(nn.Module):
    """A frozen linear map and its update, which starts at zero."""

    def __init__(self, linear: nn.Linear, rank: int) -> None:
        super().__init__()
        self.linear = linear.requires_grad_(False)
        wide = torch.randn(rank, linear.in_features) / math.sqrt(linear.in_features)
        self.a = nn.Parameter(wide)
        self.b = nn.Parameter(torch.zeros(linear.out_features, rank))

    def forward(self, x: Tensor) -> Tensor:
        """W x + SCALE b a x, for x (..., in)."""
        out: Tensor = self.linear(x)
        return out + SCALE * F.linear(F.linear(x, self.a), self.b)


def attach(layers: nn.Module, rank: int) -> list[nn.Parameter]:
    """Give every linear map inside `layers` an update; the parameters to be trained."""
    for parameter in layers.parameters():
        parameter.requires_grad_(False)
    found: list[nn.Parameter] = []
    for module in list(layers.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Linear) and not isinstance(module, LowRank):
                low = LowRank(child, rank)
                setattr(module, name, low)
                found += [low.a, low.b]
    return found


def updates(network: nn.Module) -> dict[str, Tensor]:
    """The updates inside a network by the name of their linear map, `NAME.a` and `NAME.b`."""
    return {
        f"{name}.{part}": getattr(module, part).detach().clone()
        for name, module in network.named_modules()
        if isinstance(module, LowRank)
        for part in ("a", "b")
    }


def merge(network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Add updates to a plain network's weights, so that it costs nothing to use them.

    Raises ValueError for a name or a shape that the network does not have.
    """
    for name in sorted({key.rpartition(".")[0] for key in tensors}):
        try:
            linear = network.get_submodule(name)
            a, b = tensors[f"{name}.a"].float(), tensors[f"{name}.b"].float()
            with torch.no_grad():
                weight: Tensor = linear.weight  # type: ignore[assignment]
                weight.add_((SCALE * b @ a).to(weight))
        except (AttributeError, KeyError, RuntimeError, TypeError) as exc:
            raise ValueError(f"the update of {name!r} does not fit the embedder: {exc}") from exc
