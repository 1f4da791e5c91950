"""The regimes in which a predictor is judged, drawn from the test part of a split.

B: known questions, a new group. C: new questions, a new group. F: rated free text on new prompts,
for a new group. X: F with survey questions of the same population as context. Seeded. Those of
personas and debates are in `models.statement_regimes`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.batches import Kind
from models.datasets import Corpus, IntArray
from models.splits import Part, Split, population

CANDIDATES = 16
LISTS = 60  # candidate lists of one segment and seed
TARGETS = 150  # questions of one group and seed
FEWEST_TARGETS = 5
HEADLINE = 20  # context items of the baselines, and of the figures that are quoted
CONTEXTS = (0, 1, 5, 20, 100)
SIZES = (HEADLINE, CONTEXTS[-1])
FAIR_TARGETS = 50  # questions left to predict before a context may be as large as wanted


@dataclass(frozen=True, slots=True)
class SurveyTask:
    """One new group: predict `targets` from prefixes of `context` (both are item numbers).

    swap_group: the group that answers these questions most differently, and its own context;
    None where there is no such group.
    """

    corpus: int
    group: int
    context: IntArray
    targets: IntArray
    swap_group: int | None
    swap_context: IntArray


@dataclass(frozen=True, slots=True)
class RatingTask:
    """One new segment: choose among `lists` (L, n) of responses to one prompt each.

    The context comes from `context_corpus`, where the population is called `context_group`;
    `swap_group` is another group there, for the swap-context diagnostic.
    """

    corpus: int
    group: int
    lists: IntArray
    context_corpus: int
    context_group: int
    context: IntArray
    swap_group: int
    swap_context: IntArray


def survey_tasks(
    corpora: Sequence[Corpus],
    splits: Sequence[Split],
    *,
    corpus: int,
    questions: Part,
    seed: int,
    sizes: tuple[int, int] = SIZES,
    groups: Part = Part.TEST,
) -> Iterator[SurveyTask]:
    """Tasks of regime B (questions of the training part) or C (of the test part).

    `sizes`: the least and the wanted size of a context. A group gets the wanted one where
    FAIR_TARGETS questions are left to be predicted, and none below the least plus 5 questions.
    """
    least, wanted = sizes
    data, split = corpora[corpus], splits[corpus]
    rng = np.random.default_rng([seed, corpus, questions])
    asked = ~np.isnan(data.values[split.groups == Part.TRAIN][:, data.starts[:-1]])
    known = asked.any(0)
    for group in np.flatnonzero(split.groups == groups):
        items = data.answered(int(group))
        items = items[split.items[items] == questions]
        if questions is Part.TRAIN:
            items = items[known[items]]
        if len(items) < least + FEWEST_TARGETS:
            continue
        items = rng.permutation(items)
        size = wanted if len(items) >= wanted + FAIR_TARGETS else least
        # Drawn on the side, so that the diagnostic does not move the contexts of later groups.
        aside = np.random.default_rng([seed, corpus, questions, int(group)])
        swap, swapped = _another(data, int(group), items, split.items == questions, least, aside)
        yield SurveyTask(
            corpus,
            int(group),
            items[:size],
            items[size : size + TARGETS],
            swap,
            swapped,
        )


def rating_tasks(
    corpora: Sequence[Corpus],
    splits: Sequence[Split],
    *,
    cross: bool,
    seed: int,
    sizes: tuple[int, int] = SIZES,
    groups: Part = Part.TEST,
) -> Iterator[RatingTask]:
    """Tasks of regime F, or with `cross` of X; `sizes` as in `survey_tasks`.

    The prompts are those of the same part as the groups.
    """
    for number, (corpus, split) in enumerate(zip(corpora, splits, strict=True)):
        if corpus.kind is not Kind.RATING or corpus.statements:
            continue
        rng = np.random.default_rng([seed, number, cross])
        for group in np.flatnonzero(split.groups == groups):
            found = _rating_task(corpora, splits, number, int(group), groups, cross, sizes, rng)
            if found is not None:
                yield found


def _rating_task(
    corpora: Sequence[Corpus],
    splits: Sequence[Split],
    number: int,
    group: int,
    part: Part,
    cross: bool,
    sizes: tuple[int, int],
    rng: np.random.Generator,
) -> RatingTask | None:
    least, wanted = sizes
    lists, used = _lists(corpora[number], splits[number], group, part, rng)
    if not len(lists):
        return None
    if cross:
        place = _same_population(corpora, number, group)
        if place is None:
            return None
        source, name = place
        pool = corpora[source].answered(name)
        pool = pool[_askable(splits[source])[pool]]
    else:
        source, name = number, group
        pool = corpora[number].answered(group)
        pool = pool[splits[number].items[pool] == part]
        pool = pool[~np.isin(pool, used)]
    if len(pool) < least:
        return None
    chosen = rng.permutation(pool)[: wanted if len(pool) >= wanted else least]
    swap, swapped = most_different(corpora[source], name, pool, least, rng)
    return RatingTask(number, group, lists, source, name, chosen, swap, swapped)


def _lists(
    corpus: Corpus, split: Split, group: int, part: Part, rng: np.random.Generator
) -> tuple[IntArray, IntArray]:
    """Lists (L, n) of responses to one prompt of the part each, and all responses to those prompts.

    Half of the prompts are left to the context, so that its answers are to other prompts.
    """
    items = corpus.answered(group)
    items = items[split.items[items] == part]
    shuffled = rng.permutation(np.unique(corpus.question[items]))
    prompts = [p for p in shuffled if (corpus.question[items] == p).sum() >= CANDIDATES]
    prompts = prompts[: max(len(prompts) // 2, 1)]
    lists = []
    for n in range(LISTS if prompts else 0):
        pool = items[corpus.question[items] == prompts[n % len(prompts)]]
        lists.append(rng.permutation(pool)[:CANDIDATES])
    used = items[np.isin(corpus.question[items], prompts)]
    return np.array(lists, np.int64).reshape(-1, CANDIDATES), used


def _askable(split: Split) -> NDArray[np.bool_]:
    """The survey questions of a context: known ones, or all where the whole file is new."""
    known = split.items == Part.TRAIN
    return np.asarray(known if known.any() else ~known)


def _same_population(corpora: Sequence[Corpus], number: int, group: int) -> tuple[int, int] | None:
    name = population(corpora[number].groups[group])
    for other, corpus in enumerate(corpora):
        if corpus.kind is Kind.SHARE and not corpus.statements:
            for index, label in enumerate(corpus.groups):
                if population(label) == name:
                    return other, index
    return None


def _another(
    corpus: Corpus,
    group: int,
    items: IntArray,
    allowed: NDArray[np.bool_],
    context: int,
    rng: np.random.Generator,
) -> tuple[int | None, IntArray]:
    """The group that answered `items` most differently, and some of its answers to `allowed`."""
    first = corpus.values[:, corpus.starts[:-1]]
    there = ~np.isnan(first)
    distance = np.nansum((first[:, items] - first[group, items]) ** 2, 1)
    distance /= np.maximum(there[:, items].sum(1), 1)
    distance[(there[:, items].sum(1) < FEWEST_TARGETS) | (there[:, allowed].sum(1) < context)] = -1
    distance[group] = -1
    other = int(distance.argmax())
    if distance[other] < 0:
        return None, np.zeros(0, np.int64)
    return other, rng.permutation(np.flatnonzero(there[other] & allowed))[:context]


def most_different(
    corpus: Corpus, group: int, pool: IntArray, context: int, rng: np.random.Generator
) -> tuple[int, IntArray]:
    """The group that answered most differently from this one, and as many of its answers."""
    mine = corpus.values[group, corpus.starts[pool]]
    theirs = corpus.values[:, corpus.starts[pool]]
    there = (~np.isnan(theirs)).sum(1)
    distance = np.nansum((theirs - mine) ** 2, 1) / np.maximum(there, 1)
    distance[there < context] = -1
    other = int(distance.argmax())
    answered = pool[~np.isnan(theirs[other])]
    return other, rng.permutation(answered)[:context]
