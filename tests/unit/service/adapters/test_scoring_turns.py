"""How much the worker does at a time: everything once, in order, and no more than fits."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from service.adapters.scoring.turns import (
    CHUNK_TOKENS,
    TURN_CELLS,
    TURN_CONTEXTS,
    chunks,
    cost_of,
    turns,
)
from service.core.domain import Context, ContextItem, FloatArray, Kind

sizes = st.lists(st.integers(0, 500), max_size=60)


def vectors(count: int) -> FloatArray:
    return np.zeros((count, 4), np.float32)


def context(width: int) -> Context:
    item = ContextItem(Kind.SHARE, vectors(width), np.zeros(width, np.float32))
    return Context(f"{width}", (item,) if width else ())


@given(sizes, st.integers(1, 300), st.integers(1, TURN_CONTEXTS))
def test_turns_hold_every_context_once_and_fit(widths: list[int], options: int, most: int) -> None:
    contexts = [context(width) for width in widths]
    found = list(turns(contexts, [vectors(options)], most=most))
    assert [c for turn in found for c in turn] == contexts
    for turn in found:
        cells = sum((1 + w) * (1 + w + options) for w in (int(c.digest) for c in turn))
        assert 1 <= len(turn) <= most
        assert cells <= TURN_CELLS or len(turn) == 1


@given(st.lists(st.integers(2, 64), max_size=200), st.integers(1, 64))
def test_chunks_hold_every_question_once_and_fit(options: list[int], contexts: int) -> None:
    questions = [vectors(count) for count in options]
    found = list(chunks(questions, contexts))
    assert [id(q) for chunk in found for q in chunk] == [id(q) for q in questions]
    for chunk in found:
        assert len(chunk) == 1 or contexts * sum(map(len, chunk)) <= CHUNK_TOKENS


def test_encoding_counts_in_what_a_job_takes_of_a_batch() -> None:
    contexts = [context(160), context(160)]
    assert cost_of(contexts, [vectors(16)]) == 1 + 2
    assert cost_of(contexts, [vectors(16)], encoded=True) == 1 + 2 + 20
