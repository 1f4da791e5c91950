"""Tasks of personas and debates, their baselines, and what a context adds to them."""

from __future__ import annotations

import numpy as np
import pytest
from fixtures.checkpoints import write_checkpoint
from statements_for_tests import DIM, as_new, debates, personas

from models.evaluation import evaluate
from models.judges import RatingJudge
from models.persona_judge import PersonaJudge
from models.scorer import GPOScorer
from models.splits import Part
from models.statement_regimes import DRAWS, debate_tasks, persona_tasks
from models.tallies import Row


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    place = tmp_path_factory.mktemp("statements") / "random"
    scorer = GPOScorer.load(write_checkpoint(place, digest="0" * 64, dim=DIM))
    return evaluate(scorer, as_new(personas(), debates()), progress=False)


def find(rows: list[Row], regime: str, predictor: str) -> Row:
    return next(r for r in rows if (r.regime, r.predictor) == (regime, predictor))


def test_a_persona_is_asked_what_its_context_leaves_over() -> None:
    found = as_new(personas())
    tasks = list(persona_tasks(found.corpora, found.splits, corpus=0, seed=0))
    assert len(tasks) == 3 * DRAWS
    for task in tasks:
        own = found.corpora[0].answered(task.group)
        assert len(task.context) == 20
        assert sorted([*task.context, *task.targets]) == own.tolist()
        yes = found.corpora[0].values[task.group, found.corpora[0].starts[task.context]]
        assert yes.sum() == 10
        assert task.swap_group not in (None, task.group)
        assert not set(task.swap_context) & set(own)


def test_a_persona_needs_25_statements() -> None:
    few, enough = as_new(personas(statements=12)), as_new(personas(statements=13))
    assert not list(persona_tasks(few.corpora, few.splits, corpus=0, seed=0))
    assert list(persona_tasks(enough.corpora, enough.splits, corpus=0, seed=0))


def test_many_statements_allow_a_context_of_100() -> None:
    found = as_new(personas(statements=75))
    task = next(iter(persona_tasks(found.corpora, found.splits, corpus=0, seed=0)))
    assert (len(task.context), len(task.targets)) == (100, 50)


@pytest.mark.parametrize(("statements", "shape"), [(31, (1, 11)), (60, (15, 16))])
def test_candidates_are_of_the_same_debate_and_not_in_the_context(
    statements: int, shape: tuple[int, int]
) -> None:
    found = as_new(debates(statements=statements))
    corpus = found.corpora[0]
    for task in debate_tasks(found.corpora, found.splits, corpus=0, seed=0):
        assert task.lists.shape == shape
        assert not set(task.lists.ravel()) & set(task.context)
        told = [*task.lists.ravel(), *task.context, *task.swap_context]
        assert len(set(corpus.question[told].tolist())) == 1
        assert task.swap_group != task.group


def test_the_parts_of_a_split_are_kept_apart() -> None:
    found = as_new(personas(), debates())
    for number, draw in ((0, persona_tasks), (1, debate_tasks)):
        split = found.splits[number]
        split.groups[0] = Part.TRAIN
        split.items[found.corpora[number].answered(0)] = Part.TRAIN
        tasks = list(draw(found.corpora, found.splits, corpus=number, seed=0))
        assert tasks
        assert all(t.group != 0 for t in tasks)


def test_seeds_draw_differently_and_repeat() -> None:
    found = as_new(personas())

    def contexts(seed: int) -> list[list[int]]:
        tasks = persona_tasks(found.corpora, found.splits, corpus=0, seed=seed)
        return [t.context.tolist() for t in tasks]

    assert contexts(0) == contexts(0) != contexts(1)


def test_a_ridge_on_20_statements_finds_what_a_persona_would_say(rows: list[Row]) -> None:
    for name in ("in-context ridge", "in-context ridge, yes option"):
        assert find(rows, "P", name).mean > 0.95
    assert find(rows, "P", "share of yes in the context").mean == 0.5


def test_a_ridge_on_20_statements_finds_what_a_side_holds(rows: list[Row]) -> None:
    row = find(rows, "D", "in-context ridge")
    assert row.mean > 0.9
    assert row.groups == 6
    assert row.group_error is not None


def test_every_context_size_and_swap_is_reported(rows: list[Row]) -> None:
    for regime in "PD":
        for size in ("0 context questions", "1 context question", "20 context questions"):
            assert find(rows, regime, f"module, {size}").unit in ("accuracy", "uplift")
        find(rows, regime, "module, 20, swapped context")
        gain = find(rows, regime, "gain from 20 context questions")
        none = find(rows, regime, "module, 0 context questions")
        some = find(rows, regime, "module, 20 context questions")
        assert gain.mean == pytest.approx(some.mean - none.mean)


def test_with_nothing_to_fit_on_no_popularity_is_claimed() -> None:
    found = as_new(personas(), debates())
    assert "popularity, linear" not in PersonaJudge(found, 0).baselines()
    assert "popularity, linear" not in RatingJudge(found, in_context=True).baselines()
    found.splits[1].groups[:] = Part.TRAIN
    found.splits[1].items[:] = Part.TRAIN
    assert "popularity, linear" in RatingJudge(found, in_context=True).baselines()


def test_a_tie_counts_half() -> None:
    found = as_new(personas())
    judge = PersonaJudge(found, 0)
    task = next(iter(persona_tasks(found.corpora, found.splits, corpus=0, seed=0)))
    even = [np.array([0.5, 0.5])] * len(task.targets)
    assert {over for over, _ in judge.terms(task, even)} == {0.5}
    assert {over for over, _ in judge.terms(task, judge.truth(task))} == {1.0}
