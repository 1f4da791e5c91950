"""Meta-training episodes: a group, a few of its preferences as context, others as targets.

Draws groups, mixtures of groups, context sizes from 0, known and unknown questions, and contexts
of one kind for targets of another. Seeded; knows no network.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from models.batches import Expectation, Item, Kind
from models.datasets import IntArray
from models.domains import Domain, Mix
from models.prior import between
from models.splits import Part, population

SURVEYS = 3.0  # how often a survey is drawn, for each time that another corpus is
CHOSEN_FIRST = np.array([1.0, 0.0], np.float32)


@dataclass(frozen=True, slots=True)
class Episode:
    """What one group answered: context and targets, each item with what is expected of it.

    `corpus` and `group` say whose they are: a mixture has the number of its first group.
    """

    context: list[Item]
    targets: list[Item]
    corpus: str = ""
    group: int = -1


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
        plain = [d.corpus.kind is Kind.SHARE and not d.corpus.statements for d in self.domains]
        weights = np.where(plain, SURVEYS, 1.0)
        weights /= weights.sum()
        while True:
            domain = self.domains[int(self.rng.choice(len(self.domains), p=weights))]
            yield self.batch(size, domain, self._context_size())

    def batch(
        self,
        size: int,
        domain: Domain,
        context: int,
        *,
        groups: Part = Part.TRAIN,
        questions: Part = Part.TRAIN,
        augment: bool = True,
    ) -> list[Episode]:
        """Episodes of the groups and questions of some part; no mixtures outside of training.

        Training meets each question both as a known and as an unknown one; outside of it, and
        without `augment`, the questions of the training part are known.

        Raises ValueError when no group of that part answered two such questions.
        """
        able = [g for g in domain.groups(groups) if len(domain.items(int(g), questions)) >= 2]
        if not able:
            part = f"{groups.name.lower()} groups, {questions.name.lower()} questions"
            raise ValueError(f"{domain.corpus.name}: nothing to draw from for {part}")
        drawn = self.rng.choice(able, size=size)
        augment = augment and groups is Part.TRAIN
        return [self._episode(domain, int(g), context, questions, augment) for g in drawn]

    def of_group(self, domain: Domain, group: int, context: int, questions: Part) -> Episode:
        """One episode of a certain group, as outside of training."""
        return self._episode(domain, group, context, questions, False)

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
        if cross is not None:
            mix = None
        # Free text is new every time, so no mean of other groups is ever known for it.
        known = rng.random(2) < (0.5 if augment else 1.0)
        asked = [domain.item(i, group, known=bool(known[0]), mix=mix) for i in targets]
        source, number, pool = (domain, group, items[len(targets) :]) if cross is None else cross
        given = [
            source.item(i, number, known=bool(known[1]), mix=mix)
            for i in rng.permutation(pool)[:size]
        ]
        name = domain.corpus.name
        return Episode(self._compare(given), self._compare(asked), name, group)

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
    assert item.expected is not None
    mean, profile = item.expected.mean[pair] + 1e-3, item.expected.profile[pair]
    expected = Expectation(
        mean / mean.sum(), profile - profile.mean(0, keepdims=True), item.expected.support
    )
    return Item(Kind.COMPARISON, item.vectors[pair], CHOSEN_FIRST, item.weight, expected)


def _ratings_to_comparison(a: Item, b: Item) -> Item:
    """Two rated responses: the one that more people approve of is the chosen one."""
    pair = (a, b) if a.values[0] >= b.values[0] else (b, a)
    known = [item.expected for item in pair if item.expected is not None]
    approval = Expectation(
        np.concatenate([e.mean for e in known]), np.concatenate([e.profile for e in known])
    )
    vectors = np.concatenate([item.vectors for item in pair])
    return Item(Kind.COMPARISON, vectors, CHOSEN_FIRST, a.weight, between(approval))
