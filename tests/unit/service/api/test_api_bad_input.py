"""Every kind of bad input: its status, its code, the field it names, and nothing written."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from fixtures.service_app import COMPARISON, GROUP, RATING, SHARE, Bench

LONG = " ".join(["word"] * 60)


def share(**changes: Any) -> dict[str, Any]:
    return {**SHARE, **changes}


def rating(**changes: Any) -> dict[str, Any]:
    return {**RATING, **changes}


def comparison(**changes: Any) -> dict[str, Any]:
    return {**COMPARISON, **changes}


PREFERENCES: list[tuple[str, Any, int, str]] = [
    ("sum", share(distribution=[0.5, 0.3, 0.1]), 422, "/distribution"),
    ("negative", share(distribution=[1.2, -0.4, 0.2]), 422, "/distribution/1"),
    ("nan", share(distribution=[math.nan, 0.5, 0.5]), 422, "/distribution/0"),
    ("infinity", share(distribution=[0.5, math.inf, 0.5]), 422, "/distribution/1"),
    ("wrong length", share(distribution=[0.5, 0.5]), 422, "/distribution"),
    ("no values", share(distribution=[]), 422, "/distribution"),
    ("neither", {k: v for k, v in SHARE.items() if k != "distribution"}, 422, "/distribution"),
    ("both", share(counts=[1, 1, 1]), 422, "/counts"),
    ("null distribution", share(distribution=None), 422, "/distribution"),
    ("number as text", share(distribution=["0.5", 0.3, 0.2]), 422, "/distribution/0"),
    ("boolean", share(distribution=[True, 0, 0]), 422, "/distribution/0"),
    ("huge number", share(distribution=[10**400, 0, 0]), 422, "/distribution/0"),
    ("not a list", share(distribution=0.5), 422, "/distribution"),
    ("one option", share(options=["On parks"], distribution=[1.0]), 422, "/options"),
    ("no option", share(options=[], distribution=[]), 422, "/options"),
    ("same options", share(options=["a", "b", "a"]), 422, "/options"),
    ("same but for spaces", share(options=["a", "b", " a "]), 422, "/options"),
    ("blank option", share(options=["a", "b", "  "]), 422, "/options/2"),
    ("empty option", share(options=["a", "", "c"]), 422, "/options/1"),
    ("number as option", share(options=["a", 2, "c"]), 422, "/options/1"),
    ("empty question", share(question=""), 422, "/question"),
    ("null question", share(question=None), 422, "/question"),
    ("no question", {k: v for k, v in SHARE.items() if k != "question"}, 422, "/question"),
    ("NUL", share(question="What\0?"), 422, "/question"),
    (
        "too many options",
        share(options=list("abcdefg"), distribution=[1, *[0] * 6]),
        413,
        "/options",
    ),
    ("counts of nobody", {**share(), "counts": [0, 0, 0], "distribution": None}, 422, "/counts"),
    ("negative count", {**share(), "counts": [1, -1, 5], "distribution": None}, 422, "/counts/1"),
    ("unknown key", share(flavour="sweet"), 422, "/flavour"),
    ("long option", share(options=["a", LONG, "c"]), 422, "/options/1"),
    ("long question", share(question=LONG), 422, "/question"),
    ("endless option", share(options=["a", "x" * 40_000, "c"]), 422, "/options/1"),
    ("score above 1", rating(score=1.01), 422, "/score"),
    ("score below 0", rating(score=-0.01), 422, "/score"),
    ("score nan", rating(score=math.nan), 422, "/score"),
    ("score as text", rating(score="0.5"), 422, "/score"),
    ("score true", rating(score=True), 422, "/score"),
    ("no score", {k: v for k, v in RATING.items() if k != "score"}, 422, "/score"),
    ("off the scale", rating(score=6, scale=[1, 5]), 422, "/score"),
    ("scale upside down", rating(score=3, scale=[5, 1]), 422, "/scale"),
    ("scale of one", rating(score=3, scale=[1]), 422, "/scale"),
    ("scale without end", rating(score=3, scale=[-1e308, 1e308]), 422, "/scale"),
    ("no weight", rating(weight=0), 422, "/weight"),
    ("negative weight", rating(weight=-3), 422, "/weight"),
    ("infinite weight", rating(weight=math.inf), 422, "/weight"),
    ("long response", rating(response=LONG), 422, "/response"),
    ("empty response", rating(response=""), 422, "/response"),
    ("chosen is rejected", comparison(rejected="Soup. "), 422, "/rejected"),
    ("no rejected", {k: v for k, v in COMPARISON.items() if k != "rejected"}, 422, "/rejected"),
    ("long chosen", comparison(chosen=LONG), 422, "/chosen"),
    ("two kinds", {**RATING, **COMPARISON}, 422, ""),
    ("no kind", {"prompt": "What?"}, 422, ""),
    ("empty", {}, 422, ""),
    ("a text", "yes", 422, ""),
    ("null", None, 422, ""),
    ("a list", [1], 422, ""),
]


@pytest.mark.parametrize(
    ("preference", "status", "field"),
    [case[1:] for case in PREFERENCES],
    ids=[case[0] for case in PREFERENCES],
)
async def test_a_bad_preference_is_named_on_every_route(
    bench: Bench, preference: Any, status: int, field: str
) -> None:
    before = await bench.add(id="kept")
    preferences = {"preferences": [RATING, preference]}
    question = {"question": "Why?", "options": ["a", "b"]}
    for method, path, body in [
        ("POST", "/groups", {**GROUP, **preferences}),
        ("PUT", "/groups/kept", {"name": "Other", **preferences}),
        ("PUT", "/groups/other", {"name": "Other", **preferences}),
        ("POST", "/groups/kept/preferences", preferences),
        ("POST", "/predict", {**preferences, **question}),
        ("POST", "/score", {**preferences, "prompt": "p", "responses": ["r"]}),
        ("POST", "/generate", {**preferences, "prompt": "p"}),
    ]:
        await check(bench, method, path, body, status, f"/preferences/1{field}")
    assert await bench.stored() == [before]
    assert bench.generator.seeds == []


PREDICT = {"preferences": [], "question": "Why?", "options": ["a", "b"]}
SCORE = {"preferences": [], "prompt": "Why?", "responses": ["a", "b"]}
GENERATE = {"preferences": [], "prompt": "Why?", "n": 2}
NO_TARGET = {"question": "Why?", "options": ["a", "b"]}
DEEP: Any = "x"
for _ in range(20):
    DEEP = {"a": DEEP}

BODIES: list[tuple[str, str, Any, int, str]] = [
    ("no name", "/groups", {"preferences": []}, 422, "/name"),
    ("blank name", "/groups", {**GROUP, "name": " "}, 422, "/name"),
    ("long name", "/groups", {**GROUP, "name": "x" * 201}, 422, "/name"),
    ("no preferences", "/groups", {"name": "x"}, 422, "/preferences"),
    ("null preferences", "/groups", {"name": "x", "preferences": None}, 422, "/preferences"),
    ("preferences object", "/groups", {"name": "x", "preferences": {}}, 422, "/preferences"),
    ("too many", "/groups", {"name": "x", "preferences": [RATING] * 6}, 413, "/preferences"),
    ("absurdly many", "/groups", {"name": "x", "preferences": [1] * 10_001}, 413, "/preferences"),
    ("unknown key", "/groups", {**GROUP, "a/b~c": 1}, 422, "/a~1b~0c"),
    ("id with slash", "/groups", {**GROUP, "id": "a/b"}, 422, "/id"),
    ("id too long", "/groups", {**GROUP, "id": "a" * 129}, 422, "/id"),
    ("empty id", "/groups", {**GROUP, "id": ""}, 422, "/id"),
    ("id of dots", "/groups", {**GROUP, "id": ".."}, 422, "/id"),
    ("id with newline", "/groups", {**GROUP, "id": "a\n"}, 422, "/id"),
    ("number as id", "/groups", {**GROUP, "id": 7}, 422, "/id"),
    ("long description", "/groups", {**GROUP, "description": "x" * 4_001}, 422, "/description"),
    ("metadata list", "/groups", {**GROUP, "metadata": [1]}, 422, "/metadata"),
    ("metadata nan", "/groups", {**GROUP, "metadata": {"a": [math.nan]}}, 422, "/metadata"),
    ("metadata deep", "/groups", {**GROUP, "metadata": DEEP}, 422, "/metadata"),
    ("metadata large", "/groups", {**GROUP, "metadata": {"a": "x" * 20_000}}, 422, "/metadata"),
    ("metadata huge int", "/groups", {**GROUP, "metadata": {"a": 10**30}}, 422, "/metadata"),
    ("metadata NUL key", "/groups", {**GROUP, "metadata": {"a\0": 1}}, 422, "/metadata"),
    ("a list", "/groups", [], 422, ""),
    ("a text", "/groups", "x", 422, ""),
    ("null", "/groups", None, 422, ""),
    ("no target", "/predict", NO_TARGET, 422, "/group_id"),
    ("two targets", "/predict", {**PREDICT, "group_id": "town"}, 422, "/preferences"),
    ("three targets", "/score", {**SCORE, "group_id": "a", "group_ids": ["b"]}, 422, "/group_ids"),
    ("no groups", "/predict", {**NO_TARGET, "group_ids": []}, 422, "/group_ids"),
    ("same group", "/predict", {**NO_TARGET, "group_ids": ["a", "a"]}, 422, "/group_ids"),
    ("many groups", "/predict", {**NO_TARGET, "group_ids": list("abcd")}, 413, "/group_ids"),
    ("bad id", "/predict", {**NO_TARGET, "group_id": "a b"}, 422, "/group_id"),
    ("bad ids", "/generate", {"prompt": "p", "group_ids": ["a", 2]}, 422, "/group_ids/1"),
    ("no question", "/predict", {"preferences": [], "options": ["a", "b"]}, 422, "/question"),
    ("no options", "/predict", {"preferences": [], "question": "Why?"}, 422, "/options"),
    ("nothing asked", "/predict", {"preferences": []}, 422, "/question"),
    ("one option", "/predict", {**PREDICT, "options": ["a"]}, 422, "/options"),
    ("same options", "/predict", {**PREDICT, "options": ["a", "a"]}, 422, "/options"),
    ("many options", "/predict", {**PREDICT, "options": list("abcdefg")}, 413, "/options"),
    ("blank question", "/predict", {**PREDICT, "question": "\n"}, 422, "/question"),
    ("long option", "/predict", {**PREDICT, "options": ["a", LONG]}, 422, "/options/1"),
    ("both forms", "/predict",
     {**PREDICT, "questions": [{"question": "Why?", "options": ["a", "b"]}]}, 422, "/question"),
    ("no questions", "/predict", {"preferences": [], "questions": []}, 422, "/questions"),
    ("bad question", "/predict",
     {"preferences": [], "questions": [{"question": "Why?", "options": ["a", "b"]},
                                       {"question": "Who?", "options": ["a"]}]},
     422, "/questions/1/options"),
    ("long in questions", "/predict",
     {"preferences": [], "questions": [{"question": "Why?", "options": [LONG, "b"]}]},
     422, "/questions/0/options/0"),
    ("explain in words", "/predict", {**PREDICT, "explain": "yes"}, 422, "/explain"),
    ("much to explain", "/predict",
     {"preferences": [SHARE] * 5, "explain": True,
      "questions": [{"question": "Why?", "options": ["a", "b"]}] * 3},
     413, "/explain"),
    ("too large a group to explain", "/predict",
     {"preferences": [{**SHARE, "options": ["a", "b", "c", "d", "e"],
                       "distribution": [0.2] * 5}] * 5,
      "question": "Why?", "options": ["a", "b"], "explain": True},
     413, "/explain"),
    ("many questions", "/predict",
     {"preferences": [], "questions": [{"question": "Why?", "options": ["a", "b"]}] * 5},
     413, "/questions"),
    ("no prompt", "/score", {"preferences": [], "responses": ["a"]}, 422, "/prompt"),
    ("no responses", "/score", {**SCORE, "responses": []}, 422, "/responses"),
    ("many responses", "/score", {**SCORE, "responses": ["a"] * 7}, 413, "/responses"),
    ("empty response", "/score", {**SCORE, "responses": ["a", ""]}, 422, "/responses/1"),
    ("response object", "/score", {**SCORE, "responses": {"a": 1}}, 422, "/responses"),
    ("n 0", "/generate", {**GENERATE, "n": 0}, 422, "/n"),
    ("n negative", "/generate", {**GENERATE, "n": -1}, 422, "/n"),
    ("n over", "/generate", {**GENERATE, "n": 9}, 413, "/n"),
    ("n text", "/generate", {**GENERATE, "n": "2"}, 422, "/n"),
    ("n true", "/generate", {**GENERATE, "n": True}, 422, "/n"),
    ("n half", "/generate", {**GENERATE, "n": 1.5}, 422, "/n"),
    ("n nan", "/generate", {**GENERATE, "n": math.nan}, 422, "/n"),
    ("n null", "/generate", {**GENERATE, "n": None}, 422, "/n"),
    ("cold", "/generate", {**GENERATE, "temperature": -0.1}, 422, "/temperature"),
    ("hot", "/generate", {**GENERATE, "temperature": 2.1}, 422, "/temperature"),
    ("temperature nan", "/generate", {**GENERATE, "temperature": math.nan}, 422, "/temperature"),
    ("top_p 0", "/generate", {**GENERATE, "top_p": 0}, 422, "/top_p"),
    ("top_p 2", "/generate", {**GENERATE, "top_p": 2}, 422, "/top_p"),
    ("no tokens", "/generate", {**GENERATE, "max_tokens": 0}, 422, "/max_tokens"),
    ("many tokens", "/generate", {**GENERATE, "max_tokens": 513}, 413, "/max_tokens"),
    ("empty stop", "/generate", {**GENERATE, "stop": ""}, 422, "/stop/0"),
    ("stop number", "/generate", {**GENERATE, "stop": 3}, 422, "/stop"),
    ("stop in list", "/generate", {**GENERATE, "stop": ["a", 3]}, 422, "/stop/1"),
    ("seed negative", "/generate", {**GENERATE, "seed": -1}, 422, "/seed"),
    ("seed huge", "/generate", {**GENERATE, "seed": 2**63}, 422, "/seed"),
    ("stream", "/generate", {**GENERATE, "stream": "yes"}, 422, "/stream"),
    ("steering", "/generate", {**GENERATE, "steering": "hard"}, 422, "/steering"),
    ("steering nothing", "/generate", {**GENERATE, "steering": "description"}, 422, "/steering"),
    ("no time", "/generate", {**GENERATE, "timeout_s": 0}, 422, "/timeout_s"),
    ("much time", "/generate", {**GENERATE, "timeout_s": 601}, 413, "/timeout_s"),
    ("endless", "/generate", {**GENERATE, "timeout_s": math.inf}, 422, "/timeout_s"),
    ("no prompt or messages", "/generate", {"preferences": []}, 422, "/prompt"),
    ("both", "/generate", {**GENERATE, "messages": [{"role": "user", "content": "a"}]}, 422,
     "/messages"),
    ("no messages", "/generate", {"preferences": [], "messages": []}, 422, "/messages"),
    ("no user turn", "/generate",
     {"preferences": [], "messages": [{"role": "system", "content": "a"}]}, 422, "/messages"),
    ("role", "/generate", {"preferences": [], "messages": [{"role": "boss", "content": "a"}]}, 422,
     "/messages/0/role"),
    ("empty turn", "/generate", {"preferences": [], "messages": [{"role": "user", "content": ""}]},
     422, "/messages/0/content"),
    ("long prompt", "/generate", {**GENERATE, "prompt": "x" * 32_001}, 413, "/prompt"),
    ("unknown key", "/generate", {**GENERATE, "logprobs": 3}, 422, "/logprobs"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "body", "status", "pointer"),
    [case[1:] for case in BODIES],
    ids=[f"{case[1][1:]} {case[0]}" for case in BODIES],
)
async def test_a_bad_body_is_named(
    bench: Bench, path: str, body: Any, status: int, pointer: str
) -> None:
    await check(bench, "POST", path, body, status, pointer)
    assert await bench.stored() == []
    assert bench.generator.seeds == []


@pytest.mark.parametrize(
    ("query", "status", "pointer"),
    [
        ("limit=0", 422, "/limit"),
        ("limit=-5", 422, "/limit"),
        ("limit=ten", 422, "/limit"),
        ("limit=21", 413, "/limit"),
        ("cursor=nonsense", 422, "/cursor"),
        ("cursor=%00", 422, "/cursor"),
    ],
)
async def test_a_bad_query_is_named(bench: Bench, query: str, status: int, pointer: str) -> None:
    await check(bench, "GET", f"/groups?{query}", None, status, pointer)


async def test_a_bad_include_is_named(bench: Bench) -> None:
    await bench.add()
    await check(bench, "GET", "/groups/town?include=everything", None, 422, "/include")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/groups/nobody", None),
        ("DELETE", "/groups/nobody", None),
        ("POST", "/groups/nobody/preferences", {"preferences": [RATING]}),
        ("POST", "/predict", {"group_id": "nobody", "question": "Why?", "options": ["a", "b"]}),
        ("POST", "/score", {"group_ids": ["town", "nobody"], "prompt": "p", "responses": ["r"]}),
        ("POST", "/generate", {"group_id": "nobody", "prompt": "p"}),
    ],
)
async def test_an_unknown_group_is_404(bench: Bench, method: str, path: str, body: Any) -> None:
    await bench.add()
    response = await bench.client.request(method, path, json=body)
    assert response.status_code == 404
    assert response.json()["code"] == "group_not_found"
    assert "nobody" in response.json()["detail"]
    assert bench.generator.seeds == []


async def test_all_faults_are_listed_up_to_ten(bench: Bench) -> None:
    preferences = [share(distribution=[1, 1, 1]) for _ in range(5)]
    body = {**GROUP, "preferences": preferences}
    response = await bench.client.post("/groups", json=body)
    assert [e["pointer"] for e in response.json()["errors"]] == [
        f"/preferences/{index}/distribution" for index in range(5)
    ]
    response = await bench.client.post("/groups", json={**GROUP, "preferences": [7] * 30})
    assert len(response.json()["errors"]) == 10


async def test_what_is_echoed_is_short(bench: Bench) -> None:
    body = {"name": "x", "preferences": [], "id": "é" * 5_000, "k" * 5_000: "v" * 5_000}
    response = await bench.client.post("/groups", json=body)
    assert response.status_code == 422
    assert "é" * 201 not in response.text
    assert "v" * 201 not in response.text
    assert "k" * 201 not in response.text
    assert len(response.content) < 8_000


async def check(bench: Bench, method: str, path: str, body: Any, status: int, pointer: str) -> None:
    content = None if method == "GET" else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"} if content is not None else {}
    response = await bench.client.request(method, path, content=content, headers=headers)
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == status
    assert problem["code"] == ("input_too_large" if status == 413 else "invalid_input")
    assert problem["request_id"] == response.headers["X-Request-Id"]
    assert problem["instance"] == path.partition("?")[0]
    assert pointer in [error["pointer"] for error in problem["errors"]]
    assert 1 <= len(problem["errors"]) <= 10
    assert "error" not in problem
    assert len(response.content) < 8_000


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("/groups", 3, "must be an object; found 3"),
        (
            "/groups",
            {**GROUP, "id": "a b"},
            'must be 1 to 128 letters, digits or signs out of . _ : -; found "a b"',
        ),
        ("/groups", {**GROUP, "id": 3}, "must be a text; found 3"),
        ("/groups", {**GROUP, "name": ""}, 'must not be empty; found ""'),
        ("/groups", {**GROUP, "name": "n" * 201}, "must have at most 200 characters; found "),
        ("/groups", {**GROUP, "metadata": 3}, "must be an object; found 3"),
        ("/groups", {**GROUP, "preferences": 3}, "must be a list; found 3"),
        ("/generate", {"group_id": "a", "prompt": "?", "n": 1.5}, "must be a whole number"),
        ("/generate", {"group_id": "a", "prompt": "?", "n": 0}, "must be at least 1; found 0"),
        ("/generate", {"group_id": "a", "prompt": "?", "top_p": "x"}, "must be a number"),
        ("/generate", {"group_id": "a", "prompt": "?", "steering": "x"}, "must be 'none', "),
    ],
)
async def test_a_rule_is_said_in_plain_words(bench: Bench, path: str, body: Any, said: str) -> None:
    response = await bench.client.post(path, json=body)
    assert response.status_code == 422
    [error] = response.json()["errors"]
    assert error["detail"].startswith(said)
    assert "In" not in error["detail"]
