"""The OpenAI wire format: request bodies out, completions and errors in. Opens no connection.

Fields outside OpenAI's schema go only to servers that say they are vLLM.
"""

from __future__ import annotations

from typing import Any, Literal

import httpx

from service.core.domain import ChatPrompt, Completion, Prompt, SamplingParams
from service.core.errors import (
    GeneratorError,
    GeneratorProtocolError,
    GeneratorRejected,
    GeneratorUnavailable,
    UnknownModel,
)

MESSAGE_CHARS = 300
"""How much of a server's own message is passed on."""

_FINISH: dict[object, Literal["stop", "length"]] = {"stop": "stop", "length": "length"}


def route(prompt: Prompt) -> str:
    """The path, below the base URL, that completes this kind of prompt."""
    return "/chat/completions" if isinstance(prompt, ChatPrompt) else "/completions"


def request_body(
    prompt: Prompt,
    params: SamplingParams,
    *,
    model: str,
    seed: int,
    cache_salt: str | None,
    vllm: bool,
    stream: bool = False,
) -> dict[str, Any]:
    """The JSON body of one completion. `cache_salt` is vLLM's alone and left out elsewhere."""
    body: dict[str, Any] = {
        "model": model,
        "temperature": params.temperature,
        "top_p": params.top_p,
        "max_tokens": params.max_tokens,
        "seed": seed,
    }
    if isinstance(prompt, ChatPrompt):
        body["messages"] = [{"role": m.role, "content": m.content} for m in prompt.messages]
    else:
        body["prompt"] = prompt.text
    if params.stop:
        body["stop"] = list(params.stop)
    if vllm and cache_salt is not None:
        body["cache_salt"] = cache_salt
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return body


def read_completion(payload: object) -> Completion:
    """The one choice of an answer. Raises GeneratorProtocolError when it has another shape.

    A server that counts no tokens gives 0; a chat message without content gives "".
    """
    try:
        choice = payload["choices"][0]  # type: ignore[index]
        text = choice["message"]["content"] if "message" in choice else choice["text"]
        reason = choice["finish_reason"]
    except (KeyError, IndexError, TypeError) as exc:
        raise GeneratorProtocolError("The generator's answer holds no completion.") from exc
    if not isinstance(text, str | None) or not isinstance(reason, str) or reason not in _FINISH:
        raise GeneratorProtocolError(
            f"The generator's answer cannot be used: finish_reason is {str(reason)[:40]!r}."
        )
    _require_unicode(text or "")
    usage = _usage(payload)
    return Completion(
        text=text or "",
        finish_reason=_FINISH[reason],
        prompt_tokens=usage.get("prompt_tokens", 0),
        completion_tokens=usage.get("completion_tokens", 0),
    )


def _usage(payload: Any) -> dict[str, int]:
    found = payload.get("usage")
    if not isinstance(found, dict):
        return {}
    return {k: v for k, v in found.items() if isinstance(v, int)}


def read_models(payload: object) -> tuple[tuple[str, ...], bool]:
    """Ids of the served models, and whether the server is vLLM. Raises GeneratorProtocolError."""
    try:
        entries = payload["data"]  # type: ignore[index]
        ids = tuple(str(entry["id"]) for entry in entries)
        vllm = any(entry.get("owned_by") == "vllm" for entry in entries)
    except (KeyError, TypeError, AttributeError) as exc:
        raise GeneratorProtocolError("The generator's list of models cannot be read.") from exc
    _require_unicode("".join(ids))
    return ids, vllm


def _require_unicode(text: str) -> None:
    """JSON may escape half a surrogate pair, which nothing after this could encode."""
    try:
        text.encode()
    except UnicodeEncodeError as exc:
        raise GeneratorProtocolError("The generator's answer is not Unicode text.") from exc


def parse_json(response: httpx.Response) -> object:
    """The body as JSON. Raises GeneratorProtocolError."""
    try:
        return response.json()
    # Lists in lists end the parser's recursion before they end the text.
    except (ValueError, RecursionError) as exc:
        raise GeneratorProtocolError("The generator's answer is not JSON.") from exc


def error_of(response: httpx.Response) -> GeneratorError:
    """What a status of 300 or more means to the service."""
    status, message = response.status_code, _message(response)
    if status in (401, 403):
        return GeneratorUnavailable(
            f"The generator refuses the service's key ({status}); check GPO_GENERATOR_API_KEY."
        )
    if status == 404:
        return UnknownModel(f"The generator does not know the model or route: {message}")
    if status == 429 or status >= 500:
        return GeneratorUnavailable(f"The generator answered {status}: {message}")
    if status >= 400:
        return GeneratorRejected(f"The generator refuses the request: {message}")
    return GeneratorProtocolError(f"The generator answered {status}, which is not expected.")


def _message(response: httpx.Response) -> str:
    """The server's own words, from OpenAI's error object where there is one."""
    try:
        payload = response.json()
        error = payload.get("error", payload)
        text = error.get("message", "") if isinstance(error, dict) else str(error)
    except (ValueError, AttributeError, RecursionError):
        text = response.text
    return str(text).strip()[:MESSAGE_CHARS] or response.reason_phrase
