"""How the text of every kind of preference is read, and how a text that is too long is cut.

A prompt and a response are embedded each on its own, and their vectors stand side by side.
Owns token counts and budgets, which are those of both together; knows tokenizers, but no model.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from tokenizers import Tokenizer

TEMPLATE = "prompt-beside-response/3"
QUOTES = re.compile(
    r"“([^“”]+)”|\"([^\"]+)\"|«([^«»]+)»|(?:^|(?<=[\s:]))'(.+)'(?=$|[\s?.!])", re.DOTALL
)
QUOTED_WORDS = 3  # of a quotation that counts
QUOTED_SHARE = 0.3  # of the text's characters
PROMPT_TOKENS = 96
RESPONSE_TOKENS = 152


def together(prompt: str, response: str) -> str:
    """`prompt`, a newline, `response`, both stripped: the text whose tokens are counted.

    An empty part leaves no newline behind.
    """
    return "\n".join(part for part in (prompt.strip(), response.strip()) if part)


def quotation(text: str) -> str | None:
    """The one statement that a text is about, as it quotes it, or None.

    Questions such as "Would you say this: “…”?" are all alike but for the statement.
    """
    found = [next(filter(None, groups)).strip() for groups in QUOTES.findall(text)]
    if len(found) != 1 or len(found[0].split()) < QUOTED_WORDS:
        return None
    return found[0] if len(found[0]) >= QUOTED_SHARE * len(text) else None


class TokenWindow:
    """Counts and cuts texts for a model that reads `max_tokens`, special tokens included.

    Keeps a private copy of the tokenizer whose truncation and padding nobody switches on, so
    counts are of the whole text and threads may share one window.
    """

    def __init__(self, tokenizer: Tokenizer, max_tokens: int) -> None:
        self._tokenizer = Tokenizer.from_str(tokenizer.to_str())
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self.max_tokens = max_tokens

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, special tokens included, never truncated."""
        return [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """Number of tokens of each text, special tokens included."""
        return [len(ids) for ids in self.ids(texts)]

    def clip(self, prompt: str, response: str) -> tuple[str, str, bool]:
        """The prompt's last 96 and the response's first 152 tokens, and whether text was cut.

        A pair that fits comes back unchanged. Cuts fall between characters of the original text.
        For a window under 250 tokens both budgets shrink in proportion.
        """
        if self._fits(prompt, response):
            return prompt, response, False
        share = min(1.0, self.max_tokens / (PROMPT_TOKENS + RESPONSE_TOKENS))
        head, tail = int(PROMPT_TOKENS * share), int(RESPONSE_TOKENS * share)
        while True:
            short_prompt = self._last(prompt.strip(), head)
            short_response = self._first(response.strip(), tail)
            if self._fits(short_prompt, short_response):
                return short_prompt, short_response, True
            # A word that is cut in two can take more tokens than it had: tighten and try again.
            head, tail = max(0, head - 1), max(0, tail - 1)

    def _fits(self, prompt: str, response: str) -> bool:
        return self.lengths([together(prompt, response)])[0] <= self.max_tokens

    def _offsets(self, text: str) -> list[tuple[int, int]]:
        offsets: list[tuple[int, int]] = self._tokenizer.encode(
            text, add_special_tokens=False
        ).offsets
        return offsets

    def _first(self, text: str, tokens: int) -> str:
        offsets = self._offsets(text)
        if len(offsets) <= tokens:
            return text
        return text[: offsets[tokens - 1][1]] if tokens else ""

    def _last(self, text: str, tokens: int) -> str:
        offsets = self._offsets(text)
        if len(offsets) <= tokens:
            return text
        return text[offsets[-tokens][0] :] if tokens else ""
