"""Fits how much a language model's answers count beside the kernel prior, on validation questions.

Owns the grid and its figures; how a model is asked is `models.llm_answers`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from models.batches import FloatArray, Kind
from models.corpora import Corpora
from models.datasets import Corpus
from models.llm_answers import LlmError
from models.llm_prior import Fit, Pool
from models.prior import Prior
from models.splits import Part, Split

WEIGHTS = tuple(i / 20 for i in range(21))
TEMPERATURES = (0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0, 5.6, 8.0, 16.0)
DIGITS = 4

Shares = Callable[[str, Sequence[str]], FloatArray]


@dataclass(frozen=True, slots=True)
class Case:
    """A question that the bank does not know: both priors (k,), and its groups' answers (G, k)."""

    corpus: str
    kernel: FloatArray
    llm: FloatArray
    answers: FloatArray


def fit_pool(
    name: str, shares: Shares, corpora: Corpora, prior: Prior, *, progress: bool = True
) -> Fit:
    """The pools with the lowest KL divergence to the answers of groups on validation questions.

    Each corpus counts alike. `shares` asks the model called `name`. Raises LlmError when no
    validation question is new to the prior.
    """
    cases = list(gather(shares, corpora, prior, part=Part.VALIDATION, progress=progress))
    if not cases:
        raise LlmError("--llm-prior needs validation questions, and this split has none")
    both = min((Pool(w, t) for w in WEIGHTS for t in TEMPERATURES), key=_loss_on(cases))
    alone = min((Pool(1.0, t) for t in TEMPERATURES), key=_loss_on(cases))
    figures = {
        "questions": len(cases),
        "kl_bank": round(divergence(cases, Pool(0.0)), DIGITS),
        "kl_llm": round(divergence(cases, alone), DIGITS),
        "kl_both": round(divergence(cases, both), DIGITS),
    }
    return Fit(name, both, alone, figures)


def divergence(cases: Sequence[Case], pool: Pool) -> float:
    """Mean KL divergence, in nats, of the groups' answers from the pool; each corpus alike."""
    by_corpus: dict[str, list[float]] = {}
    for case in cases:
        pooled = np.log(pool(case.kernel, case.llm).astype(np.float64))
        answers = case.answers.astype(np.float64)
        own = np.where(answers > 0, answers * np.log(np.maximum(answers, 1e-12)), 0.0)
        loss = (own - answers * pooled).sum(axis=1).mean()
        by_corpus.setdefault(case.corpus, []).append(float(loss))
    return float(np.mean([np.mean(losses) for losses in by_corpus.values()]))


def gather(
    shares: Shares, corpora: Corpora, prior: Prior, *, part: Part, progress: bool
) -> Iterator[Case]:
    """The questions of a part that its groups answered (else training groups)."""
    found = [
        (corpus, vectors, item, groups)
        for corpus, vectors, split in corpora.of(Kind.SHARE)
        for item, groups in _answered(corpus, split, part)
    ]
    for corpus, vectors, item, groups in tqdm(
        found, desc="ask the LLM", unit="question", disable=not progress
    ):
        cells = slice(int(corpus.starts[item]), int(corpus.starts[item + 1]))
        (expected,) = prior.expect([(Kind.SHARE, vectors[cells])])
        if expected.support > 0:
            continue
        pairs = corpus.pairs[cells]
        answered = shares(pairs[0][0], [option for _, option in pairs])
        yield Case(corpus.name, expected.mean, answered, corpus.values[groups, cells])


def _answered(corpus: Corpus, split: Split, part: Part) -> Iterator[tuple[int, list[int]]]:
    """Items of a part with the groups of the part that answered, or else of the training."""
    there = ~np.isnan(corpus.values[:, corpus.starts[:-1]])
    groups = np.flatnonzero(split.groups == part)
    if not len(groups):
        groups = np.flatnonzero(split.groups == Part.TRAIN)
    for item in np.flatnonzero(split.items == part):
        answered = [int(g) for g in groups if there[g, item]]
        if answered:
            yield int(item), answered


def _loss_on(cases: Sequence[Case]) -> Callable[[Pool], float]:
    return lambda pool: divergence(cases, pool)
