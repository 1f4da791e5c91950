"""Corpora with what the prior expects of every cell, as the training meets them.

Decides what is public knowledge of a question (the bank) and keeps a group's own answers, and
those of its namesakes, out of what is expected of it. Knows no network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from models.batches import Expectation, FloatArray, Item, Kind, roots
from models.datasets import Corpus, IntArray
from models.popularity import Rated, approval_by, fit_approval
from models.prior import BankItem, PopulationPrior, PriorConfig, fit_prior, shrunk
from models.splits import Part, Split, population

FOLDS = 5
SMALL_CELL = 100  # respondents below which a group's own figure does not enter the bank
DIGITS = 2  # to which a group's figures are rounded in the bank


@dataclass(frozen=True, slots=True)
class Mix:
    """A synthetic group: training groups (m,) with weights (m,) that sum to 1."""

    groups: IntArray
    weights: FloatArray

    def blend(self, values: FloatArray) -> FloatArray:
        """Weighted mean over the groups that answered, from values (G, k)."""
        chosen = values[self.groups]
        there = ~np.isnan(chosen[:, 0])
        weights = self.weights[there] / self.weights[there].sum()
        return np.asarray(weights @ chosen[there], np.float32)


@dataclass(frozen=True, slots=True)
class Domain:
    """One corpus with its vectors (N, D), its split, and what is expected of its N cells.

    column (G,): number of the population of a training group, -1 for the others. figures (P, N):
    answers of the P populations as the bank has them, shares as roots, NaN where there is none.
    new_mean (N,), new_profile (N, P): what is expected of a cell as if its question had never
    been asked.
    """

    corpus: Corpus
    vectors: FloatArray
    split: Split
    column: IntArray
    figures: FloatArray
    new_mean: FloatArray
    new_profile: FloatArray

    def groups(self, part: Part) -> IntArray:
        """Numbers of the groups of a part."""
        return np.flatnonzero(self.split.groups == part)

    def items(self, group: int, part: Part) -> IntArray:
        """The items of a part that a group answered."""
        answered = self.corpus.answered(group)
        return np.asarray(answered[self.split.items[answered] == part])

    def item(self, number: int, group: int, *, known: bool, mix: Mix | None = None) -> Item:
        """One preference of a group; `known`: the other training groups tell what to expect."""
        cells = slice(self.corpus.starts[number], self.corpus.starts[number + 1])
        values = self.corpus.values[group, cells]
        if mix is not None:
            values = mix.blend(self.corpus.values[:, cells])
        own = self.column[[group]] if mix is None else self.column[mix.groups]
        weight = float(np.nan_to_num(self.corpus.weights[group, number], nan=0.0))
        expected = self._expected(number, cells, np.unique(own[own >= 0]), known)
        return Item(self.corpus.kind, self.vectors[cells], values, weight or None, expected)

    def _expected(self, number: int, cells: slice, own: IntArray, known: bool) -> Expectation:
        mean, profile = self.new_mean[cells], self.new_profile[cells].copy()
        asked = known and self.split.items[number] == Part.TRAIN
        there = ~np.isnan(self.figures[:, cells.start])
        there[own] = False
        if asked and self.corpus.kind is Kind.SHARE and there.any():
            figures = self.figures[there, cells]
            # The mean and the profiles are those without the group, or it could be read off them.
            mean = shrunk(figures.sum(0), len(figures), mean)
            profile[:] = 0
            profile[:, there] = (figures - figures.mean(0)).T
            return Expectation(mean, profile, float(len(figures)))
        profile[:, own] = 0
        return Expectation(mean, profile)


def build_domains(
    corpora: Sequence[Corpus],
    vectors: Sequence[FloatArray],
    splits: Sequence[Split],
    config: PriorConfig,
) -> tuple[list[Domain], PopulationPrior]:
    """Fit the prior on training groups and questions, and attach it to each corpus."""
    names = _populations(corpora, splits)
    columns = [_columns(c, s, names) for c, s in zip(corpora, splits, strict=True)]
    figures = [_figures(c, k, len(names)) for c, k in zip(corpora, columns, strict=True)]
    bank, owner, offset = [], [], 0
    for c, (corpus, split) in enumerate(zip(corpora, splits, strict=True)):
        if corpus.kind is Kind.SHARE and not corpus.statements:
            for number, entry in _bank(corpus, vectors[c], split, figures[c], offset):
                bank.append(entry)
                owner.append((c, number))
        offset += int(corpus.question.max()) + 1
    rated = _Popularity(corpora, vectors, splits, figures, config.rating_noise)
    prior, left_out = fit_prior(bank, rated.without(None), config)
    new = [
        _unknown(c, x, prior) if c.kind is Kind.SHARE else rated.new(number, prior)
        for number, (c, x) in enumerate(zip(corpora, vectors, strict=True))
    ]
    for (c, number), expected in zip(owner, left_out, strict=True):
        cells = slice(corpora[c].starts[number], corpora[c].starts[number + 1])
        new[c][0][cells], new[c][1][cells] = expected.mean, expected.profile
    parts = zip(corpora, vectors, splits, columns, figures, new, strict=True)
    return [Domain(c, x, s, k, f, *n) for c, x, s, k, f, n in parts], prior


def fit_on_all(
    corpora: Sequence[Corpus], vectors: Sequence[FloatArray], config: PriorConfig
) -> PopulationPrior:
    """The prior of every group and question, also of those that were held out of the weights."""
    whole = [Split(np.zeros(len(c.groups), np.int8), np.zeros(c.items, np.int8)) for c in corpora]
    return build_domains(corpora, vectors, whole, config)[1]


def _populations(corpora: Sequence[Corpus], splits: Sequence[Split]) -> dict[str, int]:
    """Numbers of the populations of all training groups; personas and debates are none."""
    names = {
        population(corpus.groups[g])
        for corpus, split in zip(corpora, splits, strict=True)
        if not corpus.statements
        for g in np.flatnonzero(split.groups == Part.TRAIN)
    }
    return {name: i for i, name in enumerate(sorted(names))}


def _columns(corpus: Corpus, split: Split, names: dict[str, int]) -> IntArray:
    found = [
        names.get(population(g), -1) if part == Part.TRAIN else -1
        for g, part in zip(corpus.groups, split.groups, strict=True)
    ]
    return np.array(found, np.int64)


def _figures(corpus: Corpus, column: IntArray, populations: int) -> FloatArray:
    """(P, N) answers of each population, shares as roots; groups of one population are averaged."""
    total = np.zeros((populations, len(corpus.pairs)))
    count = np.zeros((populations, len(corpus.pairs)))
    sizes = np.diff(corpus.starts)
    for group in np.flatnonzero(column >= 0):
        values = corpus.values[group]
        if corpus.kind is Kind.SHARE:
            small = np.repeat(corpus.weights[group] < SMALL_CELL, sizes)
            values = np.where(small, np.nan, roots(np.round(values, DIGITS)))
        there = ~np.isnan(values)
        total[column[group]] += np.where(there, values, 0)
        count[column[group]] += there
    return np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(np.float32)


def _bank(
    corpus: Corpus, vectors: FloatArray, split: Split, figures: FloatArray, offset: int
) -> list[tuple[int, BankItem]]:
    """The training questions that some population answered; `offset` keeps corpora apart."""
    found = []
    for i in np.flatnonzero(split.items == Part.TRAIN):
        cells = slice(corpus.starts[i], corpus.starts[i + 1])
        there = ~np.isnan(figures[:, cells.start])
        if there.any():
            mean = figures[there, cells].mean(0)
            entry = BankItem(
                vectors=vectors[cells],
                mean=mean,
                profile=np.nan_to_num(figures[:, cells] - mean).T,
                groups=int(there.sum()),
                question=offset + int(corpus.question[i]),
                respondents=_middle(corpus.weights[split.groups == Part.TRAIN, i]),
            )
            found.append((int(i), entry))
    return found


class _Popularity:
    """What is known of the approval of free text: all of it, or without a fold of the prompts."""

    def __init__(
        self,
        corpora: Sequence[Corpus],
        vectors: Sequence[FloatArray],
        splits: Sequence[Split],
        figures: Sequence[FloatArray],
        noise: float,
    ) -> None:
        self.corpora, self.vectors, self.noise = corpora, vectors, noise
        self.dim, self.populations = vectors[0].shape[1], len(figures[0])
        self.train: dict[int, IntArray] = {}
        self.rated: dict[int, Rated] = {}
        self._fitted: dict[int, FloatArray] = {}
        offset = 0
        for number, (corpus, split) in enumerate(zip(corpora, splits, strict=True)):
            if corpus.kind is not Kind.RATING:
                continue
            values = figures[number]
            if corpus.statements:
                # Its groups are no known populations, but what they like tells what is liked.
                values = corpus.values[split.groups == Part.TRAIN]
            train = np.flatnonzero(split.items == Part.TRAIN)
            train = train[~np.isnan(values[:, corpus.starts[train]]).all(0)]
            found = _rated(vectors[number], values, corpus, train, offset)
            if corpus.statements:
                found = replace(found, profile=np.zeros((len(train), self.populations), np.float32))
            self.train[number], self.rated[number] = train, found
            offset += int(corpus.question.max()) + 1

    def without(self, fold: int | None) -> Rated:
        """The rated responses to all prompts, or to those that are not of a fold."""
        parts = [
            tuple(getattr(r, name)[r.prompt % FOLDS != fold] for name in Rated.__slots__)
            for r in self.rated.values()
        ]
        empty, none = np.zeros(0, np.float32), np.zeros((0, self.populations), np.float32)
        nothing = (np.zeros((0, self.dim), np.float32), empty, none, empty, np.zeros(0, np.int64))
        return Rated(*(np.concatenate(arrays) for arrays in zip(nothing, *parts, strict=True)))

    def new(self, number: int, prior: PopulationPrior) -> tuple[FloatArray, FloatArray]:
        """Mean (N,) and profile (N, P) of a corpus's cells, as answers to new prompts.

        Those of the training are predicted from the prompts of the other folds.
        """
        corpus, vectors = self.corpora[number], self.vectors[number]
        approval = prior.approval(vectors)
        mean, profile = approval.mean.copy(), approval.profile.copy()
        for fold in range(FOLDS):
            held = self.train[number][self.rated[number].prompt % FOLDS == fold]
            if len(held) and len(self.without(fold).mean):
                cells = corpus.starts[held]
                found = approval_by(self._fit_without(fold), vectors[cells])
                mean[cells], profile[cells] = found.mean, found.profile
        return mean, profile

    def _fit_without(self, fold: int) -> FloatArray:
        """The popularity model of the other folds, fitted once for all corpora."""
        if fold not in self._fitted:
            self._fitted[fold] = fit_approval(self.without(fold), noise=self.noise)
        return self._fitted[fold]


def _rated(
    vectors: FloatArray, figures: FloatArray, corpus: Corpus, items: IntArray, offset: int
) -> Rated:
    """Some rated responses with the mean over populations and their departures from it."""
    cells = corpus.starts[items]
    values = figures[:, cells]
    count = (~np.isnan(values)).sum(0)
    mean = np.nansum(values, 0) / np.maximum(count, 1)
    return Rated(
        vectors[cells],
        np.asarray(mean, np.float32),
        np.nan_to_num(values - mean).T,
        count.astype(np.float32),
        corpus.question[items] + offset,
    )


def _middle(respondents: FloatArray) -> float:
    """The median of those that are known, to the next ten; 0 without any."""
    known = respondents[~np.isnan(respondents)]
    return float(np.round(np.median(known), -1)) if len(known) else 0.0


def _unknown(
    corpus: Corpus, vectors: FloatArray, prior: PopulationPrior
) -> tuple[FloatArray, FloatArray]:
    """Mean (N,) and profile (N, P) of cells as new questions."""
    items = [vectors[a:b] for a, b in zip(corpus.starts, corpus.starts[1:], strict=False)]
    expected = prior.unknown(items)
    return (
        np.concatenate([e.mean for e in expected]),
        np.concatenate([e.profile for e in expected]),
    )
