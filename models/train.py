"""`gpo train`: meta-train a GPO module on a folder of preference files, and save a checkpoint.

Owns the command line, the calibration and the card. The loop is in `models.trainer`.
"""

from __future__ import annotations

import argparse
import datetime
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from models.batches import KINDS
from models.checkpoint import Card, CardData, CardEmbedder, CardTraining, CheckpointError
from models.corpora import Corpora, load_corpora
from models.datasets import DataError
from models.devices import device_argument
from models.domains import build_domains
from models.embedders import Embedder, EmbedderError, load_embedder
from models.episodes import EpisodeConfig
from models.evaluation import evaluate
from models.gpo import GPOConfig
from models.prior import PopulationPrior, PriorConfig
from models.report import show
from models.scorer import ARCH, Calibration, GPOScorer
from models.splits import SplitConfig
from models.trainer import TrainConfig, Trainer, TrainResult

RUNS = Path("runs")
COVERAGE = 0.9


@dataclass(frozen=True, slots=True)
class Notes:
    """What only a person can say of a checkpoint: its name, its limits, the data's licences."""

    name: str
    limits: tuple[str, ...] = ()
    data: Mapping[str, Mapping[str, str]] | None = None

    @classmethod
    def read(cls, path: Path | None, name: str) -> Notes:
        """From a JSON file with `name`, `limits`, `data: {file: {licence, source}}`."""
        if path is None:
            return cls(name)
        try:
            raw = json.loads(path.read_text())
            return cls(raw.get("name", name), tuple(raw.get("limits", ())), raw.get("data"))
        except (ValueError, AttributeError) as exc:
            raise DataError(f"{path}: {exc}") from exc


def calibrate(trainer: Trainer) -> Calibration:
    """Half widths, in units of the std, that hold 90 % of the validation part's true values."""
    ratios: dict[int, list[float]] = {k: [] for k in range(len(KINDS))}
    with torch.inference_mode():
        for _, context, targets in trainer.validation:
            output = trainer.network(context, targets)
            error = ((targets.y - output.mean).abs() / output.std)[targets.mask]
            for kind, value in zip(
                targets.kind[targets.mask].tolist(), error.tolist(), strict=True
            ):
                ratios[kind].append(value)
    plain = Calibration()
    return Calibration(
        **{
            name: float(np.quantile(ratios[k], COVERAGE)) if ratios[k] else getattr(plain, name)
            for k, name in enumerate(KINDS)
        }
    )


def to_scorer(
    trainer: Trainer,
    result: TrainResult,
    prior: PopulationPrior,
    corpora: Corpora,
    embedder: Embedder,
    notes: Notes,
) -> GPOScorer:
    """The best weights with their prior, calibration and card."""
    trainer.network.load_state_dict(result.weights)
    trainer.network.eval()
    info, config = embedder.info, trainer.config
    told = notes.data or {}
    card = Card(
        name=notes.name,
        arch=ARCH,
        config={},
        embedder=CardEmbedder(
            info.id, info.digest, info.dim, info.template, info.pooling, info.layer
        ),
        data=tuple(
            CardData(
                c.name,
                c.sha256,
                told.get(c.name, {}).get("licence", "not stated"),
                c.rows,
                told.get(c.name, {}).get("source", "not stated"),
            )
            for c in corpora.corpora
        ),
        training=CardTraining((config.seed,), result.steps, result.stopped, round(result.seconds)),
        metrics={"validation": _best(result)},
        limits=notes.limits,
        created=datetime.datetime.now(datetime.UTC).date().isoformat(),
    )
    return GPOScorer(trainer.network, prior, card, calibrate(trainer))


def _best(result: TrainResult) -> dict[str, float]:
    row = min(result.history, key=lambda r: r["loss"])
    return {k: round(v, 5) for k, v in row.items()}


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of `gpo train`; 0 when a checkpoint was saved, 2 for bad input."""
    args = _parser().parse_args(argv)
    console, errors = Console(), Console(stderr=True)
    torch.set_num_threads(args.threads)
    split = SplitConfig(seed=args.split_seed)
    try:
        notes = Notes.read(args.notes, args.out.name)
        embedder = load_embedder(args.embedder, device=args.device)
        corpora = load_corpora(
            args.data, embedder, split, cache=args.cache, progress=True, answers=args.evaluate
        )
        console.print("fitting the prior …")
        domains, prior = build_domains(
            corpora.corpora, corpora.vectors, corpora.splits, PriorConfig()
        )
        trainer = Trainer(domains, _network(args, embedder), EpisodeConfig(), _training(args))
        run = args.run or RUNS / args.out.name
        if trainer.resume(run):
            console.print(f"resuming at step {trainer.step} from {run}")
        result = trainer.run(run)
        scorer = to_scorer(trainer, result, prior, corpora, embedder, notes)
        scorer = scorer.save(args.out, card=_with_split(scorer.card, split))
    except (CheckpointError, DataError, EmbedderError, ValueError, OSError) as exc:
        errors.print(
            f"gpo train: {exc}", style="red", markup=False, highlight=False, soft_wrap=True
        )
        return 2
    console.print(f"{result.steps} steps, {result.stopped}; saved {args.out}")
    if args.evaluate:
        show(evaluate(scorer, corpora), scorer.card, console)
    return 0


def _with_split(card: Card, split: SplitConfig) -> Card:
    return replace(card, config={**card.config, "split": asdict(split)})


def _network(args: argparse.Namespace, embedder: Embedder) -> GPOConfig:
    return GPOConfig(embedding_dim=embedder.dim, d_model=args.d_model, layers=args.layers)


def _training(args: argparse.Namespace) -> TrainConfig:
    return TrainConfig(
        seed=args.seed,
        steps=args.steps,
        batch=args.batch,
        learning_rate=args.learning_rate,
        patience=args.patience,
        device=args.device,
    )


def _parser() -> argparse.ArgumentParser:
    plain: Any = TrainConfig()
    network = GPOConfig()
    parser = argparse.ArgumentParser(prog="gpo train", description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of preference files")
    parser.add_argument("--out", type=Path, required=True, help="folder of the new checkpoint")
    parser.add_argument("--run", type=Path, help="folder of the resumable state (runs/NAME)")
    parser.add_argument("--notes", type=Path, help="JSON with name, limits and data licences")
    parser.add_argument("--embedder", default="minilm", help="minilm | st:NAME | hf:NAME")
    parser.add_argument("--seed", type=int, default=plain.seed)
    parser.add_argument("--split-seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=plain.steps)
    parser.add_argument("--batch", type=int, default=plain.batch, help="episodes in a step")
    parser.add_argument("--learning-rate", type=float, default=plain.learning_rate)
    parser.add_argument("--patience", type=int, default=plain.patience)
    parser.add_argument("--d-model", type=int, default=network.d_model)
    parser.add_argument("--layers", type=int, default=network.layers)
    parser.add_argument("--cache", type=Path, help="folder for vectors")
    parser.add_argument(
        "--device", type=device_argument, default="cpu", help="auto, cpu, cuda or cuda:N"
    )
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--no-evaluate", dest="evaluate", action="store_false")
    return parser
