"""Tells of a text while its tokens come, in pieces that never have to be taken back.

Owns what has been told of one text; knows neither models nor threads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from service.core.ports import OnText

Decode = Callable[[Sequence[int]], str]

_UNFINISHED = "\ufffd"
"""What a tokenizer makes of bytes that are no whole character yet."""


class Pieces:
    """One text in the making; the pieces told, joined, are what `end` was given."""

    def __init__(self, tell: OnText, decode: Decode, *, held_back: int = 0) -> None:
        """The last `held_back` characters wait: they may yet belong to a stop string."""
        self._tell = tell
        self._decode = decode
        self._held_back = held_back
        self._text = ""
        self._told = 0
        # Tokens are decoded behind a few that are known, since the first of a text may read
        # otherwise alone; decoding all of them each time would cost the square of the length.
        self._known_from = 0
        self._known_to = 0

    def grow(self, tokens: Sequence[int]) -> None:
        """Tell what is certain of all the tokens so far."""
        known = self._decode(tokens[self._known_from : self._known_to])
        both = self._decode(tokens[self._known_from :])
        if both.endswith(_UNFINISHED) or not both.startswith(known):
            return
        self._text += both[len(known) :]
        self._known_from, self._known_to = self._known_to, len(tokens)
        self._up_to(self._text[: max(0, len(self._text) - self._held_back)])

    def end(self, text: str) -> None:
        """Tell the rest of the whole text."""
        self._up_to(text)

    def _up_to(self, text: str) -> None:
        if len(text) > self._told:
            self._tell(text[self._told :])
            self._told = len(text)
