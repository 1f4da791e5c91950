"""One question about given answers, on its way through the local model's worker thread."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from models.option_logprobs import option_logprobs
from service.adapters.generators import prompts
from service.core.domain import Prompt
from service.core.errors import GeneratorError, GeneratorUnavailable

logger = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class OptionCall:
    """A prompt with its options; the future gets a log-probability for each of them."""

    prompt: Prompt
    options: Sequence[str]
    future: Future[list[float]]

    def run(self, model: Any, tokenizer: Any, *, limit: int) -> None:
        """In the worker's thread: a forward pass over prompt and options. Never raises."""
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            joined = prompts.encode_options(tokenizer, self.prompt, self.options, limit=limit)
            self.future.set_result(option_logprobs(model, joined))
        except GeneratorError as exc:
            self.future.set_exception(exc)
        except Exception as exc:
            # As with decoding: whatever torch raises, the worker goes on.
            logger.exception("reading options failed")
            self.future.set_exception(GeneratorUnavailable(f"Reading the options failed: {exc}"))
