"""A language model of transformers in this process: one worker thread decodes all calls together.

Owns the thread and the model; how tokens are decoded is `decoding`, what a prompt is `prompts`.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils.logging import disable_progress_bar

from service.adapters.generators import prompts
from service.adapters.generators.deadlines import deadline_scope
from service.adapters.generators.decoding import Batch, Decoder, Row, share_prompts
from service.adapters.generators.option_calls import OptionCall
from service.adapters.generators.pieces import Pieces
from service.core.domain import Completion, Prompt, SamplingParams
from service.core.errors import GeneratorError, GeneratorUnavailable, UnknownModel
from service.core.ports import OnText

logger = logging.getLogger(__name__)

MAX_ROWS = 64
"""Completions that are decoded together; more wait for a place."""

LINGER_S = 0.002
"""How long an idle worker waits for the sibling calls of a request before it starts."""


@dataclass(slots=True, eq=False)
class _Call:
    """One generate_one on its way through the worker."""

    prompt: Prompt
    params: SamplingParams
    seed: int
    future: Future[Completion]
    pieces: Pieces | None = None


class TransformersGenerator:
    """Any causal language model with a key/value cache, seeded for each completion."""

    def __init__(self, model: Any, tokenizer: Any, *, name: str) -> None:
        """Start the worker on a loaded model and its tokenizer."""
        self._name = name
        self._tokenizer = tokenizer
        self._worker = _Worker(model, tokenizer)
        self._worker.start()

    @classmethod
    def load(cls, source: str | Path, *, device: str = "cpu") -> TransformersGenerator:
        """Load a folder or a hub name; float32 on the CPU, else the dtype of the checkpoint.

        Raises UnknownModel when it cannot be loaded.
        """
        disable_progress_bar()  # type: ignore[no-untyped-call]
        local = Path(source).is_dir()
        if not local and Path(source).is_absolute():
            raise UnknownModel(
                f"The model {str(source)!r} cannot be loaded: there is no such folder"
            )
        dtype = torch.float32 if device == "cpu" else "auto"
        try:
            tokenizer = AutoTokenizer.from_pretrained(str(source), local_files_only=local)
            model: Any = AutoModelForCausalLM.from_pretrained(
                str(source), local_files_only=local, dtype=dtype
            )
        except (OSError, ValueError) as exc:
            raise UnknownModel(f"The model {str(source)!r} cannot be loaded: {exc}") from exc
        name = Path(source).resolve().name if local else str(source)
        return cls(model.to(device).eval(), tokenizer, name=name)

    @property
    def model(self) -> str:
        """Hub name, or the name of the model's folder."""
        return self._name

    @property
    def in_flight(self) -> int:
        """Completions that are being decoded."""
        return self._worker.in_flight

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
        """Draw one completion; see the port. `cache_salt` has no meaning without a shared cache."""
        future: Future[Completion] = Future()
        pieces = None if on_text is None else self._pieces(on_text, params)
        async with deadline_scope(deadline):
            self._worker.submit(_Call(prompt, params, seed, future, pieces))
            return await asyncio.wrap_future(future)

    def _pieces(self, on_text: OnText, params: SamplingParams) -> Pieces:
        """Tells `on_text` on this event loop of what the worker draws."""
        loop = asyncio.get_running_loop()

        def tell(text: str) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(on_text, text)

        return Pieces(
            tell,
            partial(prompts.decode, self._tokenizer),
            held_back=max((len(s) - 1 for s in params.stop), default=0),
        )

    async def option_logprobs(
        self,
        prompt: Prompt,
        options: Sequence[str],
        *,
        deadline: float | None = None,
        cache_salt: str | None = None,
    ) -> list[float]:
        """Read the options behind the prompt; see the port. Waits its turn between tokens."""
        future: Future[list[float]] = Future()
        async with deadline_scope(deadline):
            self._worker.submit(OptionCall(prompt, options, future))
            return await asyncio.wrap_future(future)

    async def check(self) -> None:
        """Return while the worker is alive. Raises GeneratorUnavailable."""
        self._worker.check()

    async def close(self) -> None:
        """Stop the worker; calls under way fail with GeneratorUnavailable."""
        await asyncio.to_thread(self._worker.stop)


