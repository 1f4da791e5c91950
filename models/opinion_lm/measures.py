"""Measures on sampled texts: distinct n-grams, options taken, stance, topic match, repetition.

Pure functions over strings and arrays; no model is called here.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from models.opinion_lm.corpus import normalise

RUN = 8
"""Words from which on a repeated training answer counts as memorised."""

_AGAINST = re.compile(
    r"\b(no|not|never|against|oppose|disagree|wrong|mistake|bad idea|don't|doubt\w*|worr\w+|"
    r"too far|cannot|isn't|harm|problem|low opinion|rather do without)\b",
    re.I,
)
_FOR = re.compile(
    r"\b(yes|absolutely|definitely|agree|support|favou?r|good idea|right to|like the idea|welcome|"
    r"for it|all for|step forward|should|time to|makes? sense|believe in|positive)\b",
    re.I,
)
_MIXED = re.compile(
    r"\b(depends|both sides|mixed|not sure|maybe|torn|partly|undecided|some cases|hard to say|"
    r"two sides|yes and no|only)\b",
    re.I,
)


def distinct(texts: Sequence[str], n: int) -> float:
    """Share of different n-grams among all n-grams of the texts (1 when none repeats)."""
    grams = [
        tuple(words[i : i + n])
        for words in (normalise(t).split() for t in texts)
        for i in range(len(words) - n + 1)
    ]
    return len(set(grams)) / len(grams) if grams else 0.0


def option_taken(text: str, options: Sequence[str]) -> int | None:
    """Index of the longest option that stands in the text word for word, else None."""
    padded = f" {normalise(text)} "
    found = [(len(normalise(o)), i) for i, o in enumerate(options) if f" {normalise(o)} " in padded]
    return max(found)[1] if found else None


def entropy_share(taken: Sequence[int], options: int) -> float:
    """Entropy of the options taken over that of an even spread: 0 for one option, 1 for even."""
    if len(taken) < 2 or options < 2:
        return 0.0
    shares = [count / len(taken) for count in Counter(taken).values()]
    bits = -sum(p * math.log2(p) for p in shares)
    return bits / math.log2(min(options, len(taken)))


def stance(text: str) -> str:
    """A rough reading by cue words: "mixed", "against", "for" or "unclear"."""
    first = re.split(r"[.;:]|, (?:because|since|as)| because | since ", text, maxsplit=1)[0]
    head = text if len(first.split()) < 4 else first
    for name, cue in (("mixed", _MIXED), ("against", _AGAINST), ("for", _FOR)):
        if cue.search(head):
            return name
    return "unclear"


def nearest_ranks(
    texts: NDArray[np.float32], prompts: NDArray[np.float32], true: Sequence[int]
) -> NDArray[np.int64]:
    """Rank (0 = nearest) of each text's own prompt among all prompts; rows have unit length.

    `texts` is (N, D), `prompts` (P, D); `true` gives the prompt's row for each text.
    """
    scores = texts @ prompts.T  # (N, P)
    own = scores[np.arange(len(true)), list(true)]
    ranks: NDArray[np.int64] = (scores > own[:, None]).sum(axis=1)
    return ranks


class AnswerIndex:
    """Training answers of at least `RUN` words, found by their first eight words."""

    def __init__(self, answers: Iterable[str]) -> None:
        self._by_start: dict[tuple[str, ...], set[tuple[str, ...]]] = defaultdict(set)
        self._runs: set[int] = set()
        for answer in answers:
            words = tuple(normalise(answer).split())
            if len(words) >= RUN:
                self._by_start[words[:RUN]].add(words)
                self._runs.update(hash(words[i : i + RUN]) for i in range(len(words) - RUN + 1))

    def repeats(self, text: str) -> bool:
        """Whether the text holds a whole training answer, word for word."""
        words = tuple(normalise(text).split())
        return any(
            words[i : i + len(answer)] == answer
            for i in range(len(words) - RUN + 1)
            for answer in self._by_start.get(words[i : i + RUN], ())
        )

    def shares_run(self, text: str) -> bool:
        """Whether the text shares any eight words in a row with a training answer."""
        words = tuple(normalise(text).split())
        return any(hash(words[i : i + RUN]) in self._runs for i in range(len(words) - RUN + 1))
