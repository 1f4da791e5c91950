"""The training run of a module: the loop, early stopping, and resume after a kill.

Every architecture runs through it alike. Knows no files of preferences and no embedder.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

from models.batches import Tokens, collate
from models.domains import Domain
from models.episodes import Episode, EpisodeConfig, EpisodeSampler
from models.gpo import GPO, Output
from models.losses import item_losses, optimizer, prior_losses, training_losses
from models.networks import NetworkConfig, build
from models.parallel import Ranks
from models.robust import GroupWeights
from models.run_state import fingerprint, load_state, save_state
from models.validation import group_episodes, require_training_data, validation_episodes

FACTORS = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """How long, how fast and when to stop. `patience` counts evaluations without a better one.

    `robust` is the step of the group weights, 0 for none.
    """

    seed: int = 0
    steps: int = 3_000
    batch: int = 8
    learning_rate: float = 8e-4
    warmup: int = 200
    weight_decay: float = 0.05
    evaluate_every: int = 150
    patience: int = 20
    robust: float = 0.0
    device: str = "cpu"


@dataclass(frozen=True, slots=True)
class TrainResult:
    """The best weights on validation, the steps and seconds taken, and why training ended."""

    weights: dict[str, Tensor]
    steps: int
    seconds: float
    stopped: str
    history: list[dict[str, float]]


@dataclass(frozen=True, slots=True)
class Worst:
    """The validation group of a corpus with the highest loss, and the mean over all of them."""

    corpus: str
    group: str
    loss: float
    mean: float


class Trainer:
    """One run: network, optimiser, sampler and their state, which a killed run resumes from.

    `initial` weights take the place of random ones. `origin` names what else must be the same for
    a run to go on, the embedder's digest for example.
    """

    def __init__(
        self,
        domains: Sequence[Domain],
        network: NetworkConfig,
        episodes: EpisodeConfig,
        config: TrainConfig,
        *,
        initial: Mapping[str, Tensor] | None = None,
        origin: Mapping[str, str] | None = None,
        ranks: Ranks | None = None,
    ) -> None:
        require_training_data(domains)
        torch.manual_seed(config.seed)
        self.config = config
        self.ranks = ranks or Ranks(device=config.device)
        self.origin = origin or {}
        self.data = {d.corpus.name: fingerprint(d) for d in domains}
        self.device = torch.device(self.ranks.device)
        self.network = build(network).to(self.device)
        self.started_from_weights = initial is not None
        if initial is not None:
            self.network.load_state_dict(dict(initial))
        number = self.ranks.number
        if number:
            # Each process draws its own episodes and drops its own units.
            torch.manual_seed(config.seed + 1_000_003 * number)
        self.rng = np.random.default_rng([config.seed, number] if number else config.seed)
        self.sampler = EpisodeSampler(domains, episodes, self.rng)
        self.weights = GroupWeights(domains, config.robust)
        self.optimizer = optimizer(
            self.network, rate=config.learning_rate, weight_decay=config.weight_decay
        )
        self.validation = [
            (name, *self._tensors(drawn)) for name, drawn in validation_episodes(domains, episodes)
        ]
        self._by_group = group_episodes(domains, episodes)
        self.step, self.stale, self.seconds = 0, 0, 0.0
        self.best: dict[str, Tensor] = {}
        self.best_loss = math.inf
        self.history: list[dict[str, float]] = []

    def run(self, folder: Path | None = None, *, progress: bool = True) -> TrainResult:
        """Train to the end, or to the early stop; the state goes to `folder` as it goes."""
        config, started = self.config, time.monotonic() - self.seconds
        network = self._in_parallel()
        batches = self.sampler.batches(self.ranks.portion(config.batch))
        hidden = not progress or not self.ranks.first
        bar = tqdm(total=config.steps, initial=self.step, unit="step", disable=hidden)
        if self.started_from_weights and not self.history:
            self._evaluate(0.0)
        while self.step < config.steps and self.stale < config.patience:
            loss = self._update(next(batches), network)
            bar.update()
            if self.step % config.evaluate_every == 0 or self.step == config.steps:
                row = self._evaluate(loss)
                self.seconds = time.monotonic() - started
                bar.set_postfix(validation=f"{row['loss']:+.4f}", best=f"{self.best_loss:+.4f}")
                if folder is not None:
                    self.save(folder)
        bar.close()
        stopped = "all steps done" if self.step >= config.steps else "early stop on validation"
        return TrainResult(self.best, self.step, self.seconds, stopped, self.history)

    def save(self, folder: Path) -> None:
        """Write the whole state to a folder."""
        save_state(self, folder)

    def resume(self, folder: Path) -> bool:
        """Continue from a saved state; False if there is none. Raises ValueError for another's."""
        return load_state(self, folder)

    @torch.inference_mode()
    def worst_groups(self) -> list[Worst]:
        """By corpus, the validation group that the network predicts worst, with its loss an item.

        With twenty items of context, on the questions of the training.
        """
        self.network.eval()
        losses: dict[str, dict[str, float]] = {}
        for corpus, group, episodes in self._by_group:
            context, targets = self._tensors(episodes)
            total = item_losses(self.network(context, targets), targets).sum()
            mean = float(total) / max(int(targets.items.sum()), 1)
            losses.setdefault(corpus, {})[group] = mean
        found = []
        for corpus, by_group in losses.items():
            worst = max(by_group, key=by_group.__getitem__)
            mean = float(np.mean(list(by_group.values())))
            found.append(Worst(corpus, worst, by_group[worst], mean))
        return found

    def fit_correction(self) -> None:
        """Let the network's correction count as far as it helps held-out groups.

        By kind, for new and for known questions; each factor is the best of FACTORS on the
        validation, the others as they are.
        """
        assert isinstance(self.network, GPO)
        factors = self.network.correction
        for cell in itertools.product(*map(range, factors.shape)):
            found = []
            for factor in FACTORS:
                factors[cell] = factor
                found.append((self._measure(0.0)["loss"], factor))
            # Of equal ones, as where no item is of that kind, the largest.
            factors[cell] = min(found, key=lambda pair: (round(pair[0], 6), -pair[1]))[1]

    def _in_parallel(self) -> nn.Module:
        """The network, or several processes' copies of it that learn from each other's batches."""
        if self.ranks.size == 1:
            return self.network
        # Not every batch uses every parameter: an empty context needs no ridge.
        return DistributedDataParallel(self.network, find_unused_parameters=True)

    def _update(self, episodes: list[Episode], network: nn.Module | None = None) -> float:
        rate = self._learning_rate()
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["faster"]
        self.network.train()
        context, targets = self._tensors(episodes)
        output: Output = (network or self.network)(context, targets)
        losses = training_losses(self.network, output, targets)
        if self.config.robust:
            losses = losses * self._group_weights(episodes, output, targets)
        self.optimizer.zero_grad(set_to_none=True)
        losses.sum().backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        with torch.inference_mode():
            total = item_losses(output, targets).sum()
        return float(total) / max(int(targets.items.sum()), 1)

    def _group_weights(self, episodes: list[Episode], output: Output, targets: Tokens) -> Tensor:
        """The weights (B,) of the episodes' groups, after they have learned from this batch."""
        corpus, groups = episodes[0].corpus, [e.group for e in episodes]
        with torch.no_grad():
            losses = item_losses(output, targets) / targets.items.clamp(min=1)
        for found in self.ranks.gather((corpus, groups, losses.tolist())):
            self.weights.update(*found)
        return self.weights.of(corpus, groups).to(self.device)

    def _learning_rate(self) -> float:
        config = self.config
        if self.step < config.warmup:
            return config.learning_rate * (self.step + 1) / config.warmup
        done = (self.step - config.warmup) / max(config.steps - config.warmup, 1)
        return config.learning_rate * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(done, 1.0))))

    def _tensors(self, episodes: Sequence[Episode]) -> tuple[Tokens, Tokens]:
        dim = self.network.config.embedding_dim
        context = collate([e.context for e in episodes], dim=dim).to(self.device)
        return context, collate([e.targets for e in episodes], dim=dim).to(self.device)

    def _evaluate(self, training_loss: float) -> dict[str, float]:
        """Measure in the first process; in all of them keep the best weights and count."""
        row = self._measure(training_loss) if self.ranks.first else {}
        row = self.ranks.share(row)
        self.history.append(row)
        if row["loss"] < self.best_loss:
            self.best_loss, self.stale = row["loss"], 0
            self.best = {k: v.detach().cpu().clone() for k, v in self.network.state_dict().items()}
        else:
            self.stale += 1
        return row

    @torch.inference_mode()
    def _measure(self, training_loss: float) -> dict[str, float]:
        """Validation loss of each part, relative to that of the prior (0: no better than it)."""
        self.network.eval()
        row = {"step": float(self.step), "training": training_loss}
        for name, context, targets in self.validation:
            loss = item_losses(self.network(context, targets), targets).sum()
            row[name] = float(loss / prior_losses(targets).sum().clamp(min=1e-6)) - 1
        row["loss"] = float(np.mean([v for k, v in row.items() if "/" in k]))
        return row
