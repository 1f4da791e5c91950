"""Which tokens of a prompt with an answer belong to the answer. Runs no model, imports no torch.

A tokenizer may join the end of a prompt and the start of an answer into one token, so prompt and
answer are tokenised together. The answer's tokens are those behind the longest beginning that the
prompt alone and the prompt with each of the answers share. Where a token spans the border, its
part of the prompt counts for every answer alike, so answers still compare.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Turn = Mapping[str, str]


class OptionTokensError(ValueError):
    """A prompt and its options cannot be written as tokens."""


@dataclass(frozen=True, slots=True)
class Joined:
    """The tokens of prompt and option together, for each option; from `start` on they are its."""

    start: int
    sequences: tuple[tuple[int, ...], ...]


def join(tokenizer: Any, prompt: str | Sequence[Turn], options: Sequence[str]) -> Joined:
    """Tokens of a prompt with each option, by a Hugging Face tokenizer.

    Chat turns go through the model's template with the option as the assistant's turn, left open;
    raw text is continued as it stands. Raises OptionTokensError, UnicodeEncodeError, and what the
    template raises.
    """
    if isinstance(prompt, str):
        texts = [prompt, *(prompt + option for option in options)]
    else:
        if not tokenizer.chat_template:
            raise OptionTokensError("This model has no chat template.")
        turns = list(prompt)
        texts = [
            tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True),
            *(_answered(tokenizer, turns, option) for option in options),
        ]
    for text in texts:
        text.encode()  # tokenizers meet half a surrogate pair with a TypeError
    special = isinstance(prompt, str)
    # Not verbose: of a text that is too long it would warn; callers check the length.
    ids = [tokenizer.encode(t, add_special_tokens=special, verbose=False) for t in texts]
    return joined(ids[0], ids[1:])


def joined(alone: Sequence[int], sequences: Sequence[Sequence[int]]) -> Joined:
    """From the tokens of the prompt alone, and with each option. Raises OptionTokensError."""
    start = 0
    for tokens in zip(alone, *sequences, strict=False):
        if len(set(tokens)) > 1:
            break
        start += 1
    if not start:
        raise OptionTokensError("The options leave no token of the prompt as it is.")
    return Joined(start, tuple(map(tuple, sequences)))


def _answered(tokenizer: Any, turns: Sequence[Turn], option: str) -> str:
    answered = [*turns, {"role": "assistant", "content": option}]
    try:
        text = tokenizer.apply_chat_template(answered, tokenize=False, continue_final_message=True)
    except ValueError as exc:
        # transformers says so when the template changes the turn beyond recognition.
        raise OptionTokensError(f"The chat template cannot leave a turn open: {exc}") from exc
    return str(text)
