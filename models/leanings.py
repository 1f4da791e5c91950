"""Invented opinion groups over known texts: each leans along a direction of the texts' vectors.

The segments of a rating study hardly differ, and a module that has met nobody else does not follow
a group that does. These groups like what everybody likes, and beyond that what lies on their side
of a line through the answers to one prompt. Only training meets them; no figure of theirs ships.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.batches import FloatArray, Kind, halves, unit
from models.datasets import Corpus, IntArray
from models.domains import Domain
from models.splits import Part, Split

NAME = "leanings"
GROUPS = 4  # of each prompt
FEWEST, MOST = 36, 72  # answers to a prompt
AXES = 8  # principal directions of a prompt's answers among which a line is drawn
STRENGTH, NOISE = (0.08, 0.4), (0.03, 0.2)  # ranges of a lean and of what is left to chance


def with_leanings(domains: Sequence[Domain], *, seed: int) -> list[Domain]:
    """The domains, and one of invented groups over each whose items are rated responses."""
    rng = np.random.default_rng([seed, 31])
    rated = [d for d in domains if d.corpus.kind is Kind.RATING]
    made = [_leaning(d, rng) for d in rated]
    return [*domains, *(d for d in made if d is not None)]


def _leaning(domain: Domain, rng: np.random.Generator) -> Domain | None:
    """A domain over some of the answers to each prompt, or None where no prompt has enough."""
    corpus, split = domain.corpus, domain.split
    liked = np.nan_to_num(np.nanmean(_of_training(domain), 0), nan=0.5)
    chosen: list[IntArray] = []
    for prompt in range(int(corpus.question.max()) + 1):
        items = np.flatnonzero(corpus.question == prompt)
        if len(items) >= FEWEST:
            chosen.append(rng.permutation(items)[:MOST])
    if not chosen:
        return None
    items = np.concatenate(chosen)
    cells = corpus.starts[items]
    values = np.full((GROUPS * len(chosen), len(items)), np.nan, np.float32)
    start = 0
    for number, own in enumerate(chosen):
        span = slice(start, start + len(own))
        start = span.stop
        for group in range(GROUPS * number, GROUPS * (number + 1)):
            values[group, span] = _approval(domain.vectors[cells[span]], liked[cells[span]], rng)
    invented = Corpus(
        name=f"{NAME}_{corpus.name}",
        kind=Kind.RATING,
        pairs=tuple(corpus.pairs[c] for c in cells),
        starts=np.arange(len(items) + 1),
        question=corpus.question[items],
        values=values,
        weights=np.full(values.shape, np.nan, np.float32),
        ordinal=np.full(len(items), np.nan, np.float32),
        groups=tuple(f"{NAME}: {i}" for i in range(len(values))),
        sha256=corpus.sha256,
        statements=True,
    )
    parts = np.repeat([split.items[own[0]] for own in chosen], GROUPS).astype(np.int8)
    return Domain(
        corpus=invented,
        vectors=domain.vectors[cells],
        split=Split(parts, split.items[items]),
        column=np.full(len(values), -1, np.int64),
        figures=np.full((len(domain.figures), len(items)), np.nan, np.float32),
        new_mean=domain.new_mean[cells],
        new_profile=domain.new_profile[cells],
    )


def _of_training(domain: Domain) -> FloatArray:
    """Approval (G + 1, N) by the training groups, with what is expected where nobody was asked."""
    values = domain.corpus.values[domain.split.groups == Part.TRAIN]
    nobody = np.isnan(values).all(0)
    rest = np.where(nobody, domain.new_mean, np.nan).astype(np.float32)
    return np.concatenate([values, rest[None]])


def _approval(vectors: FloatArray, liked: FloatArray, rng: np.random.Generator) -> FloatArray:
    """How far one group agrees with each of n responses (n,), which people like so far (n,)."""
    response = unit(halves(vectors)[1])
    left, scale, _ = np.linalg.svd(response - response.mean(0), full_matrices=False)
    lean = left[:, :AXES] @ (scale[:AXES] * rng.normal(size=min(AXES, len(scale))))
    lean = np.tanh(lean / max(lean.std(), 1e-6))
    noise = rng.uniform(*NOISE) * rng.normal(size=len(liked))
    return np.asarray(
        np.clip(liked + rng.uniform(*STRENGTH) * lean + noise, 0.01, 0.99), np.float32
    )
