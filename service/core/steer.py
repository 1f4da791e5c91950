"""Generates the answer that a group would choose: draw n candidates, score them, take the best.

Each candidate is embedded while the others are still being drawn. The candidates of a request are
drawn once, whatever the number of groups; each group has its own choice among them.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from service.core.admission import Admission
from service.core.allotted import allotted
from service.core.candidates import APPROVAL_ALONE, Candidate, Draft, Weights, choose
from service.core.contexts import Contexts, GroupContext, Target
from service.core.domain import Completion, Prompt, RawPrompt, SamplingParams
from service.core.draft_scorer import DraftScorer, EmbeddedDraft, ScoredDraft
from service.core.draw import draw_one, run_all
from service.core.faults import Faults
from service.core.limits import Limits
from service.core.ports import Embedder, Generator, Scorer
from service.core.reasoning import split_reasoning
from service.core.steering import Steering, steer_prompt
from service.core.tenants import cache_salt
from service.core.texts import check_prompt
from service.core.timing import Stopwatch

# With allow_partial, drawing ends here so that scoring still fits into the time.
_PARTIAL_SHARE = 0.9


@dataclass(frozen=True, slots=True)
class GenerateRequest:
    """One request; `prompt_at` is the pointer of the field that holds the embedded prompt."""

    target: Target
    prompt: Prompt
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
    weights: Weights
    seed: int
    prompt_tokens: int
    completion_tokens: int
    failed: int
    timings: dict[str, float]


@dataclass(frozen=True, slots=True)
class Begun:
    """The request was admitted and its groups are known: drawing begins."""

    groups: tuple[GroupContext, ...]
    seed: int


Listener = Callable[[Begun | ScoredDraft], None]
"""Told when drawing begins, and then of each candidate as it is scored."""


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
        weights: Weights = APPROVAL_ALONE,
    ) -> None:
        self._contexts = contexts
        self._generator = generator
        self._embedder = embedder
        self._scorer = scorer
        self._admission = admission
        self._limits = limits
        self._system_prompt = system_prompt
        self._weights = weights

    async def run(
        self, tenant: str, request: GenerateRequest, *, listen: Listener | None = None
    ) -> Generation:
        """Draw, score and choose within the request's time, telling `listen` of each step.

        Raises DeadlineExceeded, GeneratorError, InvalidInput (also for what the model refuses).
        """
        self._check(request)
        async with allotted(
            self._admission,
            places=request.n,
            timeout_s=request.timeout_s,
            prompt_at=request.prompt_at,
        ) as deadline:
            return await self._run(tenant, request, deadline, listen)

    async def _run(
        self, tenant: str, request: GenerateRequest, deadline: float, listen: Listener | None
    ) -> Generation:
        watch = Stopwatch.current()
        # 1. The groups and their contexts: an unknown group costs no drawing.
        with watch.stage("context"):
            groups = await self._contexts.load(tenant, request.target)
        prompt = steer_prompt(
            request.prompt,
            system_prompt=self._system_prompt,
            steering=request.steering,
            groups=groups,
        )
        seed = secrets.randbelow(2**31) if request.seed is None else request.seed
        if listen is not None:
            listen(Begun(tuple(groups), seed))
        # 2. n candidates, each with its own seed, each embedded as soon as it is drawn.
        scorer = DraftScorer(
            self._embedder,
            self._scorer,
            self._limits,
            prompt=_asked(request.prompt),
            contexts=[group.context for group in groups],
        )
        drawing = _Drawing(
            self._generator, scorer, request, prompt, deadline, cache_salt(tenant), listen
        )
        drawn = await run_all(
            [drawing.one(index, seed + index) for index in range(request.n)],
            allow_partial=request.allow_partial,
        )
        # 3. What all of them are compared by: scores, nearness, and each group's choice.
        found = [candidate for candidate in drawn if candidate is not None]
        choices = await self._choose(groups, scorer, [embedded for _, embedded in found])
        return Generation(
            model=self._generator.model,
            choices=choices,
            weights=self._weights,
            seed=seed,
            prompt_tokens=sum(c.prompt_tokens for c, _ in found),
            completion_tokens=sum(c.completion_tokens for c, _ in found),
            failed=request.n - len(found),
            timings=watch.timings(),
        )

    async def _choose(
        self, groups: Sequence[GroupContext], scorer: DraftScorer, drawn: Sequence[EmbeddedDraft]
    ) -> tuple[Choice, ...]:
        drafts = [embedded.draft for embedded in drawn]
        near = await scorer.nearness(drafts, self._weights)
        return tuple(
            Choice(group, choose(drafts, approvals, near, weights=self._weights))
            for group, approvals in zip(groups, await scorer.score_all(drawn), strict=True)
        )

    def _check(self, request: GenerateRequest) -> None:
        faults = Faults()
        limits = self._limits
        faults.cap("/n", request.n, limits.n, "candidates")
        faults.cap("/max_tokens", request.params.max_tokens, limits.tokens, "tokens")
        faults.cap("/timeout_s", request.timeout_s, limits.timeout_s, "seconds")
        check_prompt(request.prompt, at=request.prompt_at, limits=limits, faults=faults)
        faults.check()


def _asked(prompt: Prompt) -> str:
    """What the candidates answer: the last turn of the user, or the raw text."""
    if isinstance(prompt, RawPrompt):
        return prompt.text
    return next(m.content for m in reversed(prompt.messages) if m.role == "user")


@dataclass(frozen=True, slots=True)
class _Drawing:
    """What the candidates of one request have in common."""

    generator: Generator
    scorer: DraftScorer
    request: GenerateRequest
    prompt: Prompt
    deadline: float
    cache_salt: str
    listen: Listener | None

    async def one(self, index: int, seed: int) -> tuple[Completion, EmbeddedDraft]:
        """Draw a candidate and embed it; where someone listens, score it and tell of it."""
        with Stopwatch.current().stage("generate"):
            completion = await draw_one(
                self.generator,
                self.prompt,
                self.request.params,
                seed=seed,
                deadline=self._drawn_by,
                cache_salt=self.cache_salt,
            )
        text, reasoning = split_reasoning(completion.text)
        draft = Draft(
            index, text, reasoning, completion.finish_reason, completion.completion_tokens
        )
        embedded = await self.scorer.embed(draft)
        if self.listen is not None:
            self.listen(await self.scorer.score_one(embedded))
        return completion, embedded

    @property
    def _drawn_by(self) -> float:
        request = self.request
        saved = (1 - _PARTIAL_SHARE) * request.timeout_s if request.allow_partial else 0.0
        return self.deadline - saved
