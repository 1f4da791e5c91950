"""Generation: the answer that a group would choose, at once or as a stream of events."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Request, Response

from service.api.deps import Services, Tenant, take_candidates, while_connected
from service.api.errors import documented
from service.api.schemas.generate import GenerateIn, GenerateOut
from service.api.schemas.generate_events import (
    CandidateEvent,
    ScoredEvent,
    SelectedEvent,
    SelectedOut,
)
from service.api.streaming import BEGUN, Tell, event, events, stream
from service.api.strict_json import JsonRoute
from service.core.contexts import GroupContext
from service.core.draft_scorer import ScoredDraft
from service.core.steer import Begun, GenerateRequest, Generation, Steer

router = APIRouter(tags=["generate"], route_class=JsonRoute)
_EVENTS: dict[str, Any] = {
    "description": "The answer; with `stream: true` as server-sent events: `candidate` for each "
    "text as soon as it is drawn and scored, then `scored`, `selected` and `done` (this body), or "
    "`error` (a problem).",
    "content": {
        "text/event-stream": {
            "schema": events("candidate", "scored", "selected", "done", "error"),
            "example": 'event: selected\ndata: {"index":3,"text":"A quiet lake."}\n\n',
        }
    },
}


@router.post(
    "/generate",
    operation_id="generate",
    response_model=GenerateOut,
    response_model_exclude_unset=True,
    responses={200: _EVENTS, **documented(400, 404, 413, 415, 422, 500, 502, 503, 504)},
)
async def generate(
    request: Request, services: Services, tenant: Tenant, body: Annotated[GenerateIn, Body()]
) -> GenerateOut | Response:
    """Draw n candidates, score them for the group, give back the best.

    A client that leaves stops the work.
    """
    asked = body.to_core(services.limits)
    await take_candidates(request, asked.n, services.limits, at="/n")
    if body.stream:
        told = _Told(services.steer, tenant, asked, with_candidates=body.return_candidates)
        return await stream(request, told.run)
    result = await while_connected(request, services.steer.run(tenant, asked))
    return GenerateOut.of(result, many=asked.target.many, with_candidates=body.return_candidates)


class _Told:
    """One streamed request: what the use case tells, as events."""

    def __init__(
        self, steer: Steer, tenant: str, asked: GenerateRequest, *, with_candidates: bool
    ) -> None:
        self._steer = steer
        self._tenant = tenant
        self._asked = asked
        self._many = asked.target.many
        self._with_candidates = with_candidates
        self._groups: tuple[GroupContext, ...] = ()

    async def run(self, tell: Tell) -> None:
        """Generate, and tell of each step."""

        def listen(step: Begun | ScoredDraft) -> None:
            if isinstance(step, Begun):
                self._groups = step.groups
                tell(BEGUN)
            elif self._with_candidates:
                tell(event("candidate", CandidateEvent.of(step, self._groups, many=self._many)))

        result = await self._steer.run(self._tenant, self._asked, listen=listen)
        answer = GenerateOut.of(result, many=self._many, with_candidates=self._with_candidates)
        if self._with_candidates:
            tell(event("scored", ScoredEvent.of(answer, many=self._many)))
        tell(event("selected", SelectedEvent.of(_selected(result), many=self._many)))
        tell(event("done", answer))


def _selected(result: Generation) -> list[SelectedOut]:
    return [
        SelectedOut(
            group_id=choice.group.group_id,
            index=choice.candidates[0].draft.index,
            text=choice.text,
        )
        for choice in result.choices
    ]
