"""Meta-training episodes: a group, a few of its preferences as context, others as targets.

Draws groups, mixtures of groups, context sizes from 0, known and unknown questions, and contexts
of one kind for targets of another. Seeded; knows no network.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from models.batches import FloatArray, Item, Kind
from models.datasets import Corpus, IntArray
from models.prior import (
    PopulationPrior,
    PriorConfig,
    bank_items,
    fit_approval,
    fit_prior,
    shrunk,
)
from models.splits import Part, Split, population

FOLDS = 5
PLAIN_WEIGHT = 100.0  # respondents assumed where a survey does not say


@dataclass(frozen=True, slots=True)
class Episode:
    """What one group answered: context and targets, each item with its prior."""

    context: list[Item]
    targets: list[Item]


@dataclass(frozen=True, slots=True)
class Domain:
    """One corpus with its vectors (N, D), its split, and its priors.

    unknown (N,): prior of each cell as if its question had never been asked. total (N,) and
    count (I,): sum over the training groups, and how many of them answered.
    """

    corpus: Corpus
    vectors: FloatArray
    split: Split
    unknown: FloatArray
    total: FloatArray
    count: FloatArray

    def groups(self, part: Part) -> IntArray:
        """Numbers of the groups of a part."""
        return np.flatnonzero(self.split.groups == part)

    def items(self, group: int, part: Part) -> IntArray:
        """The items of a part that a group answered."""
        answered = self.corpus.answered(group)
        return np.asarray(answered[self.split.items[answered] == part])

    def item(self, number: int, group: int, *, known: bool, mix: Mix | None = None) -> Item:
        """One preference of a group; `known`: the other training groups give the prior."""
        cells = slice(self.corpus.starts[number], self.corpus.starts[number + 1])
        values = self.corpus.values[group, cells]
        prior = self.unknown[cells]
        if known and self.corpus.kind is Kind.SHARE and self.split.items[number] == Part.TRAIN:
            own = self.split.groups[group] == Part.TRAIN
            total = self.total[cells] - values if own else self.total[cells]
            prior = shrunk(total, float(self.count[number]) - own, prior)
        if mix is not None:
            values = mix.blend(self.corpus.values[:, cells])
        weight = float(np.nan_to_num(self.corpus.weights[group, number], nan=0.0))
        return Item(self.corpus.kind, self.vectors[cells], values, weight or None, prior)


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


def build_domains(
    corpora: Sequence[Corpus],
    vectors: Sequence[FloatArray],
    splits: Sequence[Split],
    config: PriorConfig,
) -> tuple[list[Domain], PopulationPrior]:
    """Fit the prior on training groups and questions, and attach it to each corpus."""
    bank, owner, offset = [], [], 0
    for c, (corpus, x, split) in enumerate(zip(corpora, vectors, splits, strict=True)):
        if corpus.kind is Kind.SHARE:
            groups, items = split.groups == Part.TRAIN, split.items == Part.TRAIN
            for number, entry in bank_items(corpus, x, groups, items, offset=offset):
                bank.append(entry)
                owner.append((c, number))
        offset += int(corpus.question.max()) + 1
    rated = _rated(corpora, vectors, splits)
    prior, left_out = fit_prior(bank, rated, config)
    unknown = [
        _unknown(c, x, s, prior, config) for c, x, s in zip(corpora, vectors, splits, strict=True)
    ]
    for (c, number), values in zip(owner, left_out, strict=True):
        unknown[c][corpora[c].starts[number] : corpora[c].starts[number + 1]] = values
    domains = [
        Domain(c, x, s, u, *_totals(c, s))
        for c, x, s, u in zip(corpora, vectors, splits, unknown, strict=True)
    ]
    return domains, prior


def _totals(corpus: Corpus, split: Split) -> tuple[FloatArray, FloatArray]:
    values = corpus.values[split.groups == Part.TRAIN]
    count = (~np.isnan(values[:, corpus.starts[:-1]])).sum(0)
    return np.nansum(values, 0).astype(np.float32), count.astype(np.float32)


def _approval(corpus: Corpus, split: Split, items: IntArray) -> tuple[FloatArray, FloatArray]:
    """Mean approval over the training groups, and its weight, of some ratings."""
    values = corpus.values[np.ix_(split.groups == Part.TRAIN, corpus.starts[items])]
    count = (~np.isnan(values)).sum(0)
    return np.nansum(values, 0) / np.maximum(count, 1), count.astype(np.float32)


def _rated(
    corpora: Sequence[Corpus], vectors: Sequence[FloatArray], splits: Sequence[Split]
) -> tuple[FloatArray, FloatArray, FloatArray]:
    parts = []
    for corpus, x, split in zip(corpora, vectors, splits, strict=True):
        if corpus.kind is Kind.RATING:
            items = np.flatnonzero(split.items == Part.TRAIN)
            parts.append((x[corpus.starts[items]], *_approval(corpus, split, items)))
    dim = vectors[0].shape[1]
    empty = (np.zeros((0, dim), np.float32), np.zeros(0, np.float32), np.zeros(0, np.float32))
    x, p, w = (np.concatenate(a) for a in zip(*parts, strict=True)) if parts else empty
    return x, p, w


def _unknown(
    corpus: Corpus, vectors: FloatArray, split: Split, prior: PopulationPrior, config: PriorConfig
) -> FloatArray:
    if corpus.kind is Kind.SHARE:
        items = [vectors[a:b] for a, b in zip(corpus.starts, corpus.starts[1:], strict=False)]
        return np.concatenate(prior.unknown(items))
    out = prior.approval(vectors)
    # Training prompts: the popularity is fitted without the prompts of the same fold.
    train = np.flatnonzero(split.items == Part.TRAIN)
    fold = corpus.question[train] % FOLDS
    for f in range(FOLDS):
        rest, held = train[fold != f], train[fold == f]
        if len(rest) and len(held):
            x = vectors[corpus.starts[rest]]
            weights = fit_approval(x, *_approval(corpus, split, rest), noise=config.rating_noise)
            out[corpus.starts[held]] = prior.with_rating(weights).approval(
                vectors[corpus.starts[held]]
            )
    return out


@dataclass(frozen=True, slots=True)
class EpisodeConfig:
    """How episodes are drawn. Sizes count items, that is questions or rated responses."""

    max_context: int = 100
    share_targets: int = 24
    rating_targets: int = 48
    mixture: float = 0.3
    cross: float = 0.25
    compare: float = 0.15


class EpisodeSampler:
    """Draws batches of episodes of one shape: one corpus and one context size for all of them."""

    def __init__(
        self, domains: Sequence[Domain], config: EpisodeConfig, rng: np.random.Generator
    ) -> None:
        self.domains = domains
        self.config = config
        self.rng = rng
        self.share = [d for d in domains if d.corpus.kind is Kind.SHARE]
        self.rating = [d for d in domains if d.corpus.kind is Kind.RATING]

    def batches(self, size: int) -> Iterator[list[Episode]]:
        """Batches of training episodes, without end."""
        while True:
            domain = self.domains[int(self.rng.integers(len(self.domains)))]
            yield self.batch(size, domain, self._context_size())

    def batch(
        self,
        size: int,
        domain: Domain,
        context: int,
        *,
        groups: Part = Part.TRAIN,
        questions: Part = Part.TRAIN,
    ) -> list[Episode]:
        """Episodes of the groups and questions of some part; no mixtures outside of training.

        Training meets each question both as a known and as an unknown one; outside of it, the
        questions of the training part are known.

        Raises ValueError when no group of that part answered two such questions.
        """
        able = [g for g in domain.groups(groups) if len(domain.items(int(g), questions)) >= 2]
        if not able:
            part = f"{groups.name.lower()} groups, {questions.name.lower()} questions"
            raise ValueError(f"{domain.corpus.name}: nothing to draw from for {part}")
        drawn = self.rng.choice(able, size=size)
        return [
            self._episode(domain, int(g), context, questions, groups is Part.TRAIN) for g in drawn
        ]

    def _context_size(self) -> int:
        if self.rng.random() < 0.05:
            return 0
        return int(np.exp(self.rng.uniform(0, np.log(self.config.max_context + 1))))

    def _episode(self, domain: Domain, group: int, size: int, part: Part, augment: bool) -> Episode:
        items = self.rng.permutation(domain.items(group, part))
        config, rng = self.config, self.rng
        rating = domain.corpus.kind is Kind.RATING
        wanted = config.rating_targets if rating else config.share_targets
        cross = self._other_kind(domain, group, part) if rng.random() < config.cross else None
        targets = items[: min(wanted, len(items) // 2 if cross is None else len(items))]
        mix = self._mix(domain, group) if augment and not rating else None
        # Free text is new every time, so no mean of other groups is ever known for it.
        known = rng.random(2) < (0.5 if augment else 1.0)
        asked = [domain.item(i, group, known=bool(known[0]), mix=mix) for i in targets]
        source, number, pool = (domain, group, items[len(targets) :]) if cross is None else cross
        if cross is not None:
            asked = [domain.item(i, group, known=bool(known[0])) for i in targets]
            mix = None
        given = [
            source.item(i, number, known=bool(known[1]), mix=mix)
            for i in rng.permutation(pool)[:size]
        ]
        return Episode(self._compare(given), self._compare(asked))

    def _mix(self, domain: Domain, group: int) -> Mix | None:
        if self.rng.random() > self.config.mixture:
            return None
        others = self.rng.choice(domain.groups(Part.TRAIN), size=self.rng.integers(1, 3))
        groups = np.concatenate([[group], others])
        return Mix(groups, self.rng.dirichlet(np.ones(len(groups))).astype(np.float32))

    def _other_kind(
        self, domain: Domain, group: int, part: Part
    ) -> tuple[Domain, int, IntArray] | None:
        """The same population in a corpus of the other kind, and what it answered there."""
        others = self.share if domain.corpus.kind is Kind.RATING else self.rating
        name = population(domain.corpus.groups[group])
        for other in others:
            for number, label in enumerate(other.corpus.groups):
                if population(label) == name:
                    return other, number, other.items(number, part)
        return None

    def _compare(self, items: list[Item]) -> list[Item]:
        """Turn some shares, and some pairs of ratings, into comparisons."""
        out: list[Item] = []
        for item in items:
            if self.rng.random() >= self.config.compare:
                out.append(item)
            elif item.kind is Kind.SHARE:
                out.append(_share_to_comparison(item, self.rng))
            elif out and out[-1].kind is Kind.RATING:
                out[-1] = _ratings_to_comparison(out[-1], item)
            else:
                out.append(item)
        return out


def _share_to_comparison(item: Item, rng: np.random.Generator) -> Item:
    """Two options of a question: the one that more people pick is the chosen one."""
    pair = rng.choice(len(item.values), 2, replace=False)
    pair = pair[np.argsort(-item.values[pair])]
    assert item.prior is not None
    prior = item.prior[pair] + 1e-3
    values = np.array([1.0, 0.0], np.float32)
    return Item(Kind.COMPARISON, item.vectors[pair], values, item.weight, prior / prior.sum())


def _ratings_to_comparison(a: Item, b: Item) -> Item:
    """Two rated responses: the one that more people approve of is the chosen one."""
    first, second = (a, b) if a.values[0] >= b.values[0] else (b, a)
    assert first.prior is not None
    assert second.prior is not None
    vectors = np.concatenate([first.vectors, second.vectors])
    p = np.concatenate([first.prior, second.prior])
    odds = p / (1 - p)
    values = np.array([1.0, 0.0], np.float32)
    return Item(Kind.COMPARISON, vectors, values, a.weight, odds / odds.sum())
