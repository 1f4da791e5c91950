"""What the REST contract says of /generate, with the bundled language model over a socket."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fixtures.events import parse
from fixtures.wire import check

PREFERENCES = [
    {"prompt": "What should the town do?", "response": "Plant trees.", "score": 0.95},
    {"prompt": "What should the town do?", "response": "Build car parks.", "score": 0.05},
]
PROMPT = "What would make our town better?"
ASKED = {"group_id": "maker-a", "prompt": PROMPT, "n": 3, "max_tokens": 16, "seed": 11}


@pytest.fixture(scope="module")
def client(service_url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service_url, timeout=120) as opened:
        for name, flipped in (("maker-a", False), ("maker-b", True)):
            kept = [{**p, "score": 1 - p["score"] if flipped else p["score"]} for p in PREFERENCES]  # type: ignore[operator]
            body = {"name": name, "description": "People who garden.", "preferences": kept}
            opened.put(f"/groups/{name}", json=body).raise_for_status()
        yield opened


def generate(client: httpx.Client, **changes: Any) -> dict[str, Any]:
    response = client.post("/generate", json={**ASKED, **changes})
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def refused(client: httpx.Client, status: int, pointer: str, **changes: Any) -> None:
    body = {key: value for key, value in {**ASKED, **changes}.items() if value is not None}
    response = client.post("/generate", json=body)
    check(response)
    assert response.status_code == status, response.text
    assert pointer in [error["pointer"] for error in response.json()["errors"]]


def test_the_answer(client: httpx.Client) -> None:
    body = generate(client)
    assert {
        "id", "created", "model", "group_id", "group_version", "text", "candidates", "usage",
        "seed", "timings",
    } <= set(body)  # fmt: skip
    assert abs(body["created"] - time.time()) < 60
    assert (body["group_id"], body["seed"]) == ("maker-a", 11)
    assert {"queue_ms", "generate_ms", "embed_ms", "score_ms", "total_ms"} <= set(body["timings"])
    usage = body["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert usage["completion_tokens"] == sum(c["tokens"] for c in body["candidates"])
    candidates = body["candidates"]
    assert sorted(c["index"] for c in candidates) == [0, 1, 2]
    assert body["text"] == candidates[0]["text"]
    assert [c["selected"] for c in candidates] == [True, False, False]
    ranks = [c["selection_score"] for c in candidates]
    assert ranks == sorted(ranks, reverse=True)
    assert math.fsum(c["probability"] for c in candidates) == pytest.approx(1)
    for candidate in candidates:
        assert candidate["selection_score"] == candidate["score"]
        assert 0 <= candidate["score"] <= 1
        assert candidate["finish_reason"] in ("stop", "length")
        assert candidate["tokens"] <= 16
        assert candidate["truncated"] is False
        assert candidate["std"] >= 0


def test_defaults(client: httpx.Client) -> None:
    body = generate(client, n=8, seed=None)
    with_defaults = client.post(
        "/generate", json={"preferences": [], "prompt": "Why?", "max_tokens": 4}
    ).json()
    assert len(with_defaults["candidates"]) == len(body["candidates"]) == 8
    assert isinstance(body["seed"], int)
    assert body["seed"] != with_defaults["seed"]


def test_the_same_seed_gives_the_same_texts(client: httpx.Client) -> None:
    first, again = generate(client), generate(client)

    def texts(body: dict[str, Any]) -> list[str]:
        return [c["text"] for c in sorted(body["candidates"], key=lambda c: c["index"])]

    assert texts(first) == texts(again)
    assert first["text"] == again["text"]
    # Candidate i is what the seed 11 + i gives.
    assert texts(generate(client, n=2, seed=12)) == texts(first)[1:]
    assert texts(generate(client, seed=9_999)) != texts(first)


def test_no_temperature_gives_the_same_candidate_again(client: httpx.Client) -> None:
    body = generate(client, temperature=0, seed=None)
    assert len({c["text"] for c in body["candidates"]}) == 1
    assert body["candidates"][0]["index"] == 0  # of equals the first drawn


def test_several_groups_choose_among_the_same_candidates(client: httpx.Client) -> None:
    body = generate(client, group_id=None, group_ids=["maker-b", "maker-a"], n=4)
    assert body["text"] is None
    assert body["group_id"] is None
    assert "candidates" not in body
    assert [choice["group_id"] for choice in body["choices"]] == ["maker-b", "maker-a"]
    drawn = [sorted((c["index"], c["text"]) for c in x["candidates"]) for x in body["choices"]]
    assert drawn[0] == drawn[1]
    for choice in body["choices"]:
        assert choice["text"] == choice["candidates"][0]["text"]
        assert isinstance(choice["group_version"], int)
    # Drawn once: the same as for one group, and as many tokens.
    alone = generate(client, n=4)
    assert body["usage"] == alone["usage"]
    assert body["choices"][1]["text"] == alone["text"]
    orders = [[c["index"] for c in choice["candidates"]] for choice in body["choices"]]
    assert orders[0] != orders[1]


def test_inline_preferences_choose_as_the_stored_ones(client: httpx.Client) -> None:
    stored = generate(client)
    inline = generate(client, group_id=None, preferences=PREFERENCES)
    assert (inline["group_id"], inline["group_version"]) == (None, None)
    assert inline["text"] == stored["text"]
    for one, other in zip(inline["candidates"], stored["candidates"], strict=True):
        assert (one["index"], one["text"]) == (other["index"], other["text"])
        assert one["score"] == pytest.approx(other["score"], abs=1e-5)
    assert generate(client, group_id=None, preferences=[])["text"]


def test_messages_are_a_conversation(client: httpx.Client) -> None:
    turn = {"role": "user", "content": PROMPT}
    as_messages = generate(client, prompt=None, messages=[turn])
    as_prompt = generate(client)
    assert [c["text"] for c in as_messages["candidates"]] == [
        c["text"] for c in as_prompt["candidates"]
    ]
    longer = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Good morning."},
        {"role": "assistant", "content": "Good morning."},
        turn,
    ]
    talked = generate(client, prompt=None, messages=longer)
    assert talked["usage"]["prompt_tokens"] > as_messages["usage"]["prompt_tokens"]
    assert talked["text"]
    # What is scored as answered is the last turn of the user, so the scores of a text agree.
    asked = {"group_id": "maker-a", "prompt": PROMPT, "responses": [talked["text"]]}
    [scored] = client.post("/score", json=asked).json()["scores"]
    assert scored["results"][0]["score"] == pytest.approx(
        talked["candidates"][0]["score"], abs=1e-5
    )


def test_stop_ends_a_text_before_it(client: httpx.Client) -> None:
    free = generate(client, max_tokens=24)
    word = max(free["candidates"][0]["text"].split(), key=len)
    for stop in (word, [word, "\n"]):
        body = generate(client, max_tokens=24, stop=stop)
        assert all(word not in candidate["text"] for candidate in body["candidates"])
    by_index = {c["index"]: c for c in body["candidates"]}
    cut = by_index[free["candidates"][0]["index"]]
    assert cut["finish_reason"] == "stop"
    assert free["candidates"][0]["text"].startswith(cut["text"].rstrip())


def test_length_ends_a_text(client: httpx.Client) -> None:
    body = generate(client, max_tokens=2)
    assert {c["finish_reason"] for c in body["candidates"] if c["tokens"] == 2} <= {"length"}
    assert max(c["tokens"] for c in body["candidates"]) <= 2


def test_candidates_can_be_left_out(client: httpx.Client) -> None:
    body = generate(client, return_candidates=False)
    assert "candidates" not in body
    assert body["text"] == generate(client)["text"]
    several = generate(
        client, return_candidates=False, group_id=None, group_ids=["maker-a", "maker-b"]
    )
    assert all("candidates" not in choice for choice in several["choices"])
    assert all(choice["text"] for choice in several["choices"])


@pytest.mark.parametrize("steering", ["none", "description", "preferences"])
def test_steering_changes_what_is_drawn_and_not_how_it_is_scored(
    client: httpx.Client, steering: str
) -> None:
    plain, steered = generate(client), generate(client, steering=steering)
    more = steered["usage"]["prompt_tokens"] - plain["usage"]["prompt_tokens"]
    assert (more > 0) == (steering != "none")
    responses = [c["text"] for c in steered["candidates"] if c["text"].strip()]
    asked = {"group_id": "maker-a", "prompt": PROMPT, "responses": responses}
    [scored] = client.post("/score", json=asked).json()["scores"]
    drawn = [c["score"] for c in steered["candidates"] if c["text"].strip()]
    assert [r["score"] for r in scored["results"]] == pytest.approx(drawn, abs=1e-5)


def test_time_runs_out(client: httpx.Client) -> None:
    response = client.post(
        "/generate", json={**ASKED, "n": 16, "max_tokens": 256, "timeout_s": 0.05}
    )
    check(response)
    assert (response.status_code, response.json()["code"]) == (504, "deadline_exceeded")
    assert "text" not in response.json()


def test_what_is_refused(client: httpx.Client) -> None:
    turn = {"role": "user", "content": "Why?"}
    refused(client, 422, "/prompt", prompt=None)
    refused(client, 422, "/messages", messages=[turn])
    refused(client, 422, "/messages", prompt=None, messages=[{"role": "system", "content": "x"}])
    refused(client, 422, "/messages/0/role", prompt=None, messages=[{**turn, "role": "tool"}])
    refused(client, 422, "/prompt", prompt=" ")
    refused(client, 413, "/n", n=65)
    refused(client, 422, "/n", n=0)
    refused(client, 422, "/n", n="8")
    refused(client, 422, "/max_tokens", max_tokens=0)
    refused(client, 413, "/max_tokens", max_tokens=4_097)
    refused(client, 422, "/temperature", temperature=-0.1)
    refused(client, 422, "/top_p", top_p=0)
    refused(client, 422, "/timeout_s", timeout_s=0)
    refused(client, 422, "/seed", seed=-1)
    refused(client, 422, "/steering", steering="strong")
    refused(client, 422, "/steering", steering="description", group_id=None, preferences=[])
    two = ["maker-a", "maker-b"]
    refused(client, 422, "/steering", steering="preferences", group_id=None, group_ids=two)


def test_the_stream(client: httpx.Client) -> None:
    with client.stream("POST", "/generate", json={**ASKED, "stream": True}) as response:
        assert response.status_code == 200
        assert response.headers["Content-Type"].startswith("text/event-stream")
        assert response.headers["X-Request-Id"]
        text = response.read().decode()
    events = [found for block in text.split("\n\n") if (found := parse(block)) is not None]
    names = [name for name, _ in events]
    assert names == ["candidate"] * 3 + ["scored", "selected", "done"]
    candidates = [data for name, data in events if name == "candidate"]
    assert sorted(c["index"] for c in candidates) == [0, 1, 2]
    scored, selected, done = (data for _, data in events[-3:])
    assert scored["candidates"] == done["candidates"]
    best = done["candidates"][0]
    assert selected == {"index": best["index"], "text": best["text"]}
    plain = generate(client)
    assert done["text"] == plain["text"]
    assert set(done) == set(plain)
