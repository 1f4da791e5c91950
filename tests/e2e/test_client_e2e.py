"""The Python client against the real service: every route, every field, real sockets."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from fixtures.openai_fake import Reply, Request, chat, fake_server
from fixtures.serve_process import serving_beside
from pydantic import BaseModel

from service.client import (
    AsyncGPOClient,
    CandidateEvent,
    Conflict,
    ConnectionFailed,
    DoneEvent,
    GeneratorFailed,
    GPOClient,
    InvalidRequest,
    NotFound,
    PreconditionFailed,
    Retries,
    ScoredEvent,
    SelectedEvent,
    TooLarge,
)
from service.remote import answers

LAKE = {"prompt": "Describe a good day off.", "response": "A swim in the lake.", "score": 0.9}
SHARE = {"question": "Parks or roads?", "options": ["Parks", "Roads"], "distribution": [0.7, 0.3]}
PAIR = {"prompt": "Describe a good meal.", "chosen": "Soup.", "rejected": "Cake."}
DRAWS: dict[str, Any] = {"n": 2, "seed": 1, "max_tokens": 12}
# Routes that other clients are for, or that say what a method says already.
ELSEWHERE = {"/metrics", "/health"}


@pytest.fixture
def client(service_url: str) -> Iterator[GPOClient]:
    with GPOClient(service_url) as opened:
        for group in list(opened.groups.list()):
            opened.groups.delete(group.id)
        yield opened


def use_everything(gpo: GPOClient) -> list[BaseModel]:
    """Calls every method; what they answered."""
    groups = gpo.groups
    town = groups.create(
        id="town", name="Town", preferences=[LAKE, SHARE], description="d", metadata={"a": [1]}
    )
    made = groups.create(name="Someone", preferences=[])
    put = groups.put("town", name="Town", preferences=[LAKE], if_match=town.etag)
    more = groups.append("town", [SHARE, PAIR], if_match=put.version)
    read = groups.get("town", preferences=True)
    page = groups.page(limit=1)
    assert [group.id for group in groups.list(page_size=1)] == sorted(["town", made.id])
    assert groups.get_changed("town", etag=more.etag) is None
    changed = groups.get_changed("town", etag=town.etag)
    definitions = list(groups.export())
    assert [found.id for found in groups.export(after=definitions[0].id)] == [definitions[1].id]
    line = definitions[0].model_dump_json(exclude_unset=True).encode()
    imported = list(groups.import_([d.model_dump(exclude_unset=True) for d in definitions]))
    assert [result.status for result in imported] == ["unchanged", "unchanged"]
    refused = groups.import_part(line + b"\n{}\n", dry_run=True)
    both: dict[str, Any] = {"group_ids": ["town", made.id]}
    found: list[BaseModel | None] = [
        *(town, made, put, more, read, page, changed),
        *(*definitions, *imported, refused),
        gpo.predict("Lakes?", ["Yes", "No"], group_id="town"),
        gpo.predict("Lakes?", ["Yes", "No"], group_id="town", explain=True),
        gpo.predict(questions=[{"id": "q", "question": "?", "options": ["a", "b"]}], **both),
        gpo.score("A day off?", ["Swim.", "Work."], preferences=[LAKE]),
        gpo.score("A day off?", ["Swim."], **both),
        gpo.generate("A day off?", group_id="town", **DRAWS),
        gpo.generate("A day off?", return_candidates=False, **both, **DRAWS),
        *gpo.generate_stream("A day off?", group_id="town", **DRAWS),
        *gpo.generate_stream("A day off?", **both, **DRAWS),
        gpo.live(),
        gpo.ready(),
        gpo.version(),
    ]
    groups.delete(made.id)
    groups.delete("town", if_match=more.etag)
    return [answer for answer in found if answer is not None]


def test_every_native_route_has_a_method_and_every_field_a_type(
    client: GPOClient, monkeypatch: pytest.MonkeyPatch, service_url: str
) -> None:
    sent: set[tuple[str, str]] = set()
    send = httpx.Client.send

    def noting(self: httpx.Client, request: httpx.Request, **options: Any) -> httpx.Response:
        sent.add((request.method.lower(), request.url.path))
        return send(self, request, **options)

    monkeypatch.setattr(httpx.Client, "send", noting)
    found = use_everything(client)
    document = httpx.get(f"{service_url}/openapi.json").json()
    for path, item in document["paths"].items():
        if path in ELSEWHERE or path.startswith(("/v1/", "/v2/")):
            continue
        pattern = re.compile(re.sub(r"\{[^}]+\}", "[^/]+", path))
        for verb in item.keys() & {"get", "put", "post", "delete", "patch"}:
            assert any(m == verb and pattern.fullmatch(p) for m, p in sent), (verb, path)
    for answer in found:
        assert untyped(answer) == []


def untyped(value: Any, at: str = "") -> list[str]:
    """The fields that were sent and have no type in the client."""
    if isinstance(value, list):
        return [name for item in value for name in untyped(item, at)]
    if not isinstance(value, BaseModel):
        return []
    at = at or type(value).__name__
    extra = [f"{at}.{name}" for name in value.model_extra or {}]
    fields = ((name, getattr(value, name)) for name in type(value).model_fields)
    return extra + [name for key, field in fields for name in untyped(field, f"{at}.{key}")]


@pytest.mark.parametrize(
    ("schema", "kind"),
    [
        ("GroupOut", answers.Group),
        ("GroupPageOut", answers.GroupPage),
        ("ImportOut", answers.ImportReport),
        ("ImportedGroup", answers.ImportedGroup),
        ("RowProblem", answers.RowProblem),
        ("PredictionOut", answers.Prediction),
        ("PredictOut", answers.Predictions),
        ("ScoreResult", answers.ScoredResponse),
        ("GroupScores", answers.GroupScores),
        ("ScoreOut", answers.Scores),
        ("CandidateOut", answers.Candidate),
        ("ChoiceOut", answers.Choice),
        ("GenerateUsage", answers.GenerateUsage),
        ("GenerateOut", answers.Generation),
        ("ReadyOut", answers.Readiness),
        ("ComponentOut", answers.Component),
        ("VersionOut", answers.Version),
        ("LimitsOut", answers.Limits),
    ],
)
def test_the_types_are_those_of_the_document(
    service_url: str, schema: str, kind: type[BaseModel]
) -> None:
    described = httpx.get(f"{service_url}/openapi.json").json()["components"]["schemas"][schema]
    assert set(described["properties"]) == set(kind.model_fields)
    required = {name for name, field in kind.model_fields.items() if field.is_required()}
    assert required <= set(described.get("required", ()))


def test_what_is_refused_is_raised(client: GPOClient) -> None:
    town = client.groups.create(id="town", name="Town", preferences=[LAKE])
    with pytest.raises(Conflict) as taken:
        client.groups.create(id="town", name="Town", preferences=[])
    assert taken.value.code == "group_exists"
    assert taken.value.request_id
    client.groups.append("town", [PAIR])
    with pytest.raises(PreconditionFailed):
        client.groups.append("town", [PAIR], if_match=town.etag)
    with pytest.raises(PreconditionFailed):
        client.groups.put("town", name="Town", preferences=[], create_only=True)
    with pytest.raises(NotFound):
        client.predict("?", ["a", "b"], group_id="nobody")
    with pytest.raises(InvalidRequest) as wrong:
        client.groups.put("town", name="Town", preferences=[LAKE, {**LAKE, "score": 7}])
    assert [error.pointer for error in wrong.value.errors] == ["/preferences/1/score"]
    with pytest.raises(TooLarge):
        client.predict("?", [str(i) for i in range(65)], preferences=[])


def test_a_key_creates_one_group_however_often_it_is_sent(client: GPOClient) -> None:
    made = [
        client.groups.create(name="Town", preferences=[LAKE], idempotency_key="k") for _ in "ab"
    ]
    assert made[0] == made[1]
    assert len(list(client.groups.list())) == 1


@pytest.mark.parametrize("group_id", [".", ".."])
def test_an_id_that_is_a_step_along_the_path_is_refused_as_an_id(
    client: GPOClient, group_id: str
) -> None:
    with pytest.raises(InvalidRequest) as wrong:
        client.groups.put(group_id, name="Odd", preferences=[])
    assert wrong.value.errors[0].pointer == "/group_id"


async def test_many_groups_go_in_parts_and_come_as_they_are_read(
    client: GPOClient, service_url: str
) -> None:
    groups = [
        {"id": f"g{i:04}", "name": f"Group {i}", "preferences": [LAKE] * (i % 3)}
        for i in range(600)
    ]
    wrong = {**groups[0], "id": "wrong", "preferences": [{**LAKE, "score": 7}]}
    async with AsyncGPOClient(service_url) as gpo:
        results = [r async for r in gpo.groups.import_([*groups[:550], wrong, *groups[550:]])]
        assert [r.line for r in results] == list(range(1, 602))
        [refused] = [r for r in results if r.status != "created"]
        assert (refused.line, refused.id, refused.errors[0].line) == (551, "wrong", 551)
        assert refused.errors[0].pointer == "/preferences/0/score"
        found = [group.model_dump(exclude_unset=True) async for group in gpo.groups.export()]
        assert found == groups
        async for first in gpo.groups.export():
            assert first.id == "g0000"
            break
        for group in groups:  # the service is that of other tests too
            await gpo.groups.delete(group["id"])
    with pytest.raises(ValueError, match="JSON"):
        list(client.groups.import_([{**groups[0], "metadata": {"x": float("nan")}}]))


async def test_a_stream_is_typed_and_ends_with_what_the_plain_call_answers(
    service_url: str,
) -> None:
    asked: dict[str, Any] = {"preferences": [LAKE], **DRAWS}
    async with AsyncGPOClient(service_url) as gpo:
        found = [event async for event in gpo.generate_stream("A day off?", **asked)]
        plain = await gpo.generate("A day off?", **asked)
    kinds = [type(event) for event in found]
    assert kinds == [CandidateEvent, CandidateEvent, ScoredEvent, SelectedEvent, DoneEvent]
    assert isinstance(found[-1], DoneEvent)
    assert found[-1].generation.candidates == plain.candidates


class Upstream:
    """Answers one seed, fails another, and leaves the others waiting."""

    async def answer(self, request: Request) -> Reply:
        if request.body["seed"] == 0:
            return chat("Yes.")
        if request.body["seed"] == 100:
            return Reply(status=500, body={"error": {"message": "broken"}})
        await asyncio.sleep(300)
        raise AssertionError("nobody waits this long")


async def test_leaving_the_loop_stops_the_work(tmp_path: Path) -> None:
    asked: dict[str, Any] = {"preferences": [LAKE], "n": 3, "seed": 0}

    def leave(url: str) -> None:
        with GPOClient(url) as gpo:
            for event in gpo.generate_stream("Shall we?", **asked):
                assert isinstance(event, CandidateEvent)
                break
            until(lambda: server.under_way == 0)
            with closing(gpo.generate_stream("Shall we?", **asked)) as events:
                next(events)
            until(lambda: server.under_way == 0)

    async with fake_server(Upstream().answer) as server:
        settings = {"GPO_GENERATOR": "vllm-http", "GPO_GENERATOR_URL": server.url}
        async with serving_beside(tmp_path, **settings) as service:
            await asyncio.to_thread(leave, service.url)
            async with AsyncGPOClient(service.url) as gpo:
                async for event in gpo.generate_stream("Shall we?", **asked):
                    assert isinstance(event, CandidateEvent)
                    break
                await asyncio.to_thread(until, lambda: server.under_way == 0)
                assert server.left == 6
                with pytest.raises(GeneratorFailed) as failed:
                    async for _ in gpo.generate_stream("?", preferences=[], n=1, seed=100):
                        pass
                assert failed.value.status == 502
                # The service goes while a stream is open: that is an error, not an end.
                events = gpo.generate_stream("Shall we?", **asked)
                await anext(events)
                service.process.kill()
                with pytest.raises(ConnectionFailed):
                    await anext(events)


def test_nobody_listening_is_said_at_once() -> None:
    with (
        GPOClient("http://127.0.0.1:9", retries=Retries(most=0)) as gpo,
        pytest.raises(ConnectionFailed, match="no server answers"),
    ):
        gpo.ready()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
