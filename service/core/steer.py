"""Generates the answer that a group would choose: draw n candidates, score them, take the best.

Candidates of one request are drawn once, whatever the number of groups; each group then has its
own choice among them.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

from service.core.admission import Admission
from service.core.candidates import Candidate, Draft, choose, consensus_of
from service.core.contexts import Contexts, GroupContext, Target, embed_finite
from service.core.domain import ChatPrompt, Completion, FloatArray, Message, SamplingParams
from service.core.draw import draw_all
from service.core.errors import (
    DeadlineExceeded,
    FieldError,
    GeneratorRejected,
    InvalidInput,
)
from service.core.faults import Faults
from service.core.limits import Limits
from service.core.ports import Embedder, Generator, Scorer
from service.core.reasoning import split_reasoning
from service.core.score import approvals, clip_responses
from service.core.steering import Steering, steer_prompt
from service.core.timing import Stopwatch

# With allow_partial, drawing ends here so that scoring still fits into the time.
_PARTIAL_SHARE = 0.9


@dataclass(frozen=True, slots=True)
class GenerateRequest:
    """One request; `prompt_at` is the pointer of the field that holds the embedded prompt."""

    target: Target
    messages: tuple[Message, ...]
    prompt_at: str
    n: int
    params: SamplingParams
    seed: int | None
    steering: Steering
    timeout_s: float
    allow_partial: bool


@dataclass(frozen=True, slots=True)
class Choice:
    """One group's candidates, best first."""

    group: GroupContext
    candidates: tuple[Candidate, ...]

    @property
    def text(self) -> str:
        """The chosen text."""
        return self.candidates[0].draft.text


@dataclass(frozen=True, slots=True)
class Generation:
    """What /generate answers: a choice for each group, and what it cost."""

    model: str
    choices: tuple[Choice, ...]
    consensus_weight: float
    seed: int
    prompt_tokens: int
    completion_tokens: int
    failed: int
    timings: dict[str, float]


