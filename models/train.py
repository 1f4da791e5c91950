"""`gpo train`: meta-train a module on a folder of preference files, and save a checkpoint.

Owns the steps from files to a checkpoint, the calibration and the card. The loop is in
`models.trainer`, the options are in `models.train_options`.
"""

from __future__ import annotations

import argparse
import datetime
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from models.batches import KINDS, Kind
from models.calibration import Calibration, Errors
from models.checkpoint import Card, CardData, CardEmbedder, CardTraining, CheckpointError
from models.consensus import fit_weight
from models.contenders import Contender
from models.corpora import Corpora, default_cache, load_corpora
from models.datasets import DataError
from models.domains import SMALL_CELL, Domain, build_domains, fit_on_all
from models.embedders import Embedder, EmbedderError, load_embedder
from models.episodes import EpisodeConfig
from models.evaluation import evaluate
from models.gpo import GPO
from models.initial import Initial, load_initial
from models.leanings import with_leanings
from models.llm_answers import LlmAnswers
from models.llm_fit import fit_pool
from models.llm_prior import Fit
from models.networks import arch_of
from models.parallel import Ranks, ranks
from models.prior import PopulationPrior, PriorConfig
from models.published import EvenPrior
from models.report import show
from models.scorer import CONSENSUS, GPOScorer
from models.splits import is_debates
from models.train_options import ARCH_NAMES, network_config, parser, split_config, train_config
from models.trainer import Trainer, TrainResult

RUNS = Path("runs")
EMPTY_BANK = (
    f"the bank stays empty: no group of the surveys has {SMALL_CELL} respondents or more on a "
    "question of the training, so every question will count as new (docs/data.md)"
)


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
    errors = Errors()
    with torch.inference_mode():
        for name, context, targets in trainer.validation:
            output = trainer.network(context, targets)
            ratios = (targets.y - output.mean).abs() / output.std
            for number, kind in enumerate(KINDS):
                for known in (True, False):
                    there = targets.mask & (targets.kind == number)
                    there = there & ((targets.doubt < 1) == known)
                    size = int(name.rsplit("/", 1)[1])
                    errors.add(kind, known=known, size=size, ratios=ratios[there].cpu().numpy())
    return errors.calibration()


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
    if isinstance(trainer.network, GPO):
        trainer.fit_correction()
    info, config = embedder.info, trainer.config
    told = notes.data or {}
    card = Card(
        name=notes.name,
        arch=arch_of(trainer.network),
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
        metrics={
            "validation": _best(result),
            "worst_groups": {w.corpus: asdict(w) for w in trainer.worst_groups()},
        },
        limits=notes.limits,
        created=datetime.datetime.now(datetime.UTC).date().isoformat(),
    )
    known = prior if isinstance(trainer.network, GPO) else EvenPrior()
    return GPOScorer(trainer.network, known, card, calibrate(trainer))


