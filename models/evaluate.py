"""`gpo evaluate`: a checkpoint against every baseline, on groups and questions it never met.

Owns the command line. The loop is in `models.evaluation`, the tables in `models.report`, the page
with plots in `models.page`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from rich.console import Console

from models.batches import FloatArray
from models.checkpoint import CheckpointError
from models.compare import load_checked, load_rivals
from models.contenders import Contender
from models.corpora import Corpora, load_corpora
from models.datasets import DataError
from models.devices import device_argument
from models.embedders import Embedder, EmbedderError
from models.evaluation import SEEDS, evaluate
from models.held_out import HeldOut, hold_out, without_held_out
from models.page import ReportError, require_matplotlib, write_report
from models.paper import with_published
from models.regimes import CONTEXTS
from models.report import heading, show, to_markdown
from models.result import Evaluation
from models.scorer import GPOScorer
from models.splits import SplitConfig

TOO_LITTLE = (
    "too few groups, questions or rated answers to hold any out (docs/data.md, Your own data)"
)


@dataclass(frozen=True, slots=True)
class _Loaded:
    """What is measured and on what, before the first task."""

    scorer: GPOScorer
    rivals: list[Contender]
    corpora: Corpora
    notes: list[str]


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of `gpo evaluate`; 0 when the table was printed, 2 for bad input."""
    args = _parser().parse_args(argv)
    console, errors = Console(), Console(stderr=True)
    torch.set_num_threads(args.threads)

    def say(text: str, style: str) -> None:
        errors.print(
            f"gpo evaluate: {text}", style=style, markup=False, highlight=False, soft_wrap=True
        )

    try:
        if args.report:
            require_matplotlib()
        loaded = _load(args)
    except (CheckpointError, DataError, EmbedderError, ReportError, OSError) as exc:
        say(str(exc), "red")
        return 2
    for note in loaded.notes:
        say(note, "yellow")
    rows = evaluate(loaded.scorer, loaded.corpora, seeds=args.seeds, rivals=loaded.rivals)
    if not rows:
        say(f"{args.data}: {TOO_LITTLE}", "red")
        return 2
    card = loaded.scorer.card
    result = Evaluation(
        card=card,
        rows=tuple(with_published(rows, card)),
        data={c.name: c.sha256 for c in loaded.corpora.corpora},
        settings={"seeds": args.seeds, "held_out": args.held_out, "contexts": list(CONTEXTS)},
        rivals={r.name: r.scorer.card for r in loaded.rivals},
        notes=tuple(loaded.notes),
    )
    show(result.rows, card, console)
    _write(result, args, console)
    return 0


def _load(args: argparse.Namespace) -> _Loaded:
    scorer, embedder = load_checked(args.checkpoint, device=args.device)
    split = SplitConfig(**scorer.card.config.get("split", {}))

    def read(embedder: Embedder, *, answers: bool) -> Corpora:
        return load_corpora(
            args.data, embedder, split, cache=args.cache, progress=True, answers=answers
        )

    def vectors(embedder: Embedder) -> tuple[FloatArray, ...]:
        return read(embedder, answers=False).vectors

    corpora, notes = hold_out(
        read(embedder, answers=True), scorer.card, held_out=HeldOut(args.held_out)
    )
    rivals, more = load_rivals(args.compare, scorer.card, corpora, vectors, device=args.device)
    if HeldOut(args.held_out) is not HeldOut.ALL:
        scorer = without_held_out(scorer, corpora)
        rivals = [
            replace(r, scorer=without_held_out(r.scorer, replace(corpora, vectors=r.vectors)))
            for r in rivals
        ]
    return _Loaded(scorer, rivals, corpora, notes + more)


def _write(result: Evaluation, args: argparse.Namespace, console: Console) -> None:
    if args.markdown:
        args.markdown.write_text(f"{heading(result.card)}\n\n{to_markdown(result.rows)}")
    if args.json:
        args.json.write_text(result.to_json())
    if args.report:
        page = write_report(result, args.report)
        console.print(f"report: {page}", markup=False, highlight=False, soft_wrap=True)


def _parser() -> argparse.ArgumentParser:
    released = Path(__file__).parent / "released" / "minilm"
    parser = argparse.ArgumentParser(
        prog="gpo evaluate",
        description=str(__doc__).splitlines()[0],
        epilog="How to read the figures: docs/evaluation.md",
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of preference files")
    parser.add_argument(
        "--checkpoint", type=Path, default=released, help="the module (the released one)"
    )
    parser.add_argument(
        "--compare",
        type=Path,
        nargs="+",
        default=[],
        metavar="CHECKPOINT",
        help="further checkpoints on the same tasks, for instance one of --arch published",
    )
    parser.add_argument(
        "--held-out",
        choices=[h.value for h in HeldOut],
        default=HeldOut.AUTO.value,
        help="what counts as new: all of a file that the checkpoint was not trained on, and of "
        "the others what the training held out (auto); what a training on these files would "
        "hold out (split); every group and question (all)",
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS), help="context draws")
    parser.add_argument(
        "--report", type=Path, metavar="FOLDER", help="write a page with plots, index.html, here"
    )
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
