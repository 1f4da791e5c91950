"""Seeded splits by group and by question, the same for a population wherever it appears.

A country that two waves spell differently, or a segment that two studies both ask, must not be
in training under one name and in the test under another.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from models.datasets import Corpus, normalise

PartArray = NDArray[np.int8]


class Part(IntEnum):
    """Which part of a split a group or a question belongs to."""

    TRAIN = 0
    VALIDATION = 1
    TEST = 2


@dataclass(frozen=True, slots=True)
class SplitConfig:
    """Shares of groups and of questions that are held out."""

    seed: int = 0
    test_groups: float = 0.2
    validation_groups: float = 0.12
    test_questions: float = 0.15
    validation_questions: float = 0.1


@dataclass(frozen=True, slots=True)
class Split:
    """Parts of one corpus: groups (G,) and items (I,), as `Part` values."""

    groups: PartArray
    items: PartArray


_POPULATIONS = {
    "czech rep": "czechia",
    "s korea": "south korea",
    "s africa": "south africa",
    "britain": "great britain",
    "taiwan roc": "taiwan",
    "polparty": "party",
    "polideology": "ideology",
    "sex": "gender",
    "high school graduate": "high school",
    "college graduate some postgrad": "college",
    "very liberal": "liberal",
    "very conservative": "conservative",
}


def population(group: str) -> str:
    """Who a group's name means, without sample notes and with one spelling for each.

    >>> population("S. Africa (Non-national sample)") == population("South Africa")
    True
    """
    name = re.sub(r"\([^)]*sample\)", "", group)
    parts = (normalise(part) for part in name.split(":"))
    return ":".join(_POPULATIONS.get(part, part) for part in parts)


def split_corpora(corpora: Sequence[Corpus], config: SplitConfig) -> list[Split]:
    """One split for each corpus, consistent between them; seeded, whatever the order of files.

    Populations of several corpora are dealt out first, so that every part can ask how a context
    of one kind steers targets of another.
    """
    ordered = sorted(corpora, key=lambda c: c.name)
    people = {c.name: [population(g) for g in c.groups] for c in ordered}
    texts = {c.name: _question_texts(c) for c in ordered}
    seen = Counter(p for names in people.values() for p in set(names))
    groups: dict[str, Part] = {}
    questions: dict[str, Part] = {}
    for names in ([p for p, n in seen.items() if n > 1], *people.values()):
        _assign(groups, names, config.test_groups, config.validation_groups, config.seed)
    for names in texts.values():
        _assign(questions, names, config.test_questions, config.validation_questions, config.seed)
    return [_split(c, people[c.name], groups, texts[c.name], questions) for c in corpora]


def _split(
    corpus: Corpus,
    people: Sequence[str],
    groups: Mapping[str, Part],
    texts: Sequence[str],
    questions: Mapping[str, Part],
) -> Split:
    by_question = np.array([questions[t] for t in texts], np.int8)
    return Split(np.array([groups[p] for p in people], np.int8), by_question[corpus.question])


def _question_texts(corpus: Corpus) -> list[str]:
    texts = [""] * (int(corpus.question.max()) + 1)
    for item, question in enumerate(corpus.question):
        texts[question] = normalise(corpus.pairs[corpus.starts[item]][0])
    return texts


def _assign(
    known: dict[str, Part], keys: Sequence[str], test: float, validation: float, seed: int
) -> None:
    """Give each new key a part, so that the parts of `keys` come nearest to their shares."""
    distinct = sorted(set(keys), key=lambda k: hashlib.sha256(f"{seed}:{k}".encode()).digest())
    for part, share in ((Part.TEST, test), (Part.VALIDATION, validation)):
        missing = round(share * len(distinct)) - sum(known.get(k) is part for k in distinct)
        free = [k for k in distinct if k not in known]
        known.update(dict.fromkeys(free[: max(missing, 0)], part))
    for key in distinct:
        known.setdefault(key, Part.TRAIN)