class _Worker:
    """The thread that owns the model; calls come in through a queue and leave as futures."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self._model = model
        self._decoder = Decoder(model)
        self._tokenizer = tokenizer
        self._limit = _context_length(model, tokenizer)
        self._ends = _end_tokens(model, tokenizer)
        self._inbox: queue.SimpleQueue[_Call | OptionCall | None] = queue.SimpleQueue()
        self._questions: deque[OptionCall] = deque()
        self._calls: dict[Row, _Call] = {}
        self._batches: list[Batch] = []
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="gpo-generate", daemon=True)

    @property
    def in_flight(self) -> int:
        return len(self._calls)

    def start(self) -> None:
        self._thread.start()

    def submit(self, call: _Call | OptionCall) -> None:
        self._inbox.put(call)
        self.check()  # afterwards: a worker that stops has then seen the call, or it fails here

    def check(self) -> None:
        if self._stopping or not self._thread.is_alive():
            raise GeneratorUnavailable("The local language model has been stopped.")

    def stop(self) -> None:
        self._stopping = True
        self._inbox.put(None)
        self._thread.join()

    def _run(self) -> None:
        waiting: list[_Call] = []
        while not self._stopping:
            idle = not (self._batches or waiting or self._questions)
            waiting += self._receive(block=idle)
            if self._questions:  # one between two tokens, so that neither kind of call starves
                self._questions.popleft().run(self._model, self._tokenizer, limit=self._limit)
            waiting = [call for call in waiting if not call.future.cancelled()]
            room = MAX_ROWS - len(self._calls)
            admitted, waiting = waiting[:room], waiting[room:]
            try:
                self._admit(admitted)
                for batch in list(self._batches):
                    self._step(batch)
            except Exception as exc:
                logger.exception("decoding failed")
                self._fail([*admitted, *self._calls.values()], f"Decoding failed: {exc}")
        self._fail([*waiting, *self._calls.values(), *self._receive(block=False)], "Stopped.")

    def _receive(self, *, block: bool) -> list[_Call]:
        """New calls; an idle worker waits for the first and a moment for its siblings.

        Those about options go to their own queue.
        """
        calls: list[_Call | OptionCall | None] = []
        if block:
            calls.append(self._inbox.get())
            time.sleep(LINGER_S)
        while not self._inbox.empty():
            calls.append(self._inbox.get_nowait())
        self._questions += [call for call in calls if isinstance(call, OptionCall)]
        return [call for call in calls if isinstance(call, _Call)]

    def _admit(self, calls: list[_Call]) -> None:
        """Tokenize, read each distinct prompt once, and let the rows join what is running."""
        rows = [row for call in calls if (row := self._open(call)) is not None]
        for group in share_prompts(rows):
            batch = self._decoder.prefill(group)
            running = next((b for b in self._batches if b.mergeable and batch.mergeable), None)
            if running is None:
                self._batches.append(batch)
            else:
                running.merge(batch)

    def _open(self, call: _Call) -> Row | None:
        params = call.params
        try:
            ids = prompts.encode(self._tokenizer, call.prompt)
            room = prompts.room(len(ids), params.max_tokens, self._limit)
        except GeneratorError as exc:
            _reject(call, exc)
            return None
        row = Row(ids, params.temperature, params.top_p, room, Random(call.seed))
        self._calls[row] = call
        return row

    def _step(self, batch: Batch) -> None:
        """One token for each row; rows that are done or no longer wanted leave first."""
        self._leave(batch, [r for r in batch.rows if self._calls[r].future.cancelled()])
        if batch.rows:
            self._decoder.draw(batch)
            self._leave(batch, [r for r in batch.rows if self._settle(r)])
        if batch.rows:
            self._decoder.advance(batch)
        else:
            self._batches.remove(batch)

    def _leave(self, batch: Batch, leaving: list[Row]) -> None:
        if leaving:
            batch.keep([i for i, row in enumerate(batch.rows) if row not in leaving])
            for row in leaving:
                del self._calls[row]

    def _settle(self, row: Row) -> bool:
        """Hand the completion over if this token was its last."""
        call = self._calls[row]
        ended = row.tokens[-1] in self._ends
        cut = None if ended else self._stop_position(row, call.params.stop)
        if not ended and cut is None and len(row.tokens) < row.max_tokens:
            if call.pieces is not None:
                call.pieces.grow(row.tokens)
            return False
        text = prompts.decode(self._tokenizer, row.tokens)
        completion = Completion(
            text=text[:cut],
            finish_reason="stop" if ended or cut is not None else "length",
            prompt_tokens=len(row.prompt),
            completion_tokens=len(row.tokens),
        )
        if call.future.set_running_or_notify_cancel():
            if call.pieces is not None:
                call.pieces.end(completion.text)
            call.future.set_result(completion)
        return True

    def _stop_position(self, row: Row, stop: tuple[str, ...]) -> int | None:
        """Where the text ends because of a stop string; looks at the newest tokens first.

        A character is at most four byte tokens, so a match that ends here lies within them.
        """
        if not stop:
            return None
        tail = row.tokens[-4 * max(map(len, stop)) - 4 :]
        if prompts.stop_position(prompts.decode(self._tokenizer, tail), stop) is None:
            return None
        return prompts.stop_position(prompts.decode(self._tokenizer, row.tokens), stop)

    def _fail(self, calls: list[_Call], reason: str) -> None:
        for call in calls:
            _reject(call, GeneratorUnavailable(reason))
        while self._stopping and self._questions:
            _reject(self._questions.popleft(), GeneratorUnavailable(reason))
        self._calls.clear()
        self._batches.clear()


def _reject(call: _Call | OptionCall, error: GeneratorError) -> None:
    if not call.future.done() and call.future.set_running_or_notify_cancel():
        call.future.set_exception(error)


def _context_length(model: Any, tokenizer: Any) -> int:
    """Positions that the model reads; models without a bound take the tokenizer's."""
    config = model.config.get_text_config()
    return int(getattr(config, "max_position_embeddings", None) or tokenizer.model_max_length)


def _end_tokens(model: Any, tokenizer: Any) -> frozenset[int]:
    """Tokens that end a completion, from the generation config and the tokenizer."""
    ends = model.generation_config.eos_token_id
    listed = ends if isinstance(ends, list) else [ends]
    return frozenset(t for t in [*listed, tokenizer.eos_token_id] if t is not None)
