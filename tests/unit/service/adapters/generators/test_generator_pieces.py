"""Pieces of a text: never taken back, never half a character, and never a part of a stop string."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from service.adapters.generators.pieces import Pieces


def decode(tokens: Sequence[int]) -> str:
    """A tokenizer whose tokens are bytes."""
    return bytes(tokens).decode("utf-8", "replace")


def tell(text: str, *, held_back: int = 0) -> list[str]:
    told: list[str] = []
    pieces = Pieces(told.append, decode, held_back=held_back)
    tokens = list(text.encode())
    for end in range(1, len(tokens)):
        pieces.grow(tokens[:end])
        assert not "".join(told).endswith("\ufffd")
        assert len("".join(told)) <= max(0, len(decode(tokens[:end])) - held_back)
    pieces.end(text)
    return told


@given(st.text(), st.integers(0, 5))
def test_joined_they_are_the_text(text: str, held_back: int) -> None:
    told = tell(text, held_back=held_back)
    assert "".join(told) == text
    assert all(told)


def test_they_come_token_by_token() -> None:
    assert tell("a\u00e4b") == ["a", "\u00e4", "b"]


def test_a_tokenizer_that_drops_the_first_space_of_what_it_reads() -> None:
    words = ["\u2581a", "\u2581b", "c", "\u2581d"]

    def stripped(tokens: Sequence[int]) -> str:
        return "".join(words[t] for t in tokens).replace("\u2581", " ").removeprefix(" ")

    told: list[str] = []
    pieces = Pieces(told.append, stripped)
    for end in range(1, 4):
        pieces.grow(list(range(end)))
    pieces.end(stripped(range(4)))
    assert told == ["a", " b", "c", " d"]
