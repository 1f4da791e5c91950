"""Command line of the small language model: corpus-stats, train, evaluate, export.

Turns arguments into options and calls one stage; the stages know nothing of the command line.
"""

from __future__ import annotations

import argparse
import collections
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from models.opinion_lm.config import CorpusOptions, ModelShape, TrainOptions
from models.opinion_lm.corpus import epoch_cases, load_corpus
from models.opinion_lm.evaluate import EvalOptions, evaluate, summary
from models.opinion_lm.release import CARD, export, hardware, origin, training_facts, write_card
from models.opinion_lm.tokenizer import load_tokenizer
from models.opinion_lm.train import (
    STATE_FILE,
    Progress,
    Trainer,
    corpus_tokenizer,
    load_model,
    new_model,
)

RELEASED = Path(__file__).parent.parent / "released" / "opinion-lm"


def say(text: str) -> None:
    """Write a line to standard output."""
    sys.stdout.write(text + "\n")


def build_parser() -> argparse.ArgumentParser:
    """The parser with its four commands."""
    parser = argparse.ArgumentParser(prog="python -m models.opinion_lm", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--data", type=Path, required=True, help="folder of the training data")
    shared.add_argument("--out", type=Path, default=Path("runs/opinion-lm"), help="run folder")
    shared.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    shared.add_argument("--threads", type=int, default=1)
    released = argparse.ArgumentParser(add_help=False)
    released.add_argument("--released", type=Path, default=RELEASED, help="released folder")
    commands.add_parser("corpus-stats", parents=[shared], help="count cases by kind and the split")
    train = commands.add_parser("train", parents=[shared], help="run one stage of training")
    train.add_argument("--minutes", type=float, default=60.0, help="stop and save after this time")
    train.add_argument("--resume", action="store_true", help="go on from the run folder's state")
    train.add_argument("--init", type=Path, help="start from released weights")
    train.add_argument("--decay-steps", type=int, default=0, help="bring the rate to zero and end")
    train.add_argument("--stable-steps", type=int, default=0, help="steps before the decay")
    train.add_argument("--lr", type=float, default=TrainOptions().matrix_lr)
    train.add_argument("--compile", action="store_true")
    commands.add_parser("export", parents=[shared, released], help="write the run's weights")
    evaluate = commands.add_parser(
        "evaluate", parents=[shared, released], help="measure the released folder and fill its card"
    )
    evaluate.add_argument("--answers", type=Path, help="default: the answers logged in --out")
    return parser


def corpus_stats(args: argparse.Namespace) -> None:
    """Print how many cases and answers of each kind one epoch holds, and what is held out."""
    corpus = load_corpus(args.data, CorpusOptions())
    cases, answers = collections.Counter[str](), collections.Counter[str]()
    for case in epoch_cases(corpus, 0):
        cases[case.kind] += 1
        answers[case.kind] += len(case.answers)
    for kind, count in cases.most_common():
        say(f"{kind:20} {count:6} prompts {answers[kind]:7} answers")
    say(
        f"held out: {len(corpus.held_prompts)} prompts, {len(corpus.held_surveys)} survey "
        f"questions, {len(corpus.held_topics)} topics"
    )


def train(args: argparse.Namespace) -> None:
    """Run one stage; the tokenizer is fitted once and kept in the run folder."""
    torch.set_num_threads(args.threads)
    options = TrainOptions(
        device=args.device,
        stable_steps=args.stable_steps,
        decay_steps=args.decay_steps,
        matrix_lr=args.lr,
    )
    torch.manual_seed(options.seed)
    corpus, shape = load_corpus(args.data, CorpusOptions()), ModelShape()
    folder = args.out / "tokenizer"
    if args.init:
        load_tokenizer(args.init).save_pretrained(folder)
    elif not folder.exists():
        corpus_tokenizer(corpus, shape.vocab_size).save_pretrained(folder)
    tokenizer = load_tokenizer(folder)
    model = load_model(args.init) if args.init else new_model(shape, tokenizer)
    trainer = Trainer(model, tokenizer, corpus, options, args.out)
    if args.resume and (args.out / STATE_FILE).exists():
        trainer.resume()
    elif args.init:
        trainer.progress.origin = origin(args.init)
        trainer.progress.epoch = trainer.progress.origin["epochs_begun"]
    if args.compile:
        trainer.compile()
    ended = trainer.run(minutes=args.minutes)
    say(f"step {trainer.progress.step}, {'decay ended' if ended else 'state saved'}")


def export_run(args: argparse.Namespace) -> None:
    """Write the run's present weights into the released folder, with a card of the training."""
    tokenizer = load_tokenizer(args.out / "tokenizer")
    corpus = CorpusOptions()
    model = new_model(ModelShape(), tokenizer)
    state = torch.load(args.out / STATE_FILE, map_location="cpu", weights_only=True)
    model.load_state_dict(state["model"])
    export(model, tokenizer, args.released)
    facts = training_facts(
        model,
        Progress(**state["progress"]),
        TrainOptions(**state.get("options", {})),
        corpus,
        hardware=hardware(args.threads, args.device),
    )
    write_card(args.released, facts)


def measure(args: argparse.Namespace) -> None:
    """Evaluate the released folder on the held-out part and write the figures into its card."""
    torch.set_num_threads(args.threads)
    corpus = load_corpus(args.data, CorpusOptions())
    answers = args.answers or args.out / "answers"
    epochs = json.loads((args.released / CARD).read_text("utf-8"))["training"]["epochs_begun"]
    metrics = evaluate(corpus, args.released, answers, epochs, EvalOptions(device=args.device))
    write_card(args.released, {"metrics": metrics})
    say(summary(metrics))


def main(argv: Sequence[str] | None = None) -> None:
    """Parse and run one command."""
    args = build_parser().parse_args(argv)
    run = {"corpus-stats": corpus_stats, "train": train, "export": export_run, "evaluate": measure}
    run[args.command](args)


if __name__ == "__main__":
    main()
