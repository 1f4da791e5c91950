"""How a language model's own distribution enters the prior of questions that no bank knows.

Owns the wording, the orders in which options are listed, and the pool of two priors. Runs no model.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.batches import Expectation, FloatArray, Kind
from models.prior import Prior

Reals = NDArray[np.float64]

TINY = 1e-6  # keeps the logarithm of a share of 0 finite

LISTINGS = 8
"""Most orders in which the options of one question are listed."""

FLOOR = 0.01
"""Smallest share that the model's distribution may give: the module was trained on such priors."""


@dataclass(frozen=True, slots=True)
class Pool:
    """Geometric pool: weight 0 is the kernel prior, 1 the language model alone, tempered.

    A temperature above 1 flattens the model's distribution before it is pooled.
    """

    weight: float = 0.5
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.weight <= 1 or not self.temperature > 0:
            raise ValueError("the weight must lie in [0, 1] and the temperature above 0")

    def __call__(self, kernel: FloatArray, llm: FloatArray) -> FloatArray:
        """Shares (k,) proportional to kernel^(1 - weight) * llm^(weight / temperature)."""
        own = np.log(np.maximum(np.asarray(kernel, np.float64), TINY))
        raised = np.maximum(np.asarray(llm, np.float64), FLOOR)
        asked = np.log(raised / raised.sum())
        logits = (1 - self.weight) * own + self.weight / self.temperature * asked
        return np.asarray(_softmax(logits), np.float32)


@dataclass(frozen=True, slots=True)
class Fit:
    """The pools that fit one model best on validation questions; `figures` say how well."""

    model: str
    both: Pool
    alone: Pool
    figures: Mapping[str, Any]

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Fit:
        """From a card. Raises ValueError."""
        try:
            both = Pool(float(stored["weight"]), float(stored["temperature"]))
            alone = Pool(1.0, float(stored["alone"]))
            return cls(str(stored["model"]), both, alone, stored.get("validation", {}))
        except (AttributeError, KeyError, TypeError, ValueError) as exc:
            raise ValueError(f"llm_prior in the card cannot be read: {exc!r}") from exc

    def stored(self) -> dict[str, Any]:
        """For a card."""
        return {
            "model": self.model,
            "weight": self.both.weight,
            "temperature": self.both.temperature,
            "alone": self.alone.temperature,
            "validation": dict(self.figures),
        }


class PooledPrior:
    """Another prior, with a language model's shares pooled in where that one knows nothing.

    Only questions whose expectation stands on no population (support 0) and for which there is a
    guess are changed, and of those the mean alone.
    """

    def __init__(self, base: Prior, guesses: Mapping[bytes, FloatArray], pool: Pool) -> None:
        """`guesses`: shares (k,) by the `vectors_key` of the question's vectors, in their order."""
        self._base = base
        self._guesses = guesses
        self._pool = pool

    def expect(self, items: Sequence[tuple[Kind, FloatArray]]) -> list[Expectation]:
        """One expectation for each (kind, vectors (k, D))."""
        expected = self._base.expect(items)
        return [self._with_guess(*item, e) for item, e in zip(items, expected, strict=True)]

    def _with_guess(self, kind: Kind, vectors: FloatArray, expected: Expectation) -> Expectation:
        if kind is not Kind.SHARE or expected.support > 0:
            return expected
        guess = self._guesses.get(vectors_key(vectors))
        return (
            expected if guess is None else replace(expected, mean=self._pool(expected.mean, guess))
        )


def vectors_key(vectors: FloatArray) -> bytes:
    """Which question, with its options in this order, the vectors (k, D) stand for."""
    return hashlib.blake2b(np.ascontiguousarray(vectors, np.float32).tobytes()).digest()


def flat(text: str) -> str:
    """The text in one line, as it is listed and answered."""
    return " ".join(text.split())


def ranks(options: Sequence[str]) -> list[int]:
    """The indices of the options in the order in which they are always asked."""
    return sorted(range(len(options)), key=lambda i: flat(options[i]))


def listings(options: Sequence[str], *, most: int = LISTINGS) -> list[tuple[str, ...]]:
    """The options in several orders, which do not depend on the order in which they were sent.

    Up to `most` options: the rotations of the sorted ones, so that each one stands in each place
    once and a liking for a place cancels out. More: some of these, each also reversed.
    """
    ranked = tuple(sorted(options))
    k = len(ranked)
    if k <= most:
        return [ranked[s:] + ranked[:s] for s in range(k)]
    starts = [2 * k * i // most for i in range(most // 2)]
    rotated = [ranked[s:] + ranked[:s] for s in starts]
    return [order for r in rotated for order in (r, r[::-1])]


def worded(question: str, listed: Sequence[str]) -> str:
    """The user's turn that asks one question, its options in the order of `listed`."""
    lines = [f"Question: {question.strip()}", "Options:", *(f"- {o}" for o in listed), "Answer:"]
    return "\n".join(lines)


def shares_of(options: Sequence[str], logprobs: Sequence[Sequence[float]]) -> FloatArray:
    """Shares (k,) from the log-probabilities (R, k) of the options under R listings.

    Each listing is normalised over the options, then the logarithms are averaged: a liking for a
    place adds to the logarithm, and over all places it adds the same to each option.
    """
    apart = [_without_longer(options, np.asarray(row, np.float64)) for row in logprobs]
    normal = [row - np.logaddexp.reduce(row) for row in apart]
    return np.asarray(_softmax(np.mean(normal, axis=0)), np.float32)


def _without_longer(options: Sequence[str], logprobs: Reals) -> Reals:
    """Take from "Good" what is meant for "Good enough": its tokens begin that answer too.

    log(exp(a) - sum of exp(b) over the options that go on from a at the end of a word).
    """
    found = np.array(logprobs, np.float64)
    for i in sorted(range(len(options)), key=lambda i: -len(options[i])):
        longer = [found[j] for j, other in enumerate(options) if _goes_on(options[i], other)]
        if longer:
            rest = -np.expm1(min(float(np.logaddexp.reduce(longer)) - found[i], -1e-3))
            found[i] += np.log(rest)
    return found


def _goes_on(start: str, text: str) -> bool:
    return len(text) > len(start) and text.startswith(start) and not text[len(start)].isalnum()


def _softmax(logits: Reals) -> Reals:
    odds = np.exp(logits - logits.max())
    return np.asarray(odds / odds.sum(), np.float64)
