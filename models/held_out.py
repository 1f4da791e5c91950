"""Which groups and questions of the files count as new to a checkpoint.

Owns the choice between the hold-out of the training and files that the training never had.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum

import numpy as np

from models.checkpoint import Card
from models.corpora import Corpora
from models.datasets import Corpus
from models.domains import build_domains
from models.prior import PopulationPrior
from models.scorer import GPOScorer
from models.splits import (
    Part,
    Split,
    SplitConfig,
    is_debates,
    population,
    question_texts,
    split_corpora,
)


class HeldOut(StrEnum):
    """What counts as new: told from the files, the split of a training on them, or everything."""

    AUTO = "auto"
    SPLIT = "split"
    ALL = "all"


CHANGED = (
    "these are not the files of the training; some of the groups and questions that count as new "
    "may have been in it"
)
NEW = "not in the training, so all of its groups and questions count as new"
AS_TOLD = "all groups and questions count as new, whether the training had them or not"


def on_other_data(card: Card, corpora: Corpora) -> bool:
    """Whether a file differs from those of the training, or is missing, or new.

    What is held out depends on all the groups and questions, so a part of what is then called
    new may have been in training.
    """
    trained = {(d.name, d.sha256) for d in card.data}
    return trained != {(c.name, c.sha256) for c in corpora.corpora}


def hold_out(
    corpora: Corpora, card: Card, *, held_out: HeldOut = HeldOut.AUTO
) -> tuple[Corpora, list[str]]:
    """The corpora with the splits that an evaluation of the checkpoint uses, and what to warn of.

    A file of the training, told by its name or digest, is split as there. Any other is all new,
    apart from populations and questions that a file of the training has too.
    """
    split = SplitConfig(**card.config.get("split", {}))
    found = corpora.corpora
    if held_out is HeldOut.ALL:
        return replace(corpora, splits=tuple(_all_new(c) for c in found)), [AS_TOLD]
    old = found if held_out is HeldOut.SPLIT else tuple(c for c in found if _trained(card, c))
    new = [c for c in found if c not in old]
    splits = dict(zip([c.name for c in old], split_corpora(old, split), strict=True))
    for c in new:
        splits[c.name] = _new(c, old)
    changed = bool(old) and on_other_data(card, replace(corpora, corpora=old))
    notes = [CHANGED] if changed else []
    if new:
        notes.append(f"{', '.join(c.name for c in new)}: {NEW}")
    return replace(corpora, splits=tuple(splits[c.name] for c in found)), notes


def without_held_out(scorer: GPOScorer, corpora: Corpora) -> GPOScorer:
    """The scorer with a bank that knows nothing of what counts as new.

    A checkpoint serves with the figures of every group and question of its training files, also of
    those that were held out of its weights; to be measured on them it must not have seen them.
    """
    known = [i for i, c in enumerate(corpora.corpora) if _trained(scorer.card, c)]
    prior = scorer.prior
    if scorer.card.config.get("bank") != "all" or not known:
        return scorer
    if not isinstance(prior, PopulationPrior):
        return scorer
    there = [corpora.corpora[i] for i in known]
    vectors, splits = [corpora.vectors[i] for i in known], [corpora.splits[i] for i in known]
    return replace(scorer, prior=build_domains(there, vectors, splits, prior.config)[1])


def _trained(card: Card, corpus: Corpus) -> bool:
    return any(corpus.name == d.name or corpus.sha256 == d.sha256 for d in card.data)


def _all_new(corpus: Corpus) -> Split:
    groups = np.full(len(corpus.groups), Part.TEST, np.int8)
    return Split(groups, np.full(corpus.items, Part.TEST, np.int8))


def _new(corpus: Corpus, old: Sequence[Corpus]) -> Split:
    """All new, but for what the files of the training share with it."""
    split = _all_new(corpus)
    people = {population(g) for c in old for g in c.groups}
    texts = {t for c in old for t in question_texts(c)}
    known = np.array([t in texts for t in question_texts(corpus)])[corpus.question]
    split.items[known] = Part.TRAIN
    if not is_debates(corpus):
        split.groups[[population(g) in people for g in corpus.groups]] = Part.TRAIN
    return split
