"""The regimes of statements, drawn from the test part of a split.

P: what a new persona would say, statement by statement. D: which of the statements of a new debate
an opinion group holds. Both know the group by other statements of its own. Seeded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from models.batches import Kind
from models.datasets import Corpus, IntArray
from models.regimes import (
    CANDIDATES,
    FAIR_TARGETS,
    FEWEST_TARGETS,
    SIZES,
    RatingTask,
    SurveyTask,
    most_different,
)
from models.splits import Part, Split

DRAWS = 2  # contexts of one group and seed: a group has few statements
FEWEST_CANDIDATES = 8
LISTS = 15  # candidate lists of one draw, where more statements are left than one list holds


def persona_tasks(
    corpora: Sequence[Corpus],
    splits: Sequence[Split],
    *,
    corpus: int,
    seed: int,
    sizes: tuple[int, int] = SIZES,
    groups: Part = Part.TEST,
) -> Iterator[SurveyTask]:
    """Tasks of regime P: the targets are all statements that the context leaves over.

    `sizes` as in `models.regimes.survey_tasks`. A persona needs the least plus 5 statements.
    """
    least, wanted = sizes
    data, split = corpora[corpus], splits[corpus]
    rng = np.random.default_rng([seed, corpus, 4])
    chosen = np.flatnonzero(split.groups == groups)
    own = {int(g): _own(data, split, int(g), groups) for g in chosen}
    for group, items in own.items():
        for _ in range(DRAWS if len(items) >= least + FEWEST_TARGETS else 0):
            size = wanted if len(items) >= wanted + FAIR_TARGETS else least
            order = _in_proportion(data, group, items, size, rng)
            swap, swapped = _somebody_else(data, group, order[size:], least, rng)
            yield SurveyTask(corpus, group, order[:size], order[size:], swap, swapped)


def debate_tasks(
    corpora: Sequence[Corpus],
    splits: Sequence[Split],
    *,
    corpus: int,
    seed: int,
    sizes: tuple[int, int] = SIZES,
    groups: Part = Part.TEST,
) -> Iterator[RatingTask]:
    """Tasks of regime D: lists of up to 16 statements among those that the context leaves over.

    `sizes` as above. A group needs the least plus 8 statements.
    """
    least, wanted = sizes
    data, split = corpora[corpus], splits[corpus]
    rng = np.random.default_rng([seed, corpus, 5])
    for group in map(int, np.flatnonzero(split.groups == groups)):
        items = _own(data, split, group, groups)
        for _ in range(DRAWS if len(items) >= least + FEWEST_CANDIDATES else 0):
            order = rng.permutation(items)
            size = wanted if len(items) >= wanted + FAIR_TARGETS else least
            rest = order[size:]
            if len(rest) <= CANDIDATES:
                lists = rest[None]
            else:
                lists = np.stack([rng.permutation(rest)[:CANDIDATES] for _ in range(LISTS)])
            swap, swapped = most_different(data, group, order[:size], FEWEST_TARGETS, rng)
            yield RatingTask(
                corpus, group, lists, corpus, group, order[:size], swap, swapped[:least]
            )


def _own(corpus: Corpus, split: Split, group: int, part: Part) -> IntArray:
    """What a group was asked and no group of an earlier part was."""
    items = corpus.answered(group)
    return np.asarray(items[split.items[items] == part])


def _in_proportion(
    corpus: Corpus, group: int, items: IntArray, size: int, rng: np.random.Generator
) -> IntArray:
    """The items in a random order, whose first `size` hold the whole's share of a yes.

    Drawn freely, a context with many a yes leaves few of them over, and the best guess after it
    would be the opposite of what it says.
    """
    order = rng.permutation(items)
    yes = corpus.values[group, corpus.starts[order]] > 0.5
    wanted = round(size * float(yes.mean()))
    first = np.concatenate([order[yes][:wanted], order[~yes][: size - wanted]])
    return np.concatenate([rng.permutation(first), order[~np.isin(order, first)]])


def _somebody_else(
    corpus: Corpus, group: int, targets: IntArray, least: int, rng: np.random.Generator
) -> tuple[int | None, IntArray]:
    """Another persona, drawn, with as many of its statements, none of them a target.

    Which persona answers most differently cannot be told: hardly two were asked the same.
    """
    first = corpus.values[:, corpus.starts[:-1]]
    there = ~np.isnan(first)
    there[:, targets] = False
    there[group] = False
    able = np.flatnonzero(there.sum(1) >= least)
    if not len(able):
        return None, np.zeros(0, np.int64)
    other = int(rng.choice(able))
    return other, rng.permutation(np.flatnonzero(there[other]))[:least]


def statement_kind(corpus: Corpus) -> str | None:
    """The regime of a corpus of statements, P or D; None for any other."""
    if not corpus.statements:
        return None
    return "P" if corpus.kind is Kind.SHARE else "D"
