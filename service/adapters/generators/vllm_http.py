"""vLLM, or any OpenAI-compatible server, over HTTP; several servers share the work.

Owns the choice of server; the connections are in `lanes`, what the bodies mean in `openai_wire`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import httpx

from service.adapters.generators import openai_wire, option_wire
from service.adapters.generators.deadlines import deadline_scope
from service.adapters.generators.lanes import Lanes, OnEvent, is_event_stream
from service.adapters.generators.openai_stream import StreamedCompletion
from service.adapters.generators.prompts import NOT_UNICODE
from service.adapters.generators.together import together
from service.core.domain import Completion, Prompt, SamplingParams
from service.core.errors import (
    GeneratorError,
    GeneratorProtocolError,
    GeneratorRejected,
    GeneratorUnavailable,
    UnknownModel,
)
from service.core.ports import OnText

REST_S = 2.0
"""How long a server that failed is passed over while another is there."""

TRIES = 2
"""Servers, or connections to the only one, that a call tries when none has answered it."""

_BUSY = frozenset({HTTPStatus.TOO_MANY_REQUESTS, 502, 503})
_UNDISCOVERED = "unknown"

STREAMED = object()
"""In place of an answer that was read event by event."""


@dataclass(slots=True, eq=False)
class _Server:
    """One base URL with what it said about itself; `vllm` is None until it was asked."""

    url: str
    in_flight: int = 0
    rests_until: float = 0.0
    models: tuple[str, ...] = ()
    vllm: bool | None = None


class _NotServedError(Exception):
    """This server did not take the call, so another may; carries the error if none does."""

    def __init__(self, error: GeneratorUnavailable) -> None:
        super().__init__(str(error))
        self.error = error


class VllmHttpGenerator:
    """Sends each completion to the server with the fewest under way."""

    def __init__(
        self,
        urls: Sequence[str],
        *,
        model: str | None = None,
        api_key: str | None = None,
    ) -> None:
        """`urls` end in `/v1`; without `model` the first that the servers list is used."""
        self._servers = [_Server(url.rstrip("/")) for url in urls]
        self._model = model
        self._lanes = Lanes(headers={"Authorization": f"Bearer {api_key}"} if api_key else None)

    @property
    def model(self) -> str:
        """The configured model, else the first listed one; "unknown" before a server answered."""
        known = (s.models[0] for s in self._servers if s.models)
        return self._model or next(known, _UNDISCOVERED)

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
        """Draw one completion; see the port. Leaving early closes the connection: vLLM aborts."""
        streamed = None if on_text is None else StreamedCompletion(on_text)

        def body(server: _Server, model: str) -> dict[str, Any]:
            return openai_wire.request_body(
                prompt,
                params,
                model=model,
                seed=seed,
                cache_salt=cache_salt,
                vllm=bool(server.vllm),
                stream=streamed is not None,
            )

        async with deadline_scope(deadline):
            answer, _ = await self._anywhere(openai_wire.route(prompt), body, streamed)
        if answer is STREAMED and streamed is not None:
            return streamed.completion()
        completion = openai_wire.read_completion(answer)
        if on_text is not None and completion.text:  # from a server that does not stream
            on_text(completion.text)
        return completion

    async def option_logprobs(
        self,
        prompt: Prompt,
        options: Sequence[str],
        *,
        deadline: float | None = None,
        cache_salt: str | None = None,
    ) -> list[float]:
        """Have vLLM read the prompt alone and with each option; see the port.

        Raises GeneratorProtocolError, naming the settings, for a server that cannot do it.
        """
        async with deadline_scope(deadline):
            alone, *answered = await together(
                self._read(prompt, option, cache_salt) for option in (None, *options)
            )
        return option_wire.option_sums(alone, answered)

    async def _read(
        self, prompt: Prompt, option: str | None, cache_salt: str | None
    ) -> option_wire.ReadPrompt:
        asked: list[_Server] = []

        def body(server: _Server, model: str) -> dict[str, Any]:
            asked.append(server)
            return option_wire.request_body(
                prompt, option, model=model, cache_salt=cache_salt, vllm=bool(server.vllm)
            )

        try:
            answer, url = await self._anywhere(openai_wire.route(prompt), body)
        except GeneratorRejected as exc:
            if asked and not asked[-1].vllm:
                raise GeneratorProtocolError(option_wire.unable(asked[-1].url)) from exc
            raise
        return option_wire.read_prompt(answer, url=url)

    async def _anywhere(
        self,
        route: str,
        body: Callable[[_Server, str], dict[str, Any]],
        streamed: StreamedCompletion | None = None,
    ) -> tuple[object, str]:
        """The answer of the first server that takes the call, and that server's URL.

        STREAMED stands for an answer that went into `streamed`.
        """
        tried: list[_Server] = []
        while True:
            server = self._pick(tried)
            tried.append(server)
            try:
                return await self._post(server, route, body, streamed), server.url
            except _NotServedError as exc:
                server.rests_until = time.monotonic() + REST_S
                if len(tried) >= TRIES or (streamed is not None and streamed.begun):
                    raise exc.error from exc

    async def check(self) -> None:
        """Return when one server answers and lists the model, asked anew each time."""
        failures: list[GeneratorError] = []
        for server in self._servers:
            try:
                await self._discover(server)
                self._expect_model(server)
                return
            except _NotServedError as exc:
                failures.append(exc.error)
            except GeneratorError as exc:
                failures.append(exc)
        raise failures[0]

    async def close(self) -> None:
        """Close all connections, which aborts what is under way."""
        await self._lanes.close()

    def _pick(self, tried: Sequence[_Server]) -> _Server:
        """Fewest in flight among servers that neither rest nor were tried, else any."""
        now = time.monotonic()
        return min(self._servers, key=lambda s: (s in tried, s.rests_until > now, s.in_flight))

    async def _post(
        self,
        server: _Server,
        route: str,
        body: Callable[[_Server, str], dict[str, Any]],
        streamed: StreamedCompletion | None,
    ) -> object:
        server.in_flight += 1
        try:
            if server.vllm is None:
                await self._discover(server)
            sent = body(server, self._model_on(server))
            on_event = None if streamed is None else streamed.feed
            response = await self._send(server, "POST", route, sent, on_event)
        except UnknownModel:
            server.vllm = None  # it may have been replaced: ask it again
            raise
        finally:
            server.in_flight -= 1
        if streamed is not None and is_event_stream(response):
            return STREAMED
        return openai_wire.parse_json(response)

    async def _discover(self, server: _Server) -> None:
        """Ask what is served; a server without that route is not vLLM and lists nothing."""
        try:
            response = await self._send(server, "GET", "/models")
        except UnknownModel:
            server.models, server.vllm = (), False
        else:
            server.models, server.vllm = openai_wire.read_models(openai_wire.parse_json(response))

    def _model_on(self, server: _Server) -> str:
        if self._model is not None:
            return self._model
        if not server.models:
            raise UnknownModel(f"The generator at {server.url} lists no model; set GPO_MODEL.")
        return server.models[0]

    def _expect_model(self, server: _Server) -> None:
        """Raise UnknownModel when vLLM does not list the model; others may serve aliases."""
        wanted = self._model_on(server)
        if server.vllm and wanted not in server.models:
            listed = ", ".join(server.models[:5])
            raise UnknownModel(f"The generator does not serve {wanted!r}; it serves {listed}.")

    async def _send(
        self,
        server: _Server,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        on_event: OnEvent | None = None,
    ) -> httpx.Response:
        """The answer, if it is a success. Raises _NotServedError or what the status means."""
        if self._lanes.closed:
            raise GeneratorUnavailable("The connections to the generator have been closed.")
        try:
            response = await self._lanes.request(
                method, server.url + path, json=body, on_event=on_event
            )
        except UnicodeEncodeError as exc:
            raise GeneratorRejected(NOT_UNICODE) from exc
        except httpx.DecodingError as exc:
            raise GeneratorProtocolError("The generator's answer cannot be decoded.") from exc
        except (httpx.ReadTimeout, httpx.WriteTimeout) as exc:
            raise _unreachable(server, "it did not answer in time") from exc
        except (httpx.TransportError, httpx.InvalidURL) as exc:
            reason = str(exc) or type(exc).__name__
            raise _NotServedError(_unreachable(server, reason)) from exc
        if response.is_success:
            return response
        error = openai_wire.error_of(response)
        if response.status_code in _BUSY and isinstance(error, GeneratorUnavailable):
            raise _NotServedError(error)
        raise error


def _unreachable(server: _Server, reason: str) -> GeneratorUnavailable:
    return GeneratorUnavailable(f"The generator at {server.url} cannot be reached: {reason}.")
