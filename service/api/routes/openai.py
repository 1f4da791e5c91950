"""Chat completions, completions and models for OpenAI's clients; a group may choose the answer."""

from __future__ import annotations

import time
from typing import Annotated, Any

from fastapi import APIRouter, Body, Request, Response

from service.api.deps import Services, Tenant, UseCases, take_candidates, while_connected
from service.api.errors import documented
from service.api.named_groups import GroupHeader, one_group
from service.api.schemas.openai import ChatIn, CompletionIn, OpenAIRequest
from service.api.schemas.openai_answers import (
    Answered,
    ChatOut,
    ChatShape,
    CompletionOut,
    ModelOut,
    ModelsOut,
    RawShape,
    Shape,
)
from service.api.streaming import BEGUN, Tell, data, events, stream
from service.api.strict_json import JsonRoute
from service.core.complete import Complete, CompleteRequest, Finished, Piece
from service.core.draft_scorer import ScoredDraft
from service.core.steer import Begun, GenerateRequest, Steer

router = APIRouter(tags=["openai"], route_class=JsonRoute)
DONE = data("[DONE]")
# OpenAI's lists say when a model was made; here it is since when it is served.
_SINCE = int(time.time())
_ERRORS = documented(400, 404, 413, 415, 422, 500, 502, 503, 504)
_CHUNKS: dict[str, Any] = {
    "description": "The completion; with `stream: true` its chunks as server-sent events. Without "
    "a group they come as the text is drawn; a group's choice comes whole, at the end.",
    "content": {
        "text/event-stream": {
            "schema": events("message", "error"),
            "example": 'data: {"choices":[{"index":0,"delta":{"content":"A quiet lake."}}]}\n\n'
            "data: [DONE]\n\n",
        }
    },
}


@router.post(
    "/chat/completions",
    operation_id="chat_completions",
    response_model=ChatOut,
    response_model_exclude_unset=True,
    responses={200: _CHUNKS, **_ERRORS},
)
async def chat_completions(
    request: Request,
    services: Services,
    tenant: Tenant,
    body: Annotated[ChatIn, Body()],
    x_group_id: GroupHeader = None,
) -> ChatOut | CompletionOut | Response:
    """Continue a conversation: the n best of `best_of` candidates for the group that is named.

    Without a group, n completions as they are drawn. A client that leaves stops the work.
    """
    return await _answer(request, services, tenant, body, x_group_id, ChatShape)


@router.post(
    "/completions",
    operation_id="completions",
    response_model=CompletionOut,
    response_model_exclude_unset=True,
    responses={200: _CHUNKS, **_ERRORS},
)
async def completions(
    request: Request,
    services: Services,
    tenant: Tenant,
    body: Annotated[CompletionIn, Body()],
    x_group_id: GroupHeader = None,
) -> ChatOut | CompletionOut | Response:
    """Continue raw text, which goes to the model as it stands: no chat template, no system prompt.

    A group chooses among `best_of` continuations by how it approves of them as answers to it.
    """
    return await _answer(request, services, tenant, body, x_group_id, RawShape)


@router.get(
    "/models",
    operation_id="list_models",
    response_model_exclude_unset=True,
    responses=documented(500, 502),
)
async def list_models(services: Services) -> ModelsOut:
    """The one model that completes. `<model>@<group id>` names it for a group."""
    found = ModelOut.of(await services.served.name(), _SINCE)
    return ModelsOut(object="list", data=[found])


@router.get(
    "/models/{model:path}",
    operation_id="retrieve_model",
    response_model_exclude_unset=True,
    responses=documented(404, 422, 500, 502, 503),
)
async def retrieve_model(services: Services, tenant: Tenant, model: str) -> ModelOut:
    """A model by its name, alone or with a group that exists."""
    group_id = one_group(model=await services.served.group_of(model), body=None, header=None)
    if group_id is not None:
        await services.groups.get(tenant, group_id)
    return ModelOut.of(model, _SINCE)