class Steer:
    """The use case behind /generate."""

    def __init__(
        self,
        *,
        contexts: Contexts,
        generator: Generator,
        embedder: Embedder,
        scorer: Scorer,
        admission: Admission,
        limits: Limits,
        system_prompt: str | None = None,
        consensus_weight: float = 0.0,
    ) -> None:
        self._contexts = contexts
        self._generator = generator
        self._embedder = embedder
        self._scorer = scorer
        self._admission = admission
        self._limits = limits
        self._system_prompt = system_prompt
        self._consensus_weight = consensus_weight

    async def run(self, tenant: str, request: GenerateRequest) -> Generation:
        """Draw, score and choose within the request's time.

        Raises DeadlineExceeded, GeneratorError, InvalidInput (also for what the model refuses).
        """
        watch = Stopwatch.current()
        deadline = time.monotonic() + request.timeout_s
        self._check(request)
        try:
            async with asyncio.timeout(request.timeout_s):
                with ExitStack() as places:
                    with watch.stage("queue"):
                        places.enter_context(self._admission.reserve(request.n))
                    return await self._run(tenant, request, watch, deadline)
        except GeneratorRejected as exc:
            # Nearly always a prompt that is too long for the model; the message tells.
            raise InvalidInput([FieldError(request.prompt_at, str(exc))]) from exc
        except TimeoutError as exc:
            raise DeadlineExceeded(f"No answer within {request.timeout_s:g} s.") from exc

    async def _run(
        self, tenant: str, request: GenerateRequest, watch: Stopwatch, deadline: float
    ) -> Generation:
        # 1. The groups and their contexts: an unknown group costs no drawing.
        with watch.stage("context"):
            groups = await self._contexts.load(tenant, request.target)
        prompt = steer_prompt(
            request.messages,
            system_prompt=self._system_prompt,
            steering=request.steering,
            groups=groups,
        )
        # 2. n candidates, each with its own seed.
        seed = secrets.randbelow(2**31) if request.seed is None else request.seed
        with watch.stage("generate"):
            completions = await self._draw(request, prompt, seed, deadline)
        drafts = [_draft(i, c) for i, c in enumerate(completions) if c is not None]
        # 3. What is left of them after reasoning is taken out, as vectors.
        with watch.stage("embed"):
            drafts, vectors = await self._embed(_last_user_turn(request.messages), drafts)
            near = await self._consensus(drafts)
        # 4. Each group's scores and choice.
        with watch.stage("score"):
            choices = await self._choose(groups, drafts, vectors, near)
        drawn = [c for c in completions if c is not None]
        return Generation(
            model=self._generator.model,
            choices=choices,
            consensus_weight=self._consensus_weight,
            seed=seed,
            prompt_tokens=sum(c.prompt_tokens for c in drawn),
            completion_tokens=sum(c.completion_tokens for c in drawn),
            failed=len(completions) - len(drawn),
            timings=watch.timings(),
        )

    async def _draw(
        self, request: GenerateRequest, prompt: ChatPrompt, seed: int, deadline: float
    ) -> list[Completion | None]:
        if request.allow_partial:
            deadline -= (1 - _PARTIAL_SHARE) * request.timeout_s
        return await draw_all(
            self._generator,
            prompt,
            request.params,
            seeds=range(seed, seed + request.n),
            deadline=deadline,
            allow_partial=request.allow_partial,
        )

    async def _embed(
        self, prompt: str, drafts: Sequence[Draft]
    ) -> tuple[list[Draft], FloatArray | None]:
        """The drafts with `truncated` set, and the vectors of those that are not empty."""
        scored = [draft for draft in drafts if not draft.is_empty]
        if not scored:
            return list(drafts), None
        clipped = await clip_responses(
            self._embedder, prompt, [draft.text for draft in scored], self._limits
        )
        cut = {draft.index: c.truncated for draft, c in zip(scored, clipped, strict=True)}
        marked = [replace(draft, truncated=cut.get(draft.index, False)) for draft in drafts]
        pairs = [(c.prompt, c.response) for c in clipped]
        return marked, await embed_finite(self._embedder, pairs)

    async def _consensus(self, drafts: Sequence[Draft]) -> list[float]:
        """For each draft that is not empty: how near the others are, 0 where that has no weight.

        Of the bare texts: with the prompt in front, the vectors of all drafts are alike.
        """
        texts = [draft.text for draft in drafts if not draft.is_empty]
        if not self._consensus_weight or len(texts) < 2:
            return [0.0] * len(texts)
        clipped = await clip_responses(self._embedder, "", texts, self._limits)
        pairs = [(c.prompt, c.response) for c in clipped]
        return consensus_of(await embed_finite(self._embedder, pairs))

    async def _choose(
        self,
        groups: Sequence[GroupContext],
        drafts: Sequence[Draft],
        vectors: FloatArray | None,
        near: Sequence[float],
    ) -> tuple[Choice, ...]:
        weight = self._consensus_weight
        if vectors is None:
            nothing = choose(drafts, [], [], consensus_weight=weight)
            return tuple(Choice(group, nothing) for group in groups)
        scores = await self._scorer.score([group.context for group in groups], vectors)
        return tuple(
            Choice(group, choose(drafts, approvals(s), near, consensus_weight=weight))
            for group, s in zip(groups, scores, strict=True)
        )

    def _check(self, request: GenerateRequest) -> None:
        faults = Faults()
        limits = self._limits
        faults.cap("/n", request.n, limits.n, "candidates")
        faults.cap("/max_tokens", request.params.max_tokens, limits.tokens, "tokens")
        faults.cap("/timeout_s", request.timeout_s, limits.timeout_s, "seconds")
        chars = sum(len(message.content) for message in request.messages)
        faults.cap(request.prompt_at, chars, limits.text_chars, "characters")
        if not any(message.role == "user" for message in request.messages):
            faults.wrong(request.prompt_at, "at least one message of the user")
        faults.check()


def _last_user_turn(messages: Sequence[Message]) -> str:
    return next(m.content for m in reversed(messages) if m.role == "user")


def _draft(index: int, completion: Completion) -> Draft:
    text, reasoning = split_reasoning(completion.text)
    return Draft(index, text, reasoning, completion.finish_reason, completion.completion_tokens)
