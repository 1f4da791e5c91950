"""Turns the figures that a client sends into preferences: checks, scales, renormalises.

Raises InvalidInput with pointers below `at`; knows no JSON and no HTTP.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from service.core.domain import (
    ComparisonPreference,
    Preference,
    RatingPreference,
    SharePreference,
    context_tokens_of,
)
from service.core.faults import Faults
from service.core.limits import Limits
from service.core.texts import check_options

SUM_TOLERANCE = 0.01
# Slack for the rounding of a sum such as .3 + .69, which is .99 to the reader.
_ROUNDING = 1e-9
MOST_PEOPLE = 1e12


def share(
    question: str,
    options: Sequence[str],
    *,
    distribution: Sequence[float] | None,
    counts: Sequence[float] | None,
    at: str,
    limits: Limits,
) -> SharePreference:
    """A question with the share of the group for each option, from shares or from counts."""
    faults = Faults()
    check_options(options, at=f"{at}/options", limits=limits, faults=faults)
    if distribution is None and counts is None:
        faults.wrong(f"{at}/distribution", "give a distribution or counts")
    elif distribution is not None and counts is not None:
        faults.wrong(f"{at}/counts", "give a distribution or counts, not both")
    elif distribution is not None:
        _check_shares(distribution, len(options), at=f"{at}/distribution", faults=faults)
    elif counts is not None:
        _check_counts(counts, len(options), at=f"{at}/counts", faults=faults)
    faults.check()
    values = distribution if distribution is not None else counts
    assert values is not None
    total = math.fsum(values)
    return SharePreference(
        question=question,
        options=tuple(options),
        distribution=tuple(min(value / total, 1.0) for value in values),
        counts=None if counts is None else tuple(counts),
    )


def rating(
    prompt: str,
    response: str,
    score: float,
    *,
    scale: Sequence[float] | None,
    weight: float | None,
    at: str,
) -> RatingPreference:
    """A rated response; a score on a scale [lo, hi] is mapped to [0, 1]."""
    faults = Faults()
    low, high = 0.0, 1.0
    if scale is not None:
        if len(scale) != 2 or not scale[0] < scale[1] or not math.isfinite(scale[1] - scale[0]):
            faults.wrong(f"{at}/scale", "a scale is [lowest, highest] with lowest < highest")
        else:
            low, high = scale
    if not low <= score <= high:
        faults.wrong(f"{at}/score", f"must lie between {low:g} and {high:g}")
    _check_weight(weight, at=at, faults=faults)
    faults.check()
    return RatingPreference(
        prompt=prompt,
        response=response,
        score=min(max((score - low) / (high - low), 0.0), 1.0),
        weight=weight,
    )


def comparison(
    prompt: str, chosen: str, rejected: str, *, weight: float | None, at: str
) -> ComparisonPreference:
    """Two responses, of which the group prefers one."""
    faults = Faults()
    if chosen.strip() == rejected.strip():
        faults.wrong(f"{at}/rejected", "chosen and rejected are the same")
    _check_weight(weight, at=at, faults=faults)
    faults.check()
    return ComparisonPreference(prompt=prompt, chosen=chosen, rejected=rejected, weight=weight)


def check_size(preferences: Sequence[Preference], *, at: str, limits: Limits) -> None:
    """Raise InputTooLarge for more preferences, or more pairs in them, than a context may hold."""
    faults = Faults()
    faults.cap(at, len(preferences), limits.preferences, "preferences")
    faults.cap(
        at,
        context_tokens_of(preferences),
        limits.context_tokens,
        "(prompt, response) pairs, that is options, rated and compared responses together",
    )
    faults.check()


def _check_shares(values: Sequence[float], k: int, *, at: str, faults: Faults) -> None:
    if not _check_values(values, k, at=at, faults=faults):
        return
    total = math.fsum(values)
    if abs(total - 1.0) > SUM_TOLERANCE + _ROUNDING:
        faults.wrong(at, f"must sum to 1 within {SUM_TOLERANCE}; it sums to {total:.6g}")


def _check_counts(values: Sequence[float], k: int, *, at: str, faults: Faults) -> None:
    if not _check_values(values, k, at=at, faults=faults):
        return
    if math.fsum(values) <= 0:
        faults.wrong(at, "at least one count must be above 0")


def _check_values(values: Sequence[float], k: int, *, at: str, faults: Faults) -> bool:
    if len(values) != k:
        faults.wrong(at, f"one value for each of the {k} options; found {len(values)}")
        return False
    bad = [index for index, value in enumerate(values) if not 0 <= value <= MOST_PEOPLE]
    for index in bad:
        faults.wrong(f"{at}/{index}", f"must be 0 or more and at most {MOST_PEOPLE:g}")
    return not bad


def _check_weight(weight: float | None, *, at: str, faults: Faults) -> None:
    if weight is not None and not 0 < weight <= MOST_PEOPLE:
        faults.wrong(f"{at}/weight", f"must be above 0 and at most {MOST_PEOPLE:g}")
