"""Seeded splits by group and by question, the same for a population wherever it appears.

A country that two waves spell differently, or a segment that two studies both ask, must not be
in training under one name and in the test under another.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from models.batches import Kind
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
    of one kind steers targets of another. A debate is held out as a whole, its groups with its
    statements; a persona with those of its statements that no persona of an earlier part was asked.
    """
    ordered = sorted(corpora, key=lambda c: c.name)
    debates = [c for c in ordered if is_debates(c)]
    others = [c for c in ordered if not is_debates(c)]
    people = {c.name: [population(g) for g in c.groups] for c in others}
    texts = {c.name: question_texts(c) for c in ordered}
    seen = Counter(p for names in people.values() for p in set(names))
    groups: dict[str, Part] = {}
    questions: dict[str, Part] = {}
    for names in ([p for p, n in seen.items() if n > 1], *people.values()):
        _assign(groups, names, config.test_groups, config.validation_groups, config.seed)
    for c in debates:
        _assign(
            questions,
            texts[c.name],
            config.test_groups,
            config.validation_groups,
            config.seed,
        )
    for c in others:
        if c.statements:
            _follow(questions, c, texts[c.name], [groups[p] for p in people[c.name]])
    for names in texts.values():
        _assign(questions, names, config.test_questions, config.validation_questions, config.seed)
    found = []
    for c in corpora:
        items = np.array([questions[t] for t in texts[c.name]], np.int8)[c.question]
        own = [groups[p] for p in people[c.name]] if c.name in people else _of_debates(c, items)
        found.append(Split(np.array(own, np.int8), items))
    return found


def is_debates(corpus: Corpus) -> bool:
    """Whether a group of the corpus belongs to one debate and answered nothing else."""
    return corpus.statements and corpus.kind is Kind.RATING


def _of_debates(corpus: Corpus, items: PartArray) -> list[int]:
    """The part of each group: that of its statements, which are of one debate."""
    return [int(items[corpus.answered(g)].max(initial=0)) for g in range(len(corpus.groups))]


def _follow(
    questions: dict[str, Part], corpus: Corpus, texts: Sequence[str], parts: Sequence[Part]
) -> None:
    """Each statement goes to the earliest part of the personas that were asked it."""
    for group, part in enumerate(parts):
        for item in corpus.answered(group):
            text = texts[corpus.question[item]]
            questions[text] = min(questions.get(text, part), part)


def question_texts(corpus: Corpus) -> list[str]:
    """The normalised text of each question, by its number."""
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
