"""Completions for no group: what the language model draws, as a plain server gives it.

Knows no group, no embedder and no scorer.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from service.core.admission import Admission
from service.core.allotted import allotted
from service.core.domain import Completion, Prompt, SamplingParams
from service.core.draw import draw_one, run_all
from service.core.faults import Faults
from service.core.limits import Limits
from service.core.ports import Generator
from service.core.steering import steer_prompt
from service.core.tenants import cache_salt
from service.core.texts import check_prompt
from service.core.timing import Stopwatch


@dataclass(frozen=True, slots=True)
class CompleteRequest:
    """One request; `prompt_at` is the pointer of the field that holds the prompt."""

    prompt: Prompt
    prompt_at: str
    n: int
    params: SamplingParams
    seed: int | None
    timeout_s: float


@dataclass(frozen=True, slots=True)
class Completions:
    """The n completions in the order of their seeds, seed, seed + 1, …"""

    completions: tuple[Completion, ...]
    seed: int


@dataclass(frozen=True, slots=True)
class Piece:
    """The next piece of the text of one completion."""

    index: int
    text: str


@dataclass(frozen=True, slots=True)
class Finished:
    """One completion has ended; its text was told in pieces."""

    index: int
    completion: Completion


Listener = Callable[[Piece | Finished], None]
"""Told of the text of each completion as it grows, and of its end."""


class Complete:
    """The use case behind the OpenAI-compatible routes when no group is named."""

    def __init__(
        self,
        *,
        generator: Generator,
        admission: Admission,
        limits: Limits,
        system_prompt: str | None = None,
    ) -> None:
        self._generator = generator
        self._admission = admission
        self._limits = limits
        self._system_prompt = system_prompt

    async def run(
        self, tenant: str, request: CompleteRequest, *, listen: Listener | None = None
    ) -> Completions:
        """Draw n completions within the request's time, telling `listen` as they grow.

        Raises DeadlineExceeded, GeneratorError, InvalidInput (also for what the model refuses).
        """
        self._check(request)
        seed = secrets.randbelow(2**31) if request.seed is None else request.seed
        prompt = steer_prompt(request.prompt, system_prompt=self._system_prompt)
        async with allotted(
            self._admission,
            places=request.n,
            timeout_s=request.timeout_s,
            prompt_at=request.prompt_at,
        ) as deadline:
            drawing = _Drawing(
                self._generator, prompt, request.params, deadline, cache_salt(tenant), listen
            )
            drawn = await run_all(
                [drawing.one(index, seed + index) for index in range(request.n)],
                allow_partial=False,
            )
        return Completions(tuple(c for c in drawn if c is not None), seed)

    def _check(self, request: CompleteRequest) -> None:
        faults = Faults()
        limits = self._limits
        faults.cap("/n", request.n, limits.n, "completions")
        faults.cap("/max_tokens", request.params.max_tokens, limits.tokens, "tokens")
        faults.cap("/timeout_s", request.timeout_s, limits.timeout_s, "seconds")
        check_prompt(request.prompt, at=request.prompt_at, limits=limits, faults=faults)
        faults.check()


@dataclass(frozen=True, slots=True)
class _Drawing:
    """What the completions of one request have in common."""

    generator: Generator
    prompt: Prompt
    params: SamplingParams
    deadline: float
    cache_salt: str
    listen: Listener | None

    async def one(self, index: int, seed: int) -> Completion:
        """Draw one completion and tell of it."""
        listen = self.listen
        with Stopwatch.current().stage("generate"):
            completion = await draw_one(
                self.generator,
                self.prompt,
                self.params,
                seed=seed,
                deadline=self.deadline,
                cache_salt=self.cache_salt,
                on_text=None if listen is None else (lambda text: listen(Piece(index, text))),
            )
        if listen is not None:
            listen(Finished(index, completion))
        return completion
