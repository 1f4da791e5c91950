"""Takes a model's reasoning out of its answer. Knows the tag, not the models."""

from __future__ import annotations

import re

_OPEN = "<think>"
_CLOSE = "</think>"
_BLOCK = re.compile(r"<think>.*?(?:</think>|\Z)", re.DOTALL)


def split_reasoning(text: str) -> tuple[str, str | None]:
    """The answer, and the reasoning or None.

    A block that the token limit cut off is reasoning to its end. A closing tag without an opening
    one belongs to chat templates that open the block in the prompt.
    """
    blocks: list[str] = []
    before, close, after = text.partition(_CLOSE)
    if close and _OPEN not in before:
        blocks.append(before)
        text = after

    def keep(match: re.Match[str]) -> str:
        blocks.append(match[0].removeprefix(_OPEN).removesuffix(_CLOSE))
        return ""

    answer = _BLOCK.sub(keep, text)
    if not blocks:
        return text, None
    return answer.strip(), "\n".join(block.strip() for block in blocks)
