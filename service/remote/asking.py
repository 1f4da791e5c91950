"""The calls that ask for a group's opinion. The clients take their methods from here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import httpx

from service.remote.answers import Generation, Predictions, Scores, read
from service.remote.call import Call, Preference, T_co, present

GENERATE_TIMEOUT_S = 60.0  # the service's own default
_MARGIN_S = 10.0


def predict(
    question: str | None = None,
    options: Sequence[str] | None = None,
    *,
    questions: Sequence[Mapping[str, Any]] | None = None,
    group_id: str | None = None,
    group_ids: Sequence[str] | None = None,
    preferences: Sequence[Preference] | None = None,
    explain: bool | None = None,
) -> Call[Predictions]:
    """How a group, or each of several, answers a question or each of several.

    Exactly one of `group_id`, `group_ids`, `preferences`; `question` and `options`, or `questions`.
    `explain`: each prediction also says what every preference did to it; that takes longer.
    """
    return predict_body(
        present(
            group_id=group_id,
            group_ids=group_ids,
            preferences=preferences,
            question=question,
            options=options,
            questions=questions,
            explain=explain,
        )
    )


def predict_body(body: Mapping[str, Any]) -> Call[Predictions]:
    """The same with the body as it is."""
    return _asked("/predict", body, lambda response: read(Predictions, response))


def score(
    prompt: str,
    responses: Sequence[str],
    *,
    group_id: str | None = None,
    group_ids: Sequence[str] | None = None,
    preferences: Sequence[Preference] | None = None,
) -> Call[Scores]:
    """The share of a group, or of each of several, that approves of each response to a prompt.

    Exactly one of `group_id`, `group_ids`, `preferences`.
    """
    return score_body(
        present(
            group_id=group_id,
            group_ids=group_ids,
            preferences=preferences,
            prompt=prompt,
            responses=responses,
        )
    )


def score_body(body: Mapping[str, Any]) -> Call[Scores]:
    """The same with the body as it is."""
    return _asked("/score", body, lambda response: read(Scores, response))


def generate(
    prompt: str | None = None,
    *,
    messages: Sequence[Mapping[str, str]] | None = None,
    group_id: str | None = None,
    group_ids: Sequence[str] | None = None,
    preferences: Sequence[Preference] | None = None,
    n: int | None = None,
    temperature: float | None = None,
    top_p: float | None = None,
    max_tokens: int | None = None,
    stop: str | Sequence[str] | None = None,
    seed: int | None = None,
    steering: Literal["none", "description", "preferences"] | None = None,
    return_candidates: bool | None = None,
    timeout_s: float | None = None,
    allow_partial: bool | None = None,
) -> Call[Generation]:
    """Draw n candidates and give the one that the group chooses, best first.

    Exactly one of `group_id`, `group_ids`, `preferences`, and of `prompt`, `messages`; what is not
    given is the service's default. Raises GeneratorFailed, DeadlineExceeded, Overloaded.
    """
    return generate_body(
        present(
            group_id=group_id,
            group_ids=group_ids,
            preferences=preferences,
            prompt=prompt,
            messages=messages,
            n=n,
            temperature=temperature,
            top_p=top_p,
            max_tokens=max_tokens,
            stop=stop,
            seed=seed,
            steering=steering,
            return_candidates=return_candidates,
            timeout_s=timeout_s,
            allow_partial=allow_partial,
        )
    )


def generate_body(body: Mapping[str, Any]) -> Call[Generation]:
    """The same with the body as it is."""
    return _asked(
        "/generate",
        {**body, "stream": False},
        lambda response: read(Generation, response),
        work_s=_work_s(body),
    )


def streamed(call: Call[Generation]) -> Call[Generation]:
    """A generation that is answered as server-sent events."""
    return Call(
        method=call.method,
        path=call.path,
        headers={**call.headers, "Accept": "text/event-stream"},
        body={**(call.body or {}), "stream": True},
        read=call.read,
        work_s=call.work_s,
    )


def _asked(
    path: str,
    body: Mapping[str, Any],
    reader: Callable[[httpx.Response], T_co],
    *,
    work_s: float = 0.0,
) -> Call[T_co]:
    return Call(method="POST", path=path, body=body, read=reader, work_s=work_s)


def _work_s(body: Mapping[str, Any]) -> float:
    given = body.get("timeout_s")
    return (given if isinstance(given, (int, float)) else GENERATE_TIMEOUT_S) + _MARGIN_S
