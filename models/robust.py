"""Group-robust training: groups that are predicted worse count for more.

Group Robust Preference Optimization (Ramesh and others, 2024): after each step the weight of every
group in it is multiplied by exp(eta * its loss). Knows no network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from models.domains import Domain
from models.splits import Part


class GroupWeights:
    """A weight for each training group of each corpus, with a mean of 1 in the corpus.

    Within a corpus only: the losses of a survey and of ratings are not of one scale, and a batch
    is of one corpus. eta = 0 leaves every weight at 1.
    """

    def __init__(self, domains: Sequence[Domain], eta: float) -> None:
        self.eta = eta
        self._groups = {d.corpus.name: d.groups(Part.TRAIN).tolist() for d in domains}
        self._logs = {c: dict.fromkeys(groups, 0.0) for c, groups in self._groups.items()}

    def of(self, corpus: str, groups: Sequence[int]) -> Tensor:
        """The weights (B,) of some groups of a corpus."""
        weights = self._weights(corpus)
        return torch.tensor([weights[g] for g in groups])

    def update(self, corpus: str, groups: Sequence[int], losses: Sequence[float]) -> None:
        """Raise the weight of groups by their loss for each item; one may occur several times."""
        for group, loss in zip(groups, losses, strict=True):
            self._logs[corpus][group] += self.eta * loss

    def state(self) -> dict[str, list[float]]:
        """The logarithms by corpus, as JSON can hold them."""
        return {c: [logs[g] for g in self._groups[c]] for c, logs in self._logs.items()}

    def load(self, state: Mapping[str, Sequence[float]]) -> None:
        """Continue from `state`."""
        for corpus, logs in state.items():
            self._logs[corpus] = dict(zip(self._groups[corpus], logs, strict=True))

    def _weights(self, corpus: str) -> dict[int, float]:
        groups = self._groups[corpus]
        logs = torch.tensor([self._logs[corpus][g] for g in groups], dtype=torch.float64)
        weights = torch.softmax(logs, 0) * len(groups)
        return dict(zip(groups, weights.tolist(), strict=True))