def _best(result: TrainResult) -> dict[str, float]:
    row = min(result.history, key=lambda r: r["loss"])
    return {k: round(v, 5) for k, v in row.items()}


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of `gpo train`; 0 when a checkpoint was saved, 2 for bad input."""
    args = parser(str(__doc__).splitlines()[0]).parse_args(argv)
    errors = Console(stderr=True)
    torch.set_num_threads(args.threads)
    try:
        with ranks(args.device) as group:
            console = Console(quiet=not group.first)
            scorer, corpora = _train(args, group, console)
    except (CheckpointError, DataError, EmbedderError, ValueError, OSError) as exc:
        errors.print(
            f"gpo train: {exc}", style="red", markup=False, highlight=False, soft_wrap=True
        )
        return 2
    if args.evaluate and group.first:
        show(evaluate(scorer, corpora), scorer.card, console)
    return 0


def _train(args: argparse.Namespace, group: Ranks, console: Console) -> tuple[GPOScorer, Corpora]:
    """From the files to a saved checkpoint, which the first of several processes writes.

    What is returned has the bank of the training part, so that it can be evaluated.
    """
    notes, split = Notes.read(args.notes, args.out.name), split_config(args)
    embedder = load_embedder(args.embedder, device=group.device)
    initial = _initial(args, embedder)
    with group.one_after_the_other():
        corpora = load_corpora(
            args.data,
            embedder,
            split,
            cache=args.cache,
            progress=group.first,
            answers=args.evaluate and group.first,
        )
    console.print("fitting the prior …")
    domains, prior = build_domains(corpora.corpora, corpora.vectors, corpora.splits, PriorConfig())
    surveys = any(d.corpus.kind is Kind.SHARE and not d.corpus.statements for d in domains)
    if surveys and not len(prior.bank_item):
        console.print(EMPTY_BANK, style="yellow", highlight=False, soft_wrap=True)
    fit = _fit_llm(args, group, corpora, prior, console)
    trainer = Trainer(
        _met_in_training(domains, args),
        initial.network if initial else network_config(args, embedder.dim),
        EpisodeConfig(),
        train_config(args),
        initial=initial.weights if initial else None,
        origin={"embedder": embedder.digest, "--init": initial.digest if initial else "none"},
        ranks=group,
    )
    run = args.run or RUNS / args.out.name
    if trainer.resume(run):
        console.print(f"resuming at step {trainer.step} from {run}")
    result = trainer.run(run)
    scorer = to_scorer(trainer, result, prior, corpora, embedder, notes)
    if group.first:
        weight = fit_weight(Contender("module", scorer, corpora.corpora, corpora.vectors), corpora)
        told = {"split": asdict(split), "bank": args.bank, CONSENSUS: weight}
        scorer = replace(scorer, card=_with(scorer.card, told, fit))
        served = scorer
        if args.bank == "all" and isinstance(scorer.prior, PopulationPrior):
            console.print("fitting the bank on all groups and questions …")
            whole = fit_on_all(corpora.corpora, corpora.vectors, prior.config)
            served = replace(scorer, prior=whole)
        scorer = replace(scorer, card=served.save(args.out).card)
    console.print(f"{result.steps} steps, {result.stopped}; saved {args.out}")
    _print_worst(trainer, console)
    return scorer, corpora


def _met_in_training(domains: Sequence[Domain], args: argparse.Namespace) -> Sequence[Domain]:
    """The domains that episodes are drawn from.

    Debates tell what is liked, but who likes what in those that the project invented misleads a
    ridge (docs/experiments.md): with `leanings` other groups over the same statements stand in.
    """
    if not args.leanings:
        return domains
    found = with_leanings(domains, seed=args.seed)
    debates = {d.corpus.name for d in domains if is_debates(d.corpus)}
    return [d for d in found if d.corpus.name not in debates]


def _initial(args: argparse.Namespace, embedder: Embedder) -> Initial | None:
    if args.init is None:
        return None
    return load_initial(
        args.init,
        arch=ARCH_NAMES[args.arch],
        embedder=embedder,
        d_model=args.d_model,
        layers=args.layers,
    )


def _print_worst(trainer: Trainer, console: Console) -> None:
    """One line for each corpus: what `--robust` is there to lower."""
    for worst in trainer.worst_groups() if trainer.ranks.first else []:
        console.print(
            f"{worst.corpus}: worst validation group {worst.group}, loss {worst.loss:.4f} "
            f"(mean over the groups {worst.mean:.4f})",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )


def _fit_llm(
    args: argparse.Namespace,
    group: Ranks,
    corpora: Corpora,
    prior: PopulationPrior,
    console: Console,
) -> Fit | None:
    """The weight of the model that `--llm-prior` names, before the training, so it fails early."""
    if args.llm_prior is not None and args.arch == "published":
        raise ValueError("--llm-prior: --arch published has no prior; leave one of them out")
    if args.llm_prior is None or not group.first:
        return None
    answers = LlmAnswers.load(
        args.llm_prior, device=group.device, cache=args.cache or default_cache()
    )
    fit = fit_pool(answers.name, answers.shares, corpora, prior)
    console.print(f"{fit.model}: weight {fit.both.weight:g}, {dict(fit.figures)}", markup=False)
    return fit


def _with(card: Card, told: Mapping[str, Any], fit: Fit | None) -> Card:
    found = {} if fit is None else {"llm_prior": fit.stored()}
    return replace(card, config={**card.config, **told, **found})


if __name__ == "__main__":
    raise SystemExit(main())
