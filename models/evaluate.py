"""`gpo evaluate`: a checkpoint against every baseline, on groups and questions it never met.

Owns the loop over regimes, the table and the JSON. The split is the one in the card.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from rich import box
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from models.batches import FloatArray, Kind
from models.checkpoint import Card, CheckpointError
from models.corpora import Corpora, load_corpora
from models.datasets import DataError
from models.devices import device_argument
from models.embedders import EmbedderError, load_embedder
from models.judges import RatingJudge, SurveyJudge
from models.metrics import Estimate, mean_and_error, uplift
from models.regimes import RatingTask, SurveyTask, rating_tasks, survey_tasks
from models.scorer import GPOScorer, Scored
from models.splits import Part, SplitConfig

SEEDS = (0, 1, 2)
CONTEXTS = (0, 20)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: a predictor in a regime, mean and standard error over the seeds.

    `unit` is alignment (1 is perfect) or uplift of best-of-16 (0 random, 1 oracle). `worst` is
    the lowest mean of a group; `error` needs two seeds. Coverage and width are those of the
    module's 90 % intervals.
    """

    regime: str
    data: str
    predictor: str
    unit: str
    mean: float
    error: float | None
    groups: int
    seeds: tuple[float, ...]
    worst: float | None = None
    coverage: float | None = None
    width: float | None = None


@dataclass(slots=True)
class _Tally:
    """Results of one predictor while they are gathered, by seed and by group."""

    values: dict[int, dict[int, float]]
    inside: list[float]
    widths: list[float]

    def row(self, regime: str, data: str, predictor: str, unit: str) -> Row:
        seeds = tuple(float(np.mean(list(v.values()))) for v in self.values.values())
        groups = sorted({g for v in self.values.values() for g in v})
        per_group = [np.mean([v[g] for v in self.values.values() if g in v]) for g in groups]
        estimate = mean_and_error(seeds)
        return Row(
            regime=regime,
            data=data,
            predictor=predictor,
            unit=unit,
            mean=estimate.mean,
            error=_error(estimate),
            groups=len(groups),
            seeds=seeds,
            worst=float(min(per_group)),
            coverage=float(np.mean(self.inside)) if self.inside else None,
            width=float(np.mean(self.widths)) if self.widths else None,
        )


class _Tallies:
    """Tallies by predictor, in the order in which predictors first appear."""

    def __init__(self) -> None:
        self._found: dict[str, _Tally] = {}

    def add(self, predictor: str, seed: int, group: int, value: float) -> None:
        self._of(predictor).values.setdefault(seed, {})[group] = value

    def intervals(
        self, predictor: str, scored: Iterable[Scored], truth: Iterable[FloatArray]
    ) -> None:
        tally = self._of(predictor)
        for s, t in zip(scored, truth, strict=True):
            tally.inside += ((s.low <= t) & (t <= s.high)).astype(float).tolist()
            tally.widths += (s.high - s.low).tolist()

    def rows(self, regime: str, data: str, unit: str) -> list[Row]:
        rows = [t.row(regime, data, name, unit) for name, t in self._found.items()]
        by_name = {r.predictor: r for r in rows}
        first, last = (by_name.get(_module(n)) for n in (CONTEXTS[0], CONTEXTS[-1]))
        return rows + ([_difference(first, last)] if first and last else [])

    def _of(self, predictor: str) -> _Tally:
        return self._found.setdefault(predictor, _Tally({}, [], []))


def _error(estimate: Estimate) -> float | None:
    return None if math.isnan(estimate.error) else estimate.error


def _module(size: int) -> str:
    return f"module, {size} context questions"


def _difference(first: Row, last: Row) -> Row:
    """What the context is worth: paired by seed."""
    seeds = tuple(b - a for a, b in zip(first.seeds, last.seeds, strict=True))
    estimate = mean_and_error(seeds)
    name = f"gain from {CONTEXTS[-1]} context questions"
    return Row(
        last.regime, last.data, name, last.unit, estimate.mean, _error(estimate), last.groups, seeds
    )


def evaluate(
    scorer: GPOScorer, corpora: Corpora, *, seeds: Sequence[int] = SEEDS, progress: bool = True
) -> list[Row]:
    """All regimes with all predictors. Deterministic for a checkpoint, data and seeds."""
    stages: list[Callable[[], list[Row]]] = []
    for number, corpus in enumerate(corpora.corpora):
        if corpus.kind is Kind.SHARE:
            for part in (Part.TRAIN, Part.TEST):
                stages.append(partial(_survey, scorer, corpora, number, part, seeds))
    if any(c.kind is Kind.RATING for c in corpora.corpora):
        for cross in (False, True):
            stages.append(partial(_ratings, scorer, corpora, cross, seeds))
    return [row for stage in tqdm(stages, unit="regime", disable=not progress) for row in stage()]


def _survey(
    scorer: GPOScorer, corpora: Corpora, number: int, part: Part, seeds: Sequence[int]
) -> list[Row]:
    judge, tallies = SurveyJudge(scorer, corpora, number), _Tallies()
    for seed in seeds:
        tasks = survey_tasks(
            corpora.corpora,
            corpora.splits,
            corpus=number,
            questions=part,
            context=CONTEXTS[-1],
            seed=seed,
        )
        for task in tasks:
            _survey_task(judge, task, seed, part is Part.TRAIN, tallies)
    regime = "B" if part is Part.TRAIN else "C"
    return tallies.rows(regime, corpora.corpora[number].name, "alignment")


