"""Turns a prompt into token ids and ids into text with a Hugging Face tokenizer; runs no model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jinja2.exceptions import TemplateError

from models.option_tokens import Joined, OptionTokensError, join
from service.core.domain import ChatPrompt, Prompt
from service.core.errors import GeneratorRejected

NOT_UNICODE = "The prompt holds half a surrogate pair, which is not a character."
NO_TEMPLATE = "This model has no chat template; send raw text to completions."


def encode(tokenizer: Any, prompt: Prompt) -> list[int]:
    """Token ids of a prompt: chat turns through the model's template, raw text as it stands.

    Raises GeneratorRejected when the model has no template or its template refuses the turns.
    """
    if not isinstance(prompt, ChatPrompt):
        return _tokenize(tokenizer, prompt.text, special=True)
    if not tokenizer.chat_template:
        raise GeneratorRejected(NO_TEMPLATE)
    try:
        text = tokenizer.apply_chat_template(
            turns(prompt), tokenize=False, add_generation_prompt=True
        )
    except TemplateError as exc:
        raise GeneratorRejected(f"The model's chat template refuses these turns: {exc}") from exc
    return _tokenize(tokenizer, text, special=False)


def turns(prompt: ChatPrompt) -> list[dict[str, str]]:
    """The messages as a chat template reads them."""
    return [{"role": m.role, "content": m.content} for m in prompt.messages]


def encode_options(tokenizer: Any, prompt: Prompt, options: Sequence[str], *, limit: int) -> Joined:
    """Token ids of a prompt with each option; see `models.option_tokens`.

    Raises GeneratorRejected as `encode` does, and for more tokens than the model reads.
    """
    if isinstance(prompt, ChatPrompt) and not tokenizer.chat_template:
        raise GeneratorRejected(NO_TEMPLATE)
    said = turns(prompt) if isinstance(prompt, ChatPrompt) else prompt.text
    try:
        found = join(tokenizer, said, options)
    except TemplateError as exc:
        raise GeneratorRejected(f"The model's chat template refuses these turns: {exc}") from exc
    except OptionTokensError as exc:
        raise GeneratorRejected(str(exc)) from exc
    except UnicodeEncodeError as exc:
        raise GeneratorRejected(NOT_UNICODE) from exc
    for sequence in found.sequences:
        room(len(sequence), 1, limit)
    return found


def _tokenize(tokenizer: Any, text: str, *, special: bool) -> list[int]:
    try:
        text.encode()
    except UnicodeEncodeError as exc:
        raise GeneratorRejected(NOT_UNICODE) from exc
    # Not verbose: of a text that is too long it would warn, and `room` refuses that anyway.
    return list(tokenizer.encode(text, add_special_tokens=special, verbose=False))


def room(prompt_tokens: int, max_tokens: int, limit: int) -> int:
    """Tokens that a completion may have: max_tokens, or what the context of `limit` leaves.

    Raises GeneratorRejected where vLLM's server refuses too: no place after the prompt, or
    max_tokens alone over the context.
    """
    if prompt_tokens >= limit:
        raise GeneratorRejected(
            f"The prompt has {prompt_tokens} tokens; this model reads {limit}, the answer included."
        )
    if max_tokens > limit:
        raise GeneratorRejected(
            f"max_tokens is {max_tokens}; this model reads {limit} tokens, the prompt included."
        )
    return min(max_tokens, limit - prompt_tokens)


def decode(tokenizer: Any, tokens: Sequence[int]) -> str:
    """The text of completion tokens without special tokens, not stripped."""
    return str(
        tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    )


def stop_position(text: str, stop: Sequence[str]) -> int | None:
    """Where the earliest stop string begins, if one occurs."""
    found = [at for s in stop if (at := text.find(s)) >= 0]
    return min(found, default=None)
