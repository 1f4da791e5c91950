"""The options of `gpo train`, and the configurations that they stand for."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from models.devices import device_argument
from models.networks import ARCHITECTURES, PUBLISHED, RESIDUAL, NetworkConfig
from models.splits import SplitConfig
from models.trainer import TrainConfig

ARCH_NAMES = {"residual": RESIDUAL, "published": PUBLISHED}
# The rate of the released recipe, and the published one.
RATES = {RESIDUAL: 8e-4, PUBLISHED: 3e-4}
PAPER_SHARES = (0.4, 0.6, 0.8)
PAPER_VALIDATION = 0.05


def parser(summary: str) -> argparse.ArgumentParser:
    """The command line of `gpo train`."""
    found = argparse.ArgumentParser(
        prog="gpo train", description=summary, epilog="A guide with examples: docs/training.md"
    )
    _add_places(found.add_argument_group("data and places"))
    _add_model(found.add_argument_group("module"))
    _add_run(found.add_argument_group("run"))
    _add_machine(found.add_argument_group("machine"))
    return found


def network_config(args: argparse.Namespace, embedding_dim: int) -> NetworkConfig:
    """The sizes that were asked for; what was not asked for is as published or released."""
    asked = {"d_model": args.d_model, "layers": args.layers}
    sizes = {name: value for name, value in asked.items() if value is not None}
    return ARCHITECTURES[ARCH_NAMES[args.arch]](embedding_dim=embedding_dim, **sizes)


def train_config(args: argparse.Namespace) -> TrainConfig:
    """How long, how fast and when to stop."""
    rate = args.learning_rate or RATES[ARCH_NAMES[args.arch]]
    return TrainConfig(
        seed=args.seed,
        steps=args.steps,
        batch=args.batch,
        learning_rate=rate,
        patience=args.patience,
        robust=args.robust,
        device=args.device,
    )


def split_config(args: argparse.Namespace) -> SplitConfig:
    """What is held out; with `--paper` groups alone, as published."""
    split = SplitConfig(seed=args.split_seed)
    if args.paper is None:
        return split
    return replace(
        split,
        test_groups=round(1 - args.paper - PAPER_VALIDATION, 6),
        validation_groups=PAPER_VALIDATION,
        test_questions=0.0,
        validation_questions=0.0,
    )


def _add_places(group: Any) -> None:
    group.add_argument(
        "--data",
        type=Path,
        required=True,
        help="folder of preference files, .jsonl or .csv, also with .gz (docs/data.md)",
    )
    group.add_argument("--out", type=Path, required=True, help="folder of the new checkpoint")
    group.add_argument(
        "--run", type=Path, help="folder of the state that a stopped run goes on from (runs/NAME)"
    )
    group.add_argument("--notes", type=Path, help="JSON with name, limits and data licences")
    group.add_argument(
        "--cache", type=Path, help="folder for vectors, so that a text is embedded once"
    )
    group.add_argument(
        "--llm-prior",
        metavar="MODEL",
        help="path or hub name of a language model with a chat template: fit how much its own "
        "answers count where GPO_PRIOR is llm or both (docs/llm-prior.md)",
    )


def _add_model(group: Any) -> None:
    group.add_argument(
        "--arch",
        choices=list(ARCH_NAMES),
        default="residual",
        help="residual: this project's module; published: TNP-D with a Gaussian loss (residual)",
    )
    group.add_argument(
        "--init",
        metavar="released|PATH",
        help="start from the weights of this checkpoint; its embedder and sizes must be the same",
    )
    group.add_argument(
        "--embedder", default="minilm", help="minilm | st:NAME | hf:NAME[#layer=K] (minilm)"
    )
    group.add_argument(
        "--bank",
        choices=("all", "train"),
        default="all",
        help="whose figures the checkpoint serves with: every group and question of the data, or "
        "only those of the training; what is held out of the weights stays so, and "
        "`gpo evaluate` always fits the bank on the training part (all)",
    )
    group.add_argument(
        "--d-model", type=_count, help="width of the network (128, or that of --init)"
    )
    group.add_argument(
        "--layers", type=_count, help="layers (residual 2, published 6, or those of --init)"
    )


def _add_run(group: Any) -> None:
    plain = TrainConfig()
    group.add_argument(
        "--steps", type=_count, default=plain.steps, help=f"updates at most ({plain.steps})"
    )
    group.add_argument(
        "--batch",
        type=_count,
        default=plain.batch,
        help=f"groups in a step, over all processes ({plain.batch})",
    )
    group.add_argument(
        "--learning-rate",
        type=_positive,
        help="highest learning rate, after a warm-up and before a cosine decay "
        f"(residual {RATES[RESIDUAL]:g}, published {RATES[PUBLISHED]:g})",
    )
    group.add_argument(
        "--patience",
        type=_count,
        default=plain.patience,
        help=f"stop after so many validations, each {plain.evaluate_every} steps, without a "
        f"better one ({plain.patience})",
    )
    group.add_argument(
        "--robust",
        type=_not_negative,
        default=plain.robust,
        metavar="ETA",
        help="group-robust training: step of the group weights; 0 weighs all alike (0)",
    )
    group.add_argument(
        "--seed", type=int, default=plain.seed, help=f"of weights and episodes ({plain.seed})"
    )
    group.add_argument(
        "--split-seed", type=int, default=0, help="of what is held out for validation and test (0)"
    )
    group.add_argument(
        "--no-leanings",
        dest="leanings",
        action="store_false",
        help="train without invented opinion groups over the rated answers, which teach the "
        "module to follow groups that differ more than the segments of a study do",
    )
    group.add_argument(
        "--paper",
        type=float,
        choices=PAPER_SHARES,
        metavar="SHARE",
        help="the published protocol: this share of the groups for training (0.4, 0.6 or 0.8), "
        "the others for validation (0.05) and test; no question is held out",
    )
    group.add_argument(
        "--no-evaluate",
        dest="evaluate",
        action="store_false",
        help="end with the checkpoint, without the table of `gpo evaluate`",
    )


def _add_machine(group: Any) -> None:
    threads = torch.get_num_threads()
    group.add_argument(
        "--device", type=device_argument, default="cpu", help="auto, cpu, cuda or cuda:N (cpu)"
    )
    group.add_argument(
        "--threads", type=_count, default=threads, help=f"CPU threads of a process ({threads})"
    )


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return value


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def _not_negative(text: str) -> float:
    value = float(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not 0 or more")
    return value
