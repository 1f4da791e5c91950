"""A language model whose work is counted: candidates, tokens, failures. Knows no metrics.

Texts go into the log only where it was told so, and only at debug level.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence

from service.core.domain import Completion, Prompt, SamplingParams
from service.core.errors import GpoServeError
from service.core.ports import LanguageModel, OnText
from service.core.timing import Stopwatch

_LOG = logging.getLogger(__name__)


class CountedLanguageModel:
    """Passes every call on; the counters are plain ones, for whoever wants to publish them.

    The request's stopwatch learns how many candidates were asked for and drawn.
    """

    def __init__(self, inner: LanguageModel, *, log_texts: bool = False) -> None:
        self._inner = inner
        self._log_texts = log_texts
        self.finished: Counter[str] = Counter()
        self.cancelled = 0
        self.errors: Counter[type[GpoServeError]] = Counter()
        self.prompt_tokens = 0
        self.completion_tokens = 0

    @property
    def model(self) -> str:
        """The name of the model that is served."""
        return self._inner.model

    async def generate_one(
        self,
        prompt: Prompt,
        params: SamplingParams,
        *,
        seed: int,
        deadline: float | None = None,
        cache_salt: str | None = None,
        on_text: OnText | None = None,
    ) -> Completion:
        """Draw one completion; see the port."""
        watch = Stopwatch.current()
        watch.count("candidates_asked")
        try:
            drawn = await self._inner.generate_one(
                prompt,
                params,
                seed=seed,
                deadline=deadline,
                cache_salt=cache_salt,
                on_text=on_text,
            )
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        except GpoServeError as exc:
            self.errors[type(exc)] += 1
            raise
        watch.count("candidates_drawn")
        watch.count("completion_tokens", drawn.completion_tokens)
        self.finished[drawn.finish_reason] += 1
        self.prompt_tokens += drawn.prompt_tokens
        self.completion_tokens += drawn.completion_tokens
        if self._log_texts:
            _LOG.debug("completion", extra={"prompt": prompt, "text": drawn.text, "seed": seed})
        return drawn

    async def option_logprobs(
        self,
        prompt: Prompt,
        options: Sequence[str],
        *,
        deadline: float | None = None,
        cache_salt: str | None = None,
    ) -> list[float]:
        """How likely each option is; see the port."""
        try:
            return await self._inner.option_logprobs(
                prompt, options, deadline=deadline, cache_salt=cache_salt
            )
        except GpoServeError as exc:
            self.errors[type(exc)] += 1
            raise

    async def check(self) -> None:
        """Return when a completion could be drawn; see the port."""
        await self._inner.check()

    async def close(self) -> None:
        """Release what is wrapped."""
        await self._inner.close()