async def _answer(
    request: Request,
    services: UseCases,
    tenant: str,
    body: OpenAIRequest,
    header: str | None,
    shape_of: type[ChatShape] | type[RawShape],
) -> ChatOut | CompletionOut | Response:
    # 1. Which model, and which group.
    named = None if body.model is None else await services.served.group_of(body.model)
    group_id = one_group(model=named, body=body.group_id, header=header)
    shape = shape_of(body.model or services.about().generator, with_usage=body.includes_usage)
    # 2. Without a group, what is drawn.
    if group_id is None:
        plain = body.to_complete(services.limits)
        await take_candidates(request, plain.n, services.limits, at="/n")
        if body.stream:
            return await stream(request, _PlainStream(services.complete, tenant, plain, shape).run)
        drawn = await while_connected(request, services.complete.run(tenant, plain))
        return shape.whole(Answered.drawn(drawn))
    # 3. With one, what it chooses.
    asked = body.to_steer(group_id, services.limits, best_of=services.best_of)
    await take_candidates(request, asked.n, services.limits, at="/best_of")
    chosen = _Chosen(services.steer, tenant, asked, body, shape)
    if body.stream:
        return await stream(request, chosen.run)
    return shape.whole(await while_connected(request, chosen.answer()))


class _PlainStream:
    """Chunks of what is drawn, as it is drawn."""

    def __init__(
        self, complete: Complete, tenant: str, asked: CompleteRequest, shape: Shape
    ) -> None:
        self._complete = complete
        self._tenant = tenant
        self._asked = asked
        self._shape = shape

    async def run(self, tell: Tell) -> None:
        """Draw, and tell of each piece."""
        shape = self._shape
        opened: set[int] = set()

        def listen(step: Piece | Finished) -> None:
            if step.index not in opened:
                opened.add(step.index)
                _open(shape, step.index, tell)
            if isinstance(step, Piece):
                tell(data(shape.piece(step.index, step.text)))
            else:
                tell(data(shape.end(step.index, step.completion.finish_reason)))

        result = await self._complete.run(self._tenant, self._asked, listen=listen)
        _close(shape, Answered.drawn(result), tell)


class _Chosen:
    """One group's choice, whole or as a stream in which it comes at the end."""

    def __init__(
        self,
        steer: Steer,
        tenant: str,
        asked: GenerateRequest,
        body: OpenAIRequest,
        shape: Shape,
    ) -> None:
        self._steer = steer
        self._tenant = tenant
        self._asked = asked
        self._n = body.n or 1
        self._with_candidates = bool(body.return_candidates)
        self._shape = shape

    async def answer(self, tell: Tell | None = None) -> Answered:
        """Draw and choose; a stream is opened as soon as the request is admitted."""

        def listen(step: Begun | ScoredDraft) -> None:
            if tell is not None and isinstance(step, Begun):
                tell(BEGUN)
                for index in range(self._n):
                    _open(self._shape, index, tell)

        result = await self._steer.run(
            self._tenant, self._asked, listen=None if tell is None else listen
        )
        return Answered.chosen(result, n=self._n, with_candidates=self._with_candidates)

    async def run(self, tell: Tell) -> None:
        """The same as chunks."""
        answered = await self.answer(tell)
        for index, (text, finish) in enumerate(answered.texts):
            if text:
                tell(data(self._shape.piece(index, text)))
            final = index == len(answered.texts) - 1
            tell(data(self._shape.end(index, finish, answered.gpo if final else None)))
        _close(self._shape, answered, tell)


def _open(shape: Shape, index: int, tell: Tell) -> None:
    first = shape.first(index)
    if first is not None:
        tell(data(first))


def _close(shape: Shape, answered: Answered, tell: Tell) -> None:
    if shape.with_usage:
        tell(data(shape.last(answered.usage)))
    tell(DONE)
