"""The training run of a GPO module: the loss, the loop, early stopping, and resume after a kill.

Its state on disk is safetensors and JSON. Knows no files of preferences and no embedder.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from tqdm import tqdm

from models.batches import Tokens, collate
from models.domains import Domain
from models.episodes import Episode, EpisodeConfig, EpisodeSampler
from models.gpo import GPO, RATING, GPOConfig, Output
from models.splits import Part

EVALUATION_CONTEXTS = (0, 5, 20)
SCALES_FASTER = 15.0  # learning rate of the ridge's scales, a dozen numbers, over the network's


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """How long, how fast and when to stop. `patience` counts evaluations without a better one."""

    seed: int = 0
    steps: int = 3_000
    batch: int = 8
    learning_rate: float = 8e-4
    warmup: int = 200
    weight_decay: float = 0.05
    spread_weight: float = 0.02
    evaluate_every: int = 150
    patience: int = 20
    device: str = "cpu"


@dataclass(frozen=True, slots=True)
class TrainResult:
    """The best weights on validation, the steps and seconds taken, and why training ended."""

    weights: dict[str, Tensor]
    steps: int
    seconds: float
    stopped: str
    history: list[dict[str, float]]


def item_loss(output: Output, targets: Tokens) -> Tensor:
    """Kullback-Leibler divergence from the truth to the prediction, summed over items.

    Shares and comparisons: over the options. Ratings: of the Bernoulli rate, weighted n/(n + 20).
    """
    y = targets.y
    gain = torch.xlogy(y, y) - y * output.log_mean
    rest = torch.xlogy(1 - y, 1 - y) - (1 - y) * torch.log1p(-output.mean.clamp(max=1 - 1e-5))
    size = torch.where(targets.weight > 0, targets.weight / (targets.weight + 20), 1.0)
    loss = torch.where(targets.kind == RATING, (gain + rest) * size, gain)
    return (loss * targets.mask).sum()


def spread_loss(output: Output, targets: Tokens) -> Tensor:
    """Gaussian NLL of the error under the predicted std; the mean does not learn from it."""
    error = (targets.y - output.mean.detach()) / output.std
    return ((torch.log(output.std) + error.square() / 2) * targets.mask).sum()


def count_items(targets: Tokens) -> int:
    """Items in a batch, over all episodes."""
    last = torch.where(targets.mask, targets.item, -1)
    return int((last.amax(1) + 1).sum()) if last.numel() else 0


class Trainer:
    """One run: network, optimiser, sampler and their state, which a killed run resumes from."""

    def __init__(
        self,
        domains: Sequence[Domain],
        network: GPOConfig,
        episodes: EpisodeConfig,
        config: TrainConfig,
    ) -> None:
        torch.manual_seed(config.seed)
        self.config = config
        self.data = {d.corpus.name: _fingerprint(d) for d in domains}
        self.device = torch.device(config.device)
        self.network = GPO(network).to(self.device)
        self.rng = np.random.default_rng(config.seed)
        self.sampler = EpisodeSampler(domains, episodes, self.rng)
        self.optimizer = self._optimizer()
        self.validation = self._validation_set(domains, episodes)
        self.step, self.stale, self.seconds = 0, 0, 0.0
        self.best: dict[str, Tensor] = {}
        self.best_loss = math.inf
        self.history: list[dict[str, float]] = []

    def run(self, folder: Path | None = None, *, progress: bool = True) -> TrainResult:
        """Train to the end, or to the early stop; the state goes to `folder` as it goes."""
        started = time.monotonic() - self.seconds
        batches = self.sampler.batches(self.config.batch)
        bar = tqdm(total=self.config.steps, initial=self.step, unit="step", disable=not progress)
        while self.step < self.config.steps and self.stale < self.config.patience:
            loss = self._update(next(batches))
            bar.update()
            if self.step % self.config.evaluate_every == 0 or self.step == self.config.steps:
                row = self._evaluate(loss)
                self.seconds = time.monotonic() - started
                bar.set_postfix(validation=f"{row['loss']:+.4f}", best=f"{self.best_loss:+.4f}")
                if folder is not None:
                    self.save(folder)
        bar.close()
        stopped = "all steps done" if self.step >= self.config.steps else "early stop on validation"
        return TrainResult(self.best, self.step, self.seconds, stopped, self.history)

    def _update(self, episodes: list[Episode]) -> float:
        rate = self._learning_rate()
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["faster"]
        self.network.train()
        context, targets = self._tensors(episodes)
        output = self.network(context, targets)
        items = max(count_items(targets), 1)
        loss = item_loss(output, targets) / items
        total = loss + self.config.spread_weight * spread_loss(output, targets) / items
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        return float(loss.detach())

    def _optimizer(self) -> torch.optim.Optimizer:
        """AdamW; weights decay, and the few scales of the ridge move faster than the rest."""
        scales = {*self.network.ridge.parameters(), self.network.ridge_weight}
        rest = [p for p in self.network.parameters() if p not in scales]
        groups: list[dict[str, Any]] = [
            {
                "params": [p for p in rest if p.ndim > 1],
                "weight_decay": self.config.weight_decay,
                "faster": 1.0,
            },
            {"params": [p for p in rest if p.ndim <= 1], "faster": 1.0},
            {
                "params": [p for p in self.network.parameters() if p in scales],
                "faster": SCALES_FASTER,
            },
        ]
        rate = self.config.learning_rate
        return torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98), weight_decay=0.0)

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

    def _validation_set(
        self, domains: Sequence[Domain], config: EpisodeConfig
    ) -> list[tuple[str, Tokens, Tokens]]:
        """New groups on questions of the training, and new groups on new questions."""
        sampler = EpisodeSampler(domains, config, np.random.default_rng(10_007))
        found = []
        for domain in domains:
            for questions in (Part.TRAIN, Part.VALIDATION):
                for size in EVALUATION_CONTEXTS:
                    episodes = sampler.batch(
                        24, domain, size, groups=Part.VALIDATION, questions=questions
                    )
                    name = f"{domain.corpus.name}/{questions.name.lower()}/{size}"
                    found.append((name, *self._tensors(episodes)))
        return found

    @torch.inference_mode()
    def _evaluate(self, training_loss: float) -> dict[str, float]:
        """Validation loss of each part, relative to that of the prior (0: no better than it)."""
        self.network.eval()
        row = {"step": float(self.step), "training": training_loss}
        for name, context, targets in self.validation:
            items = count_items(targets)
            loss = item_loss(self.network(context, targets), targets) / items
            # Without a context the network answers with the prior.
            prior = item_loss(self.network(_nothing(context), targets), targets) / items
            row[name] = float(loss / prior) - 1
        row["loss"] = float(np.mean([v for k, v in row.items() if "/" in k]))
        self.history.append(row)
        if row["loss"] < self.best_loss:
            self.best_loss, self.stale = row["loss"], 0
            self.best = {k: v.detach().cpu().clone() for k, v in self.network.state_dict().items()}
        else:
            self.stale += 1
        return row

    def save(self, folder: Path) -> None:
        """Write the whole state; the JSON comes last, so a kill leaves the older state valid."""
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {f"network.{k}": v for k, v in self.network.state_dict().items()}
        tensors |= {f"best.{k}": v for k, v in self.best.items()}
        for number, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{number}.{k}": torch.as_tensor(v) for k, v in state.items()}
        tensors["torch_rng"] = torch.get_rng_state()
        name = f"state-{self.step}.safetensors"
        save_file({k: v.contiguous().cpu() for k, v in tensors.items()}, folder / name)
        state = {
            "file": name,
            "step": self.step,
            "stale": self.stale,
            "seconds": self.seconds,
            "best_loss": self.best_loss,
            "history": self.history,
            "numpy_rng": self.rng.bit_generator.state,
            "config": asdict(self.config),
            "network": asdict(self.network.config),
            "data": self.data,
        }
        partial = folder / "state.json.part"
        partial.write_text(json.dumps(state))
        partial.replace(folder / "state.json")
        for old in folder.glob("state-*.safetensors"):
            if old.name != name:
                old.unlink()

    def resume(self, folder: Path) -> bool:
        """Continue from a saved state; False if there is none.

        Raises ValueError when it belongs to a run with other settings, other data or another split:
        its weights may have seen what is held out here.
        """
        if not (folder / "state.json").exists():
            return False
        state: dict[str, Any] = json.loads((folder / "state.json").read_text())
        for key, mine in (
            ("config", asdict(self.config)),
            ("network", asdict(self.network.config)),
        ):
            theirs = {
                k: v for k, v in state[key].items() if k not in ("device", "steps", "patience")
            }
            if theirs != {k: v for k, v in mine.items() if k in theirs}:
                raise ValueError(f"{folder} holds a run with another {key}; choose another --out")
        if state.get("data") != self.data:
            raise ValueError(
                f"{folder} holds a run on other data or another split; use another --out"
            )
        tensors = load_file(folder / state["file"])
        part: dict[str, dict[str, Tensor]] = {"network": {}, "best": {}, "optimizer": {}}
        for name, tensor in tensors.items():
            head, _, rest = name.partition(".")
            if head in part:
                part[head][rest] = tensor
        self.network.load_state_dict(part["network"])
        self.best = part["best"]
        optimizer = self.optimizer.state_dict()
        for name, tensor in part["optimizer"].items():
            number, _, key = name.partition(".")
            optimizer["state"].setdefault(int(number), {})[key] = tensor
        self.optimizer.load_state_dict(optimizer)
        torch.set_rng_state(tensors["torch_rng"])
        self.rng.bit_generator.state = state["numpy_rng"]
        self.step, self.stale, self.seconds = state["step"], state["stale"], state["seconds"]
        self.best_loss, self.history = state["best_loss"], state["history"]
        return True


def _fingerprint(domain: Domain) -> str:
    """Digest of a corpus's file and of its split."""
    split = domain.split.groups.tobytes() + domain.split.items.tobytes()
    return hashlib.sha256(domain.corpus.sha256.encode() + split).hexdigest()


def _nothing(context: Tokens) -> Tokens:
    """The same contexts with every token masked out."""
    blank = torch.zeros_like(context.mask)
    return Tokens(*(getattr(context, n) if n != "mask" else blank for n in Tokens.__slots__))
