"""How much of one request the worker does at a time. Knows sizes alone, no module.

What is asked of kept contexts costs by options; a context that is encoded for one request costs by
the square of its tokens, and a turn of such work is short, so that others wait for no long one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from service.core.domain import Context, FloatArray

CHUNK_TOKENS = 4096
TURN_CELLS = 100_000  # tokens x tokens: on one core some 20 to 50 ms
TURN_CONTEXTS = 16
TOKENS_PER_COST = 16


def chunks(questions: Sequence[FloatArray], contexts: int) -> Iterator[list[FloatArray]]:
    """Runs of questions of at most CHUNK_TOKENS (context, option) pairs, or a single question."""
    chunk: list[FloatArray] = []
    tokens = 0
    for question in questions:
        size = len(question) * contexts
        if chunk and tokens + size > CHUNK_TOKENS:
            yield chunk
            chunk, tokens = [], 0
        chunk.append(question)
        tokens += size
    if chunk:
        yield chunk


def turns(
    contexts: Sequence[Context], questions: Sequence[FloatArray], *, most: int = TURN_CONTEXTS
) -> Iterator[list[Context]]:
    """Runs of contexts that are encoded and asked in one turn: at least one, at most `most`."""
    options = sum(len(vectors) for vectors in questions)
    turn: list[Context] = []
    room = TURN_CELLS
    for context in contexts:
        width = 1 + width_of(context)
        room -= width * (width + options)
        if turn and (room < 0 or len(turn) == most):
            yield turn
            turn, room = [], TURN_CELLS - width * (width + options)
        turn.append(context)
    if turn:
        yield turn


def width_of(context: Context) -> int:
    """Tokens of a context."""
    return sum(len(item.values) for item in context.items)


def cost_of(
    contexts: Sequence[Context], targets: Sequence[FloatArray], *, encoded: bool = False
) -> int:
    """What a job takes of a batch; `encoded`: its contexts are encoded for it."""
    tokens = len(contexts) * sum(len(vectors) for vectors in targets)
    if encoded:
        tokens += sum(map(width_of, contexts))
    return 1 + tokens // TOKENS_PER_COST
