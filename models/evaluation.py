"""How good checkpoints are beside every baseline, on groups and questions they never met.

Owns the regimes that data allow and the loop over them. Prints nothing, reads no file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from tqdm import tqdm

from models.batches import Kind
from models.consensus import with_consensus
from models.contenders import Contender
from models.corpora import Corpora
from models.judges import Judge, RatingJudge
from models.metrics import concentration
from models.persona_judge import PersonaJudge
from models.prior import PopulationPrior
from models.regimes import CONTEXTS, HEADLINE, RatingTask, rating_tasks, survey_tasks
from models.scorer import GPOScorer, Scored
from models.splits import Part
from models.statement_regimes import debate_tasks, persona_tasks, statement_kind
from models.survey_judge import SurveyJudge
from models.tallies import LEVELS, Predictor, Row, Tallies

SEEDS = (0, 1, 2)
MODULE = "module"
PLAIN = Predictor("Dirichlet around the prior", role="prior")


@dataclass(frozen=True, slots=True)
class Stage:
    """A regime on some data: its judge, and its tasks for a part of the groups and a seed."""

    regime: str
    data: str
    judge: Callable[[], Judge[Any]]
    tasks: Callable[[Part, int], Iterable[Any]]


def evaluate(
    scorer: GPOScorer,
    corpora: Corpora,
    *,
    seeds: Sequence[int] = SEEDS,
    progress: bool = True,
    rivals: Sequence[Contender] = (),
) -> list[Row]:
    """All regimes with all predictors, and further checkpoints on the same tasks.

    Deterministic for checkpoints, data and seeds.
    """
    contenders = [Contender(MODULE, scorer, corpora.corpora, corpora.vectors), *rivals]
    stages = list(_stages(scorer, corpora))
    bar = tqdm(stages, unit="regime", disable=not progress)
    return [row for stage in bar for row in _measure(stage, contenders, seeds)]


def _stages(scorer: GPOScorer, corpora: Corpora) -> Iterator[Stage]:
    prior = scorer.prior if isinstance(scorer.prior, PopulationPrior) else None
    for n, corpus in enumerate(corpora.corpora):
        if corpus.kind is Kind.SHARE and not corpus.statements:
            yield _survey(corpora, n, Part.TRAIN, prior)
            yield _survey(corpora, n, Part.TEST, prior)
    if any(c.kind is Kind.RATING and not c.statements for c in corpora.corpora):
        for cross in (False, True):
            tasks = _tasks(rating_tasks, corpora, cross=cross)
            judge: Callable[[], Judge[Any]] = partial(RatingJudge, corpora, in_context=not cross)
            data = "survey context, rated answers" if cross else "rated answers"
            yield Stage("X" if cross else "F", data, judge, tasks)
    for n, corpus in enumerate(corpora.corpora):
        if statement_kind(corpus) == "P":
            judge = partial(PersonaJudge, corpora, n)
            yield Stage("P", corpus.name, judge, _tasks(persona_tasks, corpora, corpus=n))
        elif statement_kind(corpus) == "D":
            judge = partial(RatingJudge, corpora, in_context=True)
            yield Stage("D", corpus.name, judge, _tasks(debate_tasks, corpora, corpus=n))


def _survey(corpora: Corpora, number: int, part: Part, prior: PopulationPrior | None) -> Stage:
    known = part is Part.TRAIN
    judge = partial(SurveyJudge, corpora, number, known=known, prior=prior)
    tasks = _tasks(survey_tasks, corpora, corpus=number, questions=part)
    return Stage("B" if known else "C", corpora.corpora[number].name, judge, tasks)


def _tasks(
    draw: Callable[..., Iterable[Any]], corpora: Corpora, **how: Any
) -> Callable[[Part, int], Iterable[Any]]:
    return lambda groups, seed: draw(
        corpora.corpora, corpora.splits, groups=groups, seed=seed, **how
    )


def _measure(stage: Stage, contenders: Sequence[Contender], seeds: Sequence[int]) -> list[Row]:
    tasks = [(seed, task) for seed in seeds for task in stage.tasks(Part.TEST, seed)]
    if not tasks:
        return []
    judge, tallies = stage.judge(), Tallies()
    named = judge.baselines()
    strength = _concentration(judge, contenders[0], stage.tasks(Part.VALIDATION, 0))
    for seed, task in tasks:
        group, cluster = judge.label(task)
        for name, predict in named.items():
            terms = judge.terms(task, predict(task))
            tallies.add(Predictor(name), seed, group, terms, cluster=cluster)
        for contender in contenders:
            _contend(judge, contender, task, seed, tallies)
            if contender is contenders[0] and strength is not None:
                _plain(judge, contender, task, seed, strength, tallies)
    return _in_order(tallies.rows(stage.regime, stage.data, judge.unit, headline=HEADLINE))


def _contend(
    judge: Judge[Any], contender: Contender, task: Any, seed: int, tallies: Tallies
) -> None:
    """A checkpoint's answers from every size of the context, and from another group's."""
    group, cluster = judge.label(task)
    truth = judge.truth(task)
    for size in (n for n in CONTEXTS if n <= len(task.context)):
        scored, who = judge.answers(contender, task, size), _module(contender.name, size)
        terms = judge.terms(task, [s.mean for s in scored])
        tallies.add(who, seed, group, terms, cluster=cluster)
        tallies.intervals(who, scored, truth)
        if size == HEADLINE and isinstance(judge, RatingJudge):
            _choose(judge, contender, task, seed, scored, tallies, kind="with consensus")
    if judge.can_swap(task):
        scored = judge.answers(contender, task, HEADLINE, swap=True)
        terms = judge.terms(task, [s.mean for s in scored])
        tallies.add(_swapped(contender.name), seed, group, terms, cluster=cluster)
        if isinstance(judge, RatingJudge):
            _choose(judge, contender, task, seed, scored, tallies, kind="swapped, with consensus")


def _choose(
    judge: RatingJudge,
    contender: Contender,
    task: RatingTask,
    seed: int,
    scored: Sequence[Scored],
    tallies: Tallies,
    *,
    kind: str,
) -> None:
    """What the service would choose: the score with the consensus, in its fitted weight."""
    weight = contender.scorer.consensus_weight
    if not weight:
        return
    group, cluster = judge.label(task)
    terms = judge.terms(task, with_consensus(judge, task, scored, weight))
    name = f"{contender.name}, {HEADLINE}, {kind}"
    who = Predictor(name, role="choice", source=contender.name, context=HEADLINE)
    tallies.add(who, seed, group, terms, cluster=cluster)


def _plain(
    judge: Judge[Any],
    contender: Contender,
    task: Any,
    seed: int,
    strength: float,
    tallies: Tallies,
) -> None:
    """A Dirichlet law around what the checkpoint says without a context."""
    group, cluster = judge.label(task)
    laws = [_dirichlet(s, strength) for s in judge.answers(contender, task, 0)]
    terms = judge.terms(task, [s.mean for s in laws])
    tallies.add(PLAIN, seed, group, terms, cluster=cluster)
    tallies.intervals(PLAIN, laws, judge.truth(task))


def _module(name: str, size: int) -> Predictor:
    label = f"{name}, {size} context question{'s' * (size != 1)}"
    return Predictor(label, role="module", source=name, context=size)


def _swapped(name: str) -> Predictor:
    label = f"{name}, {HEADLINE}, swapped context"
    return Predictor(label, role="swapped", source=name, context=HEADLINE)


def is_headline(row: Row) -> bool:
    """Whether a short table shows the row: not a checkpoint with other sizes of a context."""
    return row.role != "module" or row.context in (0, HEADLINE)


def _in_order(rows: Sequence[Row]) -> list[Row]:
    """Baselines first, then each checkpoint: swapped, the sizes, what they are worth."""
    sources = list(dict.fromkeys(r.source for r in rows if r.source))
    roles = ("baseline", "swapped", "module", "prior", "gain", "choice")
    place = {"": -1, **{s: i for i, s in enumerate(sources)}}

    def key(row: Row) -> tuple[int, int, int]:
        # The Dirichlet law belongs beside the first checkpoint's answers without a context.
        if row.role == "prior":
            return (0, roles.index("module"), 0)
        return (place[row.source], roles.index(row.role), row.context or 0)

    return sorted(rows, key=key)


def _concentration(judge: Judge[Any], main: Contender, held: Iterable[Any]) -> float | None:
    """That of the Dirichlet law around the prior, from groups of the validation part."""
    pairs = [(judge.answers(main, t, 0), judge.truth(t)) for t in held]
    mean = [s.mean for scored, _ in pairs for s in scored]
    truth = [t for _, values in pairs for t in values]
    return concentration(np.concatenate(mean), np.concatenate(truth)) if mean else None


def _dirichlet(law: Scored, strength: float) -> Scored:
    """The std and 90 % interval of each option under a Dirichlet law around the mean."""
    std = np.sqrt(law.mean * (1 - law.mean) / (strength + 1))
    half = LEVELS["90"] * std
    return Scored(law.mean, std, np.maximum(law.mean - half, 0), np.minimum(law.mean + half, 1))
