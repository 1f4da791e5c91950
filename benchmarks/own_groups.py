"""What registering groups is worth: accuracy for a new group against the number of own groups.

Training groups of a survey are put one after the other into a bank of own groups, with no released
figures beside it; groups that the checkpoint never met are then asked known questions (B) and
new ones (C), with no context and with 20 items. Needs the folder of surveys (docs/data.md), and
says so where there is none.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from measuring import report
from measuring.machine import ROOT, machine
from models.batches import Item, Kind
from models.corpora import Corpora, load_corpora
from models.embedders import load_embedder
from models.own_bank import OwnBank
from models.published import EvenPrior
from models.regimes import SurveyTask, survey_tasks
from models.scorer import GPOScorer
from models.splits import Part, SplitConfig
from models.survey_judge import SurveyJudge

COUNTS = (0, 1, 3, 6, 12, 25, 50, 100)
SIZES = (0, 20)
REGIMES = {"B": Part.TRAIN, "C": Part.TEST}


def main() -> None:
    """Measure, print a table, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of preference files")
    parser.add_argument("--checkpoint", type=Path, default=ROOT / "models/released/minilm")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--cache", type=Path, help="folder for vectors")
    parser.add_argument("--out", type=Path, help="where the figures go")
    options = parser.parse_args()
    console = Console()
    if options.data is None:
        console.print("own_groups: nothing measured; name the folder of surveys with --data")
        return
    measured_on = machine()
    torch.set_num_threads(1)
    scorer = GPOScorer.load(options.checkpoint)
    corpora = load_corpora(
        options.data,
        load_embedder(scorer.card.embedder.id),
        SplitConfig(**scorer.card.config["split"]),
        cache=options.cache,
        progress=True,
        answers=False,
    )
    rows = [
        row
        for number, corpus in enumerate(corpora.corpora)
        if corpus.kind is Kind.SHARE
        for row in measure(scorer, corpora, number, options.seeds)
    ]
    console.print(table(rows))
    report.write(
        "own_groups",
        measured_on,
        {"checkpoint": scorer.card.name, "digest": scorer.card.digest, "seeds": options.seeds},
        out=options.out,
        rows=rows,
    )


def measure(
    scorer: GPOScorer, corpora: Corpora, number: int, seeds: Sequence[int]
) -> list[dict[str, str | float | int]]:
    """Mean alignment of the held-out groups for each regime, number of groups and context."""
    judge = SurveyJudge(corpora, number, known=False, prior=None)
    split = corpora.splits[number]
    found: dict[tuple[str, int, int], list[float]] = {}
    for seed in seeds:
        order = np.random.default_rng(seed).permutation(np.flatnonzero(split.groups == Part.TRAIN))
        tasks = {regime: drawn(corpora, number, part, seed) for regime, part in REGIMES.items()}
        bank = OwnBank(EvenPrior())
        for count in [c for c in COUNTS if c < len(order)] + [len(order)]:
            for group in order[len(bank) : count].tolist():
                numbers = judge.corpus.answered(group)
                known = numbers[split.items[numbers] == Part.TRAIN]
                bank.put(str(group), items(judge, group, known.tolist()))
            for regime, of_regime in tasks.items():
                for size in SIZES if of_regime else ():
                    score = float(
                        np.mean([aligned(scorer, judge, bank, t, size) for t in of_regime])
                    )
                    found.setdefault((regime, count, size), []).append(score)
    return [
        {
            "data": judge.corpus.name,
            "regime": regime,
            "own_groups": count,
            "context": size,
            "alignment": round(float(np.mean(scores)), 4),
        }
        for (regime, count, size), scores in sorted(found.items())
    ]


def drawn(corpora: Corpora, number: int, part: Part, seed: int) -> list[SurveyTask]:
    """The tasks of the evaluation."""
    return list(
        survey_tasks(
            corpora.corpora,
            corpora.splits,
            corpus=number,
            questions=part,
            sizes=(20, 20),
            seed=seed,
        )
    )


def items(judge: SurveyJudge, group: int, numbers: Sequence[int]) -> list[Item]:
    """What a group answered to some questions, with its respondents where they are known."""
    starts, corpus = judge.corpus.starts, judge.corpus
    found = []
    for i in numbers:
        span, people = slice(starts[i], starts[i + 1]), corpus.weights[group, i]
        weight = None if np.isnan(people) else float(people)
        found.append(Item(Kind.SHARE, judge.vectors[span], corpus.values[group, span], weight))
    return found


def aligned(
    scorer: GPOScorer, judge: SurveyJudge, bank: OwnBank, task: SurveyTask, size: int
) -> float:
    """Alignment of what the module says of one group, with the bank in place of the prior."""
    context = items(judge, task.group, task.context[:size].tolist())
    prior = bank.prior_for(context)
    encoded = scorer.encode_context(context, prior=prior)
    asked = [item.vectors for item in items(judge, task.group, task.targets.tolist())]
    (predicted,) = scorer.predict_many([encoded], asked, priors=[prior])
    terms = judge.terms(task, [scored.mean for scored in predicted])
    return float(np.mean([value for value, _ in terms]))


def table(rows: Sequence[dict[str, str | float | int]]) -> Table:
    """The figures, one line for each."""
    shown = Table("data", "regime", "own groups", "context items", "alignment")
    for row in rows:
        shown.add_row(*(str(value) for value in row.values()))
    return shown


if __name__ == "__main__":
    main()
