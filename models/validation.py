"""What a training is judged by while it runs, and whether there is enough to train on.

Draws the fixed validation episodes and names the group that is predicted worst. Knows no loop.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from models.batches import Kind
from models.domains import Domain
from models.episodes import Episode, EpisodeConfig, EpisodeSampler
from models.splits import Part

log = logging.getLogger(__name__)

CONTEXTS = (0, 5, 20)
EPISODES = 24  # of each part and context size
WORST_OF = 4  # episodes of each group among which the worst group is found
SEED = 10_007
# New groups on questions of the training, and new groups on new questions.
PARTS = ((Part.VALIDATION, Part.TRAIN), (Part.VALIDATION, Part.VALIDATION))
# Where no group can be spared; the prior leaves a training group's own answers out.
FALLBACK = ((Part.TRAIN, Part.VALIDATION), (Part.TRAIN, Part.TRAIN))


class TooLittleDataError(ValueError):
    """A corpus has nothing to train on; the message says what is missing."""


def require_training_data(domains: Sequence[Domain]) -> None:
    """Raise TooLittleDataError when a corpus has no group with two training items."""
    for domain in domains:
        if not _able(domain, Part.TRAIN, Part.TRAIN):
            corpus, what = domain.corpus, _items_of(domain)
            groups = (domain.split.groups == Part.TRAIN).sum()
            items = (domain.split.items == Part.TRAIN).sum()
            raise TooLittleDataError(
                f"{corpus.name}: no training group answered two training {what} ({groups} of "
                f"{len(corpus.groups)} groups and {items} of {corpus.items} {what} are for "
                f"training). At the very least two groups that answer ten {what} are needed, a "
                "few dozen groups and a few hundred questions to be of use (docs/data.md, "
                "Your own data): add some, or leave the file out"
            )


def validation_episodes(
    domains: Sequence[Domain], config: EpisodeConfig
) -> list[tuple[str, list[Episode]]]:
    """Named batches of episodes, the same in every run on the same data.

    A corpus that holds out no group, or no question that such a group answered, is judged by what
    there is; training groups stand in for its validation groups if nothing else is left.
    """
    sampler = EpisodeSampler(domains, config, np.random.default_rng(SEED))
    found = []
    for domain in domains:
        parts = [part for part in PARTS if _able(domain, *part)]
        if not parts:
            parts = [part for part in FALLBACK if _able(domain, *part)][:1]
            log.warning(
                "%s: no group is left for validation; training groups are validated on %s %s",
                *(domain.corpus.name, parts[0][1].name.lower(), _items_of(domain)),
            )
        for groups, questions in parts:
            for size in CONTEXTS:
                name = f"{domain.corpus.name}/{questions.name.lower()}/{size}"
                drawn = sampler.batch(
                    EPISODES, domain, size, groups=groups, questions=questions, augment=False
                )
                found.append((name, drawn))
    return found


def group_episodes(
    domains: Sequence[Domain], config: EpisodeConfig
) -> list[tuple[str, str, list[Episode]]]:
    """Corpus, group and some episodes of it at the largest context, for each validation group."""
    sampler = EpisodeSampler(domains, config, np.random.default_rng(SEED + 1))
    found = []
    for domain in domains:
        for group in _able(domain, Part.VALIDATION, Part.TRAIN):
            name = domain.corpus.groups[group]
            drawn = [
                sampler.of_group(domain, group, CONTEXTS[-1], Part.TRAIN) for _ in range(WORST_OF)
            ]
            found.append((domain.corpus.name, name, drawn))
    return found


def _able(domain: Domain, groups: Part, questions: Part) -> list[int]:
    return [int(g) for g in domain.groups(groups) if len(domain.items(int(g), questions)) >= 2]


def _items_of(domain: Domain) -> str:
    return "rated answers" if domain.corpus.kind is Kind.RATING else "questions"
