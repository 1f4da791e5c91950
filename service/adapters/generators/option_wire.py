"""vLLM's `prompt_logprobs` over HTTP: request bodies out, log-probabilities in.

OpenAI's chat format has no field for the log-probabilities of a given answer. vLLM has: they come
with the token ids, and the answer goes in as the assistant's turn, left open.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from models.option_tokens import Joined, OptionTokensError, joined
from service.core.domain import ChatPrompt, Prompt
from service.core.errors import GeneratorProtocolError, GeneratorRejected


@dataclass(frozen=True, slots=True)
class ReadPrompt:
    """The tokens of a prompt that the server read, each with its log-probability."""

    tokens: tuple[int, ...]
    logprobs: tuple[float, ...]


def request_body(
    prompt: Prompt, option: str | None, *, model: str, cache_salt: str | None, vllm: bool
) -> dict[str, Any]:
    """The JSON body that has a prompt read, with an option behind it or alone."""
    body: dict[str, Any] = {
        "model": model,
        "max_tokens": 1,
        "temperature": 0.0,
        "prompt_logprobs": 0,
    }
    if isinstance(prompt, ChatPrompt):
        turns = [{"role": m.role, "content": m.content} for m in prompt.messages]
        if option is not None:
            turns.append({"role": "assistant", "content": option})
            body |= {"add_generation_prompt": False, "continue_final_message": True}
        body["messages"] = turns
    else:
        body["prompt"] = prompt.text + (option or "")
    if vllm and cache_salt is not None:
        body["cache_salt"] = cache_salt
    return body


def read_prompt(payload: Any, *, url: str) -> ReadPrompt:
    """The tokens of an answer. Raises GeneratorProtocolError when the server gives none."""
    try:
        found = payload.get("prompt_logprobs") or payload["choices"][0].get("prompt_logprobs")
    except (AttributeError, KeyError, IndexError, TypeError):
        found = None
    if not found:
        raise GeneratorProtocolError(unable(url))
    try:
        # No context stands before the first token, so it has no log-probability and no id. With
        # 0 asked for, each other position holds the token that is there and nothing else.
        pairs = [next(iter(entry.items())) for entry in found[1:]]
        tokens = tuple(int(token) for token, _ in pairs)
        return ReadPrompt(tokens, tuple(float(entry["logprob"]) for _, entry in pairs))
    except (AttributeError, KeyError, TypeError, ValueError, StopIteration) as exc:
        raise GeneratorProtocolError("The generator's prompt_logprobs cannot be read.") from exc


def unable(url: str) -> str:
    """What to tell of a server that cannot do it."""
    return (
        f"The generator at {url} gives no log-probabilities of a prompt, which GPO_PRIOR=llm and "
        "GPO_PRIOR=both need; vLLM does. Set GPO_PRIOR=bank, or GPO_GENERATOR_URL to a vLLM server."
    )


def option_sums(alone: ReadPrompt, answered: list[ReadPrompt]) -> list[float]:
    """For each option the sum over its tokens. Raises GeneratorRejected."""
    try:
        found: Joined = joined(alone.tokens, [read.tokens for read in answered])
    except OptionTokensError as exc:
        raise GeneratorRejected(str(exc)) from exc
    return [sum(read.logprobs[found.start :]) for read in answered]
