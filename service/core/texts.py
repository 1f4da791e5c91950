"""What a question or a prompt must hold, and whether texts fit into the embedder.

Knows pointers into the request, so that a fault names its field; knows no HTTP.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from service.core.domain import (
    Preference,
    Prompt,
    Question,
    RatingPreference,
    RawPrompt,
    SharePreference,
)
from service.core.faults import Faults
from service.core.limits import Limits
from service.core.ports import Embedder

# Below this many characters tokenising is faster than handing it to a thread.
_INLINE_CHARS = 4_000


@dataclass(frozen=True, slots=True)
class PlacedPair:
    """A (prompt, response) with the pointers of the two fields it came from."""

    prompt: str
    response: str
    prompt_at: str
    response_at: str


def check_options(options: Sequence[str], *, at: str, limits: Limits, faults: Faults) -> None:
    """Two options or more, within the cap, no two the same after stripping."""
    faults.cap(at, len(options), limits.options, "options")
    if len(options) < 2:
        faults.wrong(at, f"at least 2 options; found {len(options)}")
    seen: dict[str, int] = {}
    for index, option in enumerate(options):
        first = seen.setdefault(option.strip(), index)
        if first != index:
            faults.wrong(at, f"options {first} and {index} are the same")
            return


def check_prompt(prompt: Prompt, *, at: str, limits: Limits, faults: Faults) -> None:
    """Within the cap on characters; a conversation has a turn of the user."""
    if isinstance(prompt, RawPrompt):
        faults.cap(at, len(prompt.text), limits.text_chars, "characters")
        return
    chars = sum(len(message.content) for message in prompt.messages)
    faults.cap(at, chars, limits.text_chars, "characters")
    if not any(message.role == "user" for message in prompt.messages):
        faults.wrong(at, "at least one message of the user")


def place_preferences(preferences: Sequence[Preference], *, at: str) -> list[PlacedPair]:
    """Every pair of a list of preferences, in the order of the scorer's context."""
    placed: list[PlacedPair] = []
    for index, preference in enumerate(preferences):
        here = f"{at}/{index}"
        if isinstance(preference, SharePreference):
            names = [f"{here}/options/{k}" for k in range(len(preference.options))]
            prompt_at = f"{here}/question"
        elif isinstance(preference, RatingPreference):
            names, prompt_at = [f"{here}/response"], f"{here}/prompt"
        else:
            names, prompt_at = [f"{here}/chosen", f"{here}/rejected"], f"{here}/prompt"
        for name, response in zip(names, preference.responses, strict=True):
            placed.append(PlacedPair(preference.prompt, response, prompt_at, name))
    return placed


def place_question(question: Question, *, at: str) -> list[PlacedPair]:
    """The (question, option) pairs of one question."""
    return [
        PlacedPair(question.question, option, f"{at}/question", f"{at}/options/{index}")
        for index, option in enumerate(question.options)
    ]


async def check_fits(pairs: Sequence[PlacedPair], embedder: Embedder, limits: Limits) -> None:
    """Raise InvalidInput naming each text that is longer than the embedder reads.

    Of a pair that does not fit, the longer text is named.
    """
    readable, texts = _readable(pairs, limits)
    if sum(len(prompt) + len(response) for prompt, response in texts) <= _INLINE_CHARS:
        flags = embedder.oversized(texts)
    else:
        flags = await asyncio.to_thread(embedder.oversized, texts)
    _name_misfits(pairs, readable, flags)


def check_fits_here(pairs: Sequence[PlacedPair], embedder: Embedder, limits: Limits) -> None:
    """The same in the caller's thread, which is not the event loop's."""
    readable, texts = _readable(pairs, limits)
    _name_misfits(pairs, readable, embedder.oversized(texts))


def _readable(
    pairs: Sequence[PlacedPair], limits: Limits
) -> tuple[list[PlacedPair], list[tuple[str, str]]]:
    """The pairs that are short enough to be tokenised at all."""
    found = [p for p in pairs if max(len(p.prompt), len(p.response)) <= limits.text_chars]
    return found, [(p.prompt, p.response) for p in found]


def _name_misfits(
    pairs: Sequence[PlacedPair], readable: Sequence[PlacedPair], flags: Sequence[bool]
) -> None:
    faults = Faults()
    named: set[str] = set()
    too_long = {id(p) for p, flag in zip(readable, flags, strict=True) if flag}
    fits = {id(p) for p in readable} - too_long
    for pair in pairs:
        if id(pair) in fits:
            continue
        prompt_is_longer = len(pair.prompt) > len(pair.response)
        pointer = pair.prompt_at if prompt_is_longer else pair.response_at
        if pointer not in named:
            named.add(pointer)
            faults.wrong(
                pointer,
                "the text is longer than the embedder reads "
                "(prompt and response together count as one text)",
            )
    faults.check()
