"""`gpo evaluate`: a checkpoint against every baseline, on groups and questions it never met.

Owns the command line. The loop is in `models.evaluation`, the tables in `models.report`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from rich.console import Console

from models.checkpoint import CheckpointError
from models.corpora import load_corpora
from models.datasets import DataError
from models.devices import device_argument
from models.embedders import EmbedderError, load_embedder
from models.evaluation import SEEDS, evaluate
from models.held_out import HeldOut, hold_out
from models.report import heading, show, to_markdown
from models.scorer import GPOScorer
from models.splits import SplitConfig


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of `gpo evaluate`; 0 when the table was printed, 2 for bad input."""
    args = _parser().parse_args(argv)
    console, errors = Console(), Console(stderr=True)
    torch.set_num_threads(args.threads)
    try:
        scorer = GPOScorer.load(args.checkpoint, device=args.device)
        embedder = load_embedder(scorer.card.embedder.id, device=args.device)
        if embedder.digest != scorer.card.embedder.digest:
            raise CheckpointError(f"{args.checkpoint} was trained with other vectors")
        split = SplitConfig(**scorer.card.config.get("split", {}))
        corpora = load_corpora(
            args.data, embedder, split, cache=args.cache, progress=True, answers=True
        )
        corpora, notes = hold_out(corpora, scorer.card, held_out=HeldOut(args.held_out))
    except (CheckpointError, DataError, EmbedderError, OSError) as exc:
        errors.print(
            f"gpo evaluate: {exc}", style="red", markup=False, highlight=False, soft_wrap=True
        )
        return 2
    for note in notes:
        errors.print(
            f"gpo evaluate: {note}", style="yellow", markup=False, highlight=False, soft_wrap=True
        )
    rows = evaluate(scorer, corpora, seeds=args.seeds)
    if not rows:
        errors.print(
            f"gpo evaluate: {args.data}: too few groups, questions or rated answers to hold "
            "any out (docs/data.md, Your own data)",
            style="red",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
        return 2
    show(rows, scorer.card, console)
    if args.markdown:
        args.markdown.write_text(f"{heading(scorer.card)}\n\n{to_markdown(rows)}")
    if args.json:
        card = {"name": scorer.card.name, "digest": scorer.card.digest}
        data = {c.name: c.sha256 for c in corpora.corpora}
        report = {"checkpoint": card, "data": data, "rows": [asdict(r) for r in rows]}
        args.json.write_text(json.dumps(report, indent=2, allow_nan=False) + "\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    released = Path(__file__).parent / "released" / "minilm"
    parser = argparse.ArgumentParser(prog="gpo evaluate", description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of preference files")
    parser.add_argument("--checkpoint", type=Path, default=released)
    parser.add_argument(
        "--held-out",
        choices=[h.value for h in HeldOut],
        default=HeldOut.AUTO.value,
        help="what counts as new: all of a file that the checkpoint was not trained on, and of "
        "the others what the training held out (auto); what a training on these files would "
        "hold out (split); every group and question (all)",
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS), help="context draws")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--markdown", type=Path, help="write the table here")
    parser.add_argument("--cache", type=Path, help="folder for vectors")
    parser.add_argument(
        "--device", type=device_argument, default="cpu", help="auto, cpu, cuda or cuda:N"
    )
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
