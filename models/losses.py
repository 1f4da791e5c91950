"""What each architecture learns from, and how its optimiser moves it.

Knows no data and no loop. The validation of every architecture is `item_losses`, whatever it was
trained on, so that they are stopped and compared by one measure.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from models.batches import Tokens
from models.gpo import GPO, RATING, Output
from models.networks import Network
from models.published import gaussian_loss

SCALES_FASTER = 15.0  # learning rate of the ridge's scales, a dozen numbers, over the network's
DISTANCE = 0.5  # weight of the distance beside the divergence, which it is the root of
EASIEST = 0.005  # divergence of the prior below which a batch gains no more weight
SPREAD = 0.02  # weight of the std's own loss beside that of the mean


def item_losses(output: Output, targets: Tokens) -> Tensor:
    """Kullback-Leibler divergence from the truth to the prediction, summed by episode (B,).

    Shares and comparisons: over the options. Ratings: of the Bernoulli rate, weighted n/(n + 20).
    """
    return _divergence(output.log_mean, output.mean, targets)


def prior_losses(targets: Tokens) -> Tensor:
    """`item_losses` of a prediction that repeats the prior (B,)."""
    prior = targets.prior.clamp(1e-6, 1 - 1e-6)
    return _divergence(torch.log(prior), prior, targets)


def _divergence(log_mean: Tensor, mean: Tensor, targets: Tokens) -> Tensor:
    y = targets.y
    gain = torch.xlogy(y, y) - y * log_mean
    rest = torch.xlogy(1 - y, 1 - y) - (1 - y) * torch.log1p(-mean.clamp(max=1 - 1e-5))
    size = torch.where(targets.weight > 0, targets.weight / (targets.weight + 20), 1.0)
    loss = torch.where(targets.kind == RATING, (gain + rest) * size, gain)
    return (loss * targets.mask).sum(1)


def spread_losses(output: Output, targets: Tokens) -> Tensor:
    """Gaussian NLL of the error under the predicted std (B,); the mean does not learn from it."""
    error = (targets.y - output.mean.detach()) / output.std
    return ((torch.log(output.std) + error.square() / 2) * targets.mask).sum(1)


def distance_losses(output: Output, targets: Tokens) -> Tensor:
    """Hellinger distance from the truth to the prediction, summed over the items (B,).

    The alignment of an evaluation is one minus a distance, not minus its square: a question that
    is missed by far anyway should not count for more than many that can be met.
    """
    root = torch.sqrt(output.mean.clamp(min=1e-6)) - torch.sqrt(targets.y.clamp(min=0))
    square = torch.where(targets.kind == RATING, output.mean - targets.y, root).square()
    width = max(targets.item.shape[1], 1)
    item = targets.item.masked_fill(~targets.mask, width)
    total = square.new_zeros(len(square), width + 1).scatter_add(1, item, square)[:, :width]
    # The root of 0 has no slope; items that do not exist add nothing.
    return (torch.sqrt(total / 2 + 1e-6) - 1e-3).sum(1)


def training_losses(network: Network, output: Output, targets: Tokens) -> Tensor:
    """What the optimiser lowers, by episode (B,); their sum is the mean over the batch.

    The residual module: `item_losses`, `distance_losses` and a little of `spread_losses`, over
    the items. The published one: the Gaussian negative log-likelihood, over the tokens.
    """
    if isinstance(network, GPO):
        losses = (
            item_losses(output, targets)
            + DISTANCE * distance_losses(output, targets)
            + SPREAD * spread_losses(output, targets)
        )
        count = targets.items.sum().clamp(min=1)
        # A persona is missed by a hundred times as much as a survey group is, and would be all
        # that counts.
        missed = prior_losses(targets).sum() / count
        return losses / count / torch.sqrt(missed + EASIEST)
    return gaussian_loss(output, targets) / targets.mask.sum().clamp(min=1)


def optimizer(network: Network, *, rate: float, weight_decay: float) -> torch.optim.Optimizer:
    """Adam with decaying weights; each group's `faster` multiplies the learning rate.

    The few scales of the residual module's ridge move faster than the rest. The published module
    has plain Adam.
    """
    scales = set()
    if isinstance(network, GPO):
        scales = {*network.ridge.parameters(), network.shift}
    else:
        weight_decay = 0.0
    rest = [p for p in network.parameters() if p not in scales]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in rest if p.ndim > 1], "weight_decay": weight_decay, "faster": 1.0},
        {"params": [p for p in rest if p.ndim <= 1], "faster": 1.0},
        {"params": [p for p in network.parameters() if p in scales], "faster": SCALES_FASTER},
    ]
    groups = [group for group in groups if group["params"]]
    return torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98), weight_decay=0.0)