def _survey_task(
    judge: SurveyJudge, task: SurveyTask, seed: int, known: bool, tallies: _Tallies
) -> None:
    for name, predict in judge.predictors(known).items():
        tallies.add(name, seed, task.group, judge.alignment(task, predict(task)))
    for size in CONTEXTS:
        scored = judge.module(task, size)
        value = judge.alignment(task, [s.mean for s in scored])
        tallies.add(_module(size), seed, task.group, value)
        tallies.intervals(_module(size), scored, judge.truth(task))


def _ratings(scorer: GPOScorer, corpora: Corpora, cross: bool, seeds: Sequence[int]) -> list[Row]:
    judge, tallies = RatingJudge(scorer, corpora), _Tallies()
    for seed in seeds:
        tasks = rating_tasks(
            corpora.corpora, corpora.splits, cross=cross, context=CONTEXTS[-1], seed=seed
        )
        for task in tasks:
            _rating_task(judge, task, seed, cross, tallies)
    data = "survey context, rated answers" if cross else "rated answers"
    return tallies.rows("X" if cross else "F", data, "uplift")


def _rating_task(
    judge: RatingJudge, task: RatingTask, seed: int, cross: bool, tallies: _Tallies
) -> None:
    rates = judge.rates(task)
    key = task.corpus * 10_000 + task.group
    for name, predict in judge.predictors(in_context=not cross).items():
        tallies.add(name, seed, key, uplift(list(zip(predict(task), rates, strict=True))).mean)
    swapped = f"module, {CONTEXTS[-1]} of another group (swapped)"
    for name, size, swap in [(_module(n), n, False) for n in CONTEXTS] + [
        (swapped, CONTEXTS[-1], True)
    ]:
        scored = judge.module(task, size, swap=swap)
        pairs = [(s.mean, r) for s, r in zip(scored, rates, strict=True)]
        tallies.add(name, seed, key, uplift(pairs).mean)
        if not swap:
            tallies.intervals(name, scored, rates)


REGIMES = {
    "B": "B, known questions, new groups",
    "C": "C, new questions, new groups",
    "F": "F, free text, best of 16, new prompts and groups",
    "X": "X, free text chosen from a survey context",
}
COLUMNS = ("predictor", "score", "± s.e.", "worst", "in 90 %")


def to_tables(rows: Sequence[Row]) -> list[Table]:
    """One table for each regime and data set, narrow enough for a terminal."""
    tables = []
    for regime, data in dict.fromkeys((r.regime, r.data) for r in rows):
        table = Table(title=f"{REGIMES[regime]}: {data}", title_justify="left", box=box.SIMPLE_HEAD)
        for i, column in enumerate(COLUMNS):
            table.add_column(column, justify="right" if i else "left", no_wrap=True)
        for row in rows:
            if (row.regime, row.data) == (regime, data):
                bold = "bold" if row.predictor.startswith(("module", "gain")) else None
                table.add_row(*_cells(row), style=bold)
        tables.append(table)
    return tables


def _cells(row: Row) -> tuple[str, ...]:
    def show(value: float | None, digits: int = 3) -> str:
        return "" if value is None else f"{value:.{digits}f}"

    score = f"{row.mean:+.4f}" if row.predictor.startswith("gain") else f"{row.mean:.4f}"
    return (row.predictor, score, show(row.error, 4), show(row.worst), show(row.coverage))


def to_markdown(rows: Sequence[Row]) -> str:
    """The rows as one Markdown table."""
    columns = ("regime", "data", *COLUMNS)
    lines = ["| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
    lines += ["| " + " | ".join((r.regime, r.data, *_cells(r))) + " |" for r in rows]
    return "\n".join(lines) + "\n"


def heading(card: Card) -> str:
    """Which checkpoint the figures belong to."""
    return f"Checkpoint {card.name}, digest {card.digest}"


def on_other_data(card: Card, corpora: Corpora) -> bool:
    """Whether a file differs from those of the training, or is missing, or new.

    What is held out depends on all the groups and questions, so a part of what is then called
    new may have been in training.
    """
    trained = {(d.name, d.sha256) for d in card.data}
    return trained != {(c.name, c.sha256) for c in corpora.corpora}


def show(rows: Sequence[Row], card: Card, console: Console) -> None:
    """Print the tables and how to read them."""
    console.print(heading(card), highlight=False)
    console.print(
        "B, C: alignment, 1 is perfect. F, X: uplift, 0 is a random choice, 1 the best.\n"
    )
    for table in to_tables(rows):
        console.print(table)


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
        split = SplitConfig(**scorer.card.config["split"])
        corpora = load_corpora(
            args.data, embedder, split, cache=args.cache, progress=True, answers=True
        )
    except (CheckpointError, DataError, EmbedderError, OSError) as exc:
        errors.print(
            f"gpo evaluate: {exc}", style="red", markup=False, highlight=False, soft_wrap=True
        )
        return 2
    if on_other_data(scorer.card, corpora):
        errors.print(
            "gpo evaluate: these are not the files of the training; some of the groups and "
            "questions that count as new may have been in it",
            style="yellow",
            highlight=False,
            soft_wrap=True,
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
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS), help="context draws")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--markdown", type=Path, help="write the table here")
    parser.add_argument("--cache", type=Path, help="folder for vectors")
    parser.add_argument(
        "--device", type=device_argument, default="cpu", help="auto, cpu, cuda or cuda:N"
    )
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    return parser
