"""vLLM's engine (AsyncLLM) in this process tree, without a server between.

Owns the engine and its lifetime; what a prompt is in tokens is `prompts`.
"""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

# vLLM reads these as it is imported: without them it reports usage and logs a page at each start.
os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")

import vllm
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.exceptions import VLLMClientError, VLLMError
from vllm.inputs.engine import tokens_input
from vllm.platforms import current_platform
from vllm.sampling_params import RequestOutputKind
from vllm.v1.engine.async_llm import AsyncLLM

from service.adapters.generators import prompts
from service.adapters.generators.deadlines import deadline_scope
from service.adapters.generators.together import together
from service.core.domain import Completion, Prompt, SamplingParams
from service.core.errors import (
    GeneratorProtocolError,
    GeneratorRejected,
    GeneratorUnavailable,
    UnknownModel,
)
from service.core.ports import OnText

AUTO_FIT = -1
"""As max_model_len: the longest context whose cache fits into memory."""

SHUTDOWN_S = 5.0
"""How long the engine's processes have to end before they are killed."""

_MODEL_DEFAULTS = ("top_k", "min_p", "repetition_penalty", "stop_token_ids")


class VllmEngineGenerator:
    """Completions from an AsyncLLM; it batches the calls and shares their prefixes itself."""

    def __init__(self, engine: AsyncLLM, *, name: str) -> None:
        """Take over a running engine."""
        self._engine: Any = engine
        self._name = name
        self._tokenizer = engine.get_tokenizer()
        self._limit = int(engine.model_config.max_model_len)
        recommended = engine.model_config.get_diff_sampling_param()
        self._defaults = {k: v for k, v in recommended.items() if k in _MODEL_DEFAULTS}

    @classmethod
    def load(cls, source: str | Path, *, max_model_len: int = AUTO_FIT) -> VllmEngineGenerator:
        """Start an engine for a folder or a hub name; takes from seconds to minutes.

        On the CPU it runs in float32 without compilation, else in the dtype of the checkpoint.
        Raises UnknownModel when the model cannot be loaded, GeneratorUnavailable when the engine
        does not start.
        """
        cpu = current_platform.is_cpu()
        local = Path(source).is_dir()
        try:
            args = AsyncEngineArgs(
                model=str(source),
                dtype="float32" if cpu else "auto",
                enforce_eager=cpu,
                max_model_len=max_model_len,
                disable_log_stats=True,
            )
            config = args.create_engine_config()
        except (OSError, ValueError) as exc:
            raise UnknownModel(f"The model {str(source)!r} cannot be loaded: {exc}") from exc
        try:
            engine = AsyncLLM.from_vllm_config(config, disable_log_stats=True)
        except (OSError, RuntimeError, ValueError) as exc:
            raise GeneratorUnavailable(f"The vLLM engine did not start: {exc}") from exc
        return cls(engine, name=Path(source).resolve().name if local else str(source))

    @property
    def model(self) -> str:
        """Hub name, or the name of the model's folder."""
        return self._name

    @property
    def in_flight(self) -> int:
        """Completions that the engine has not finished."""
        return 0 if self._engine is None else int(self._engine.get_num_unfinished_requests())

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
        """Draw one completion; see the port. Leaving early aborts the request in the engine."""
        await self.check()
        async with deadline_scope(deadline):
            ids = await asyncio.to_thread(prompts.encode, self._tokenizer, prompt)
            sampling = self._sampling(
                params, seed, prompts.room(len(ids), params.max_tokens, self._limit)
            )
            if on_text is not None:
                sampling.output_kind = RequestOutputKind.CUMULATIVE
            output = await self._run(tokens_input(ids, cache_salt=cache_salt), sampling, on_text)
        return _completion(output, len(ids))

    async def option_logprobs(
        self,
        prompt: Prompt,
        options: Sequence[str],
        *,
        deadline: float | None = None,
        cache_salt: str | None = None,
    ) -> list[float]:
        """Read each option behind the prompt; see the port. The engine batches them."""
        await self.check()
        async with deadline_scope(deadline):
            joined = await asyncio.to_thread(
                prompts.encode_options, self._tokenizer, prompt, options, limit=self._limit
            )
            return await together(
                self._read(ids, joined.start, cache_salt) for ids in joined.sequences
            )

    async def _read(self, ids: Sequence[int], start: int, cache_salt: str | None) -> float:
        """Sum of the log-probabilities of the tokens from `start` on."""
        sampling = vllm.SamplingParams(
            max_tokens=1,
            temperature=0.0,
            prompt_logprobs=0,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        output = await self._run(tokens_input(list(ids), cache_salt=cache_salt), sampling)
        found = None if output is None else output.prompt_logprobs
        if not found or len(found) != len(ids):
            raise GeneratorProtocolError("The vLLM engine returned no log-probabilities.")
        return float(sum(found[i][ids[i]].logprob for i in range(start, len(ids))))

    async def check(self) -> None:
        """Return while the engine runs. Raises GeneratorUnavailable."""
        if self._engine is None or self._engine.errored:
            raise GeneratorUnavailable("The vLLM engine has stopped.")

    async def close(self) -> None:
        """Stop the engine and its processes."""
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.shutdown(timeout=SHUTDOWN_S)

    def _sampling(self, params: SamplingParams, seed: int, max_tokens: int) -> Any:
        """The service's parameters, with the model's own defaults for what it does not name."""
        try:
            return vllm.SamplingParams(
                **self._defaults,
                temperature=params.temperature,
                top_p=params.top_p,
                max_tokens=max_tokens,
                stop=list(params.stop),
                seed=seed,
                output_kind=RequestOutputKind.FINAL_ONLY,
            )
        except (VLLMClientError, ValueError) as exc:
            raise GeneratorRejected(f"vLLM refuses the request: {exc}") from exc

    async def _run(self, engine_input: Any, sampling: Any, on_text: OnText | None = None) -> Any:
        """The request's final output; closing the generator early is what aborts it."""
        outputs = self._engine.generate(engine_input, sampling, uuid.uuid4().hex)
        final, told = None, 0
        try:
            async with aclosing(outputs):
                async for output in outputs:
                    final = output
                    text = output.outputs[0].text if on_text and output.outputs else ""
                    if on_text is not None and len(text) > told:
                        on_text(text[told:])
                        told = len(text)
        except VLLMClientError as exc:
            raise GeneratorRejected(f"vLLM refuses the request: {exc}") from exc
        except VLLMError as exc:
            raise GeneratorUnavailable(f"The vLLM engine failed: {exc}") from exc
        return final


def _completion(output: Any, prompt_tokens: int) -> Completion:
    """The one sequence of an output. Raises when it ended in another way than it should."""
    if output is None or not output.outputs:
        raise GeneratorProtocolError("The vLLM engine returned no completion.")
    drawn = output.outputs[0]
    if drawn.finish_reason not in ("stop", "length"):
        raise GeneratorUnavailable(f"vLLM ended the completion: {drawn.finish_reason}.")
    return Completion(
        text=drawn.text,
        finish_reason=drawn.finish_reason,
        prompt_tokens=prompt_tokens,
        completion_tokens=len(drawn.token_ids),
    )
