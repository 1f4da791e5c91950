"""/predict, /score and /generate over HTTP: the shape of the answers and what they promise."""

from __future__ import annotations

import math
from typing import Any

import pytest
from fixtures.service_app import COMPARISON, GROUP, RATING, SHARE, Bench, open_bench

from service.core import errors
from service.settings import Settings

QUESTION = {"question": "Close the main street to cars?", "options": ["Yes", "Weekends", "No"]}
OTHER = {"question": "Build a pool?", "options": ["Yes", "No"]}


async def post(bench: Bench, path: str, body: dict[str, Any]) -> dict[str, Any]:
    response = await bench.client.post(path, json=body)
    assert response.status_code == 200, response.text
    return response.json()


@pytest.mark.parametrize("prefix", ["", "/v1"])
async def test_predict_has_the_promised_shape(bench: Bench, prefix: str) -> None:
    await bench.add()
    body = await post(bench, f"{prefix}/predict", {"group_id": "town", **QUESTION})
    assert set(body) == {"model", "predictions", "usage", "timings"}
    [prediction] = body["predictions"]
    assert set(prediction) == {
        "group_id", "group_version", "question", "options", "distribution", "std", "interval",
        "top",
    }  # fmt: skip
    assert (prediction["group_id"], prediction["group_version"]) == ("town", 1)
    assert prediction["question"] == QUESTION["question"]
    assert prediction["options"] == QUESTION["options"]
    assert math.isclose(sum(prediction["distribution"]), 1, abs_tol=1e-9)
    for share, (low, high) in zip(prediction["distribution"], prediction["interval"], strict=True):
        assert 0 <= low <= share <= high <= 1
    best = max(range(3), key=prediction["distribution"].__getitem__)
    assert prediction["top"] == QUESTION["options"][best]
    assert body["usage"] == {"context_tokens": 6, "embedded_texts": 3}
    assert set(body["timings"]) == {"context_ms", "embed_ms", "score_ms", "total_ms"}


async def test_predict_answers_many_questions_for_many_groups(bench: Bench) -> None:
    await bench.add()
    await bench.add(id="city", preferences=[RATING])
    questions = [{"id": "q1", **QUESTION}, OTHER]
    body = await post(bench, "/predict", {"group_ids": ["city", "town"], "questions": questions})
    found = [(p["group_id"], p.get("id"), len(p["options"])) for p in body["predictions"]]
    assert found == [("city", "q1", 3), ("city", None, 2), ("town", "q1", 3), ("town", None, 2)]
    assert "id" not in body["predictions"][1]


async def test_inline_stored_batch_and_order_give_the_same_answer(bench: Bench) -> None:
    await bench.add()
    stored = await post(bench, "/predict", {"group_id": "town", **QUESTION})
    twice = await post(bench, "/predict", {"group_id": "town", **QUESTION})
    inline = await post(bench, "/predict", {"preferences": GROUP["preferences"], **QUESTION})
    assert inline["predictions"][0]["group_id"] is None
    assert inline["predictions"][0]["group_version"] is None
    batch = await post(bench, "/predict", {"group_id": "town", "questions": [OTHER, QUESTION]})
    flipped = await post(
        bench, "/predict", {"group_id": "town", **QUESTION, "options": QUESTION["options"][::-1]}
    )
    distribution = stored["predictions"][0]["distribution"]
    assert twice["predictions"][0]["distribution"] == distribution
    assert inline["predictions"][0]["distribution"] == distribution
    assert batch["predictions"][1]["distribution"] == pytest.approx(distribution, abs=1e-6)
    assert flipped["predictions"][0]["distribution"][::-1] == pytest.approx(distribution, abs=1e-6)
    digests = {context.digest for context in bench.scorer.contexts}
    assert len(digests) == 1


async def test_no_preferences_ask_for_the_prior(bench: Bench) -> None:
    body = await post(bench, "/predict", {"preferences": [], **QUESTION})
    assert body["usage"]["context_tokens"] == 0
    await bench.add(id="empty", preferences=[])
    stored = await post(bench, "/predict", {"group_id": "empty", **QUESTION})
    assert stored["predictions"][0]["distribution"] == body["predictions"][0]["distribution"]


async def test_nan_of_the_module_is_no_answer(bench: Bench) -> None:
    bench.scorer.nan = True
    for path, body in [
        ("/predict", {"preferences": [], **QUESTION}),
        ("/score", {"preferences": [], "prompt": "p", "responses": ["r"]}),
        ("/generate", {"preferences": [], "prompt": "p"}),
    ]:
        response = await bench.client.post(path, json=body)
        assert (response.status_code, response.json()["code"]) == (502, "scorer_failed")


async def test_nan_of_the_embedder_never_reaches_the_module(bench: Bench) -> None:
    bench.embedder.fault = lambda vectors: vectors * math.nan
    response = await bench.client.post("/predict", json={"preferences": [RATING], **QUESTION})
    assert (response.status_code, response.json()["code"]) == (502, "scorer_failed")
    assert bench.scorer.contexts == []


async def test_score_has_the_promised_shape(bench: Bench) -> None:
    await bench.add()
    await bench.add(id="city", preferences=[COMPARISON])
    long = " ".join(["word"] * 90)
    body = await post(
        bench,
        "/score",
        {"group_ids": ["town", "city"], "prompt": "Why?", "responses": ["b", long, "a", "b"]},
    )
    assert set(body) == {"model", "scores", "usage", "timings"}
    assert [s["group_id"] for s in body["scores"]] == ["town", "city"]
    results = body["scores"][0]["results"]
    assert [r["index"] for r in results] == [0, 1, 2, 3]
    assert [r["truncated"] for r in results] == [False, True, False, False]
    assert math.isclose(sum(r["probability"] for r in results), 1, abs_tol=1e-9)
    assert results[0]["score"] == results[3]["score"]
    for result in results:
        assert 0 <= result["interval"][0] <= result["score"] <= result["interval"][1] <= 1
    by_score = sorted(results, key=lambda r: r["score"])
    assert [r["probability"] for r in by_score] == sorted(r["probability"] for r in results)
    alone = await post(bench, "/score", {"group_id": "town", "prompt": "Why?", "responses": ["a"]})
    [only] = alone["scores"][0]["results"]
    assert only["score"] == pytest.approx(results[2]["score"], abs=1e-6)
    assert only["probability"] == 1


async def test_a_prompt_of_any_length_is_scored(bench: Bench) -> None:
    body = {"preferences": [], "prompt": "x " * 40_000, "responses": ["y" * 33_000]}
    [result] = (await post(bench, "/score", body))["scores"][0]["results"]
    assert result["truncated"] is True


@pytest.mark.parametrize("prefix", ["", "/v1"])
async def test_generate_has_the_promised_shape(bench: Bench, prefix: str) -> None:
    await bench.add()
    body = await post(
        bench, f"{prefix}/generate", {"group_id": "town", "prompt": "Why?", "n": 4, "seed": 11}
    )
    assert set(body) == {
        "id", "created", "model", "group_id", "group_version", "text", "candidates", "usage",
        "seed", "timings",
    }  # fmt: skip
    assert (body["group_id"], body["group_version"], body["seed"]) == ("town", 1, 11)
    assert body["model"] == "fake-lm"
    assert set(body["timings"]) == {
        "queue_ms", "context_ms", "generate_ms", "embed_ms", "score_ms", "total_ms",
    }  # fmt: skip
    assert body["usage"] == {"prompt_tokens": 4, "completion_tokens": 12, "total_tokens": 16}
    candidates = body["candidates"]
    assert [set(c) for c in candidates] == [{
        "index", "text", "score", "selection_score", "probability", "std", "finish_reason",
        "tokens", "selected", "truncated",
    }] * 4  # fmt: skip
    assert sorted(c["index"] for c in candidates) == [0, 1, 2, 3]
    assert all(c["text"] == f"Opinion number {11 + c['index']}." for c in candidates)
    order = [c["selection_score"] for c in candidates]
    assert order == sorted(order, reverse=True)
    assert [c["selected"] for c in candidates] == [True, False, False, False]
    assert body["text"] == candidates[0]["text"]
    assert math.isclose(sum(c["probability"] for c in candidates), 1, abs_tol=1e-9)


async def test_the_same_seed_gives_the_same_answer(bench: Bench) -> None:
    request = {"preferences": [RATING], "prompt": "Why?", "n": 4}
    first = await post(bench, "/generate", request)
    again = await post(bench, "/generate", {**request, "seed": first["seed"]})
    assert again["candidates"] == first["candidates"]


async def test_candidates_are_left_out_on_request(bench: Bench) -> None:
    request = {"prompt": "Why?", "n": 2, "return_candidates": False}
    body = await post(bench, "/generate", {**request, "preferences": []})
    assert "candidates" not in body
    assert body["text"]
    await bench.add()
    body = await post(bench, "/generate", {**request, "group_ids": ["town"]})
    assert "candidates" not in body["choices"][0]


async def test_groups_choose_among_the_same_candidates(bench: Bench) -> None:
    await bench.add()
    await bench.add(id="city", preferences=[COMPARISON])
    body = await post(
        bench, "/generate", {"group_ids": ["town", "city"], "prompt": "Why?", "n": 6, "seed": 1}
    )
    assert body["text"] is None
    assert body["group_id"] is None
    assert "candidates" not in body
    assert [c["group_id"] for c in body["choices"]] == ["town", "city"]
    assert sorted(bench.generator.seeds) == [1, 2, 3, 4, 5, 6]
    for choice in body["choices"]:
        assert choice["text"] == choice["candidates"][0]["text"]
        alone = await post(
            bench,
            "/generate",
            {"group_id": choice["group_id"], "prompt": "Why?", "n": 6, "seed": 1},
        )
        assert alone["text"] == choice["text"]


async def test_messages_reach_the_generator_and_the_last_user_turn_is_scored(bench: Bench) -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Yes?"},
        {"role": "user", "content": "Why?"},
        {"role": "assistant", "content": "Because"},
    ]
    await post(bench, "/generate", {"preferences": [], "messages": messages, "n": 1, "stop": "."})
    [prompt] = bench.generator.prompts
    assert [(m.role, m.content) for m in prompt.messages] == [
        (m["role"], m["content"]) for m in messages
    ]
    assert bench.generator.params[0].stop == (".",)
    assert {p for p, _ in bench.embedder.embedded} == {"Why?"}


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (errors.GeneratorUnavailable("gone"), 502, "generator_unavailable"),
        (errors.GeneratorProtocolError("odd"), 502, "generator_protocol_error"),
        (errors.GeneratorError("bad"), 502, "generator_failed"),
        (errors.UnknownModel("who"), 502, "model_not_served"),
        (errors.GeneratorRejected("long"), 422, "invalid_input"),
        (errors.DeadlineExceeded("late"), 504, "deadline_exceeded"),
    ],
)
async def test_one_failed_candidate_fails_the_request(
    bench: Bench, error: Exception, status: int, code: str
) -> None:
    bench.generator.say = lambda seed: error if seed == 2 else "Fine."
    request = {"preferences": [], "prompt": "Why?", "n": 3, "seed": 1}
    response = await bench.client.post("/generate", json=request)
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert "Fine." not in response.text
    partial = await post(bench, "/generate", {**request, "allow_partial": True})
    assert sorted(c["index"] for c in partial["candidates"]) == [0, 2]
    assert partial["usage"]["failed_candidates"] == 1
    bench.generator.say = lambda seed: error
    none = await bench.client.post("/generate", json={**request, "allow_partial": True})
    assert (none.status_code, none.json()["code"]) == (status, code)


async def test_what_the_generator_refuses_names_the_prompt(bench: Bench) -> None:
    bench.generator.say = lambda seed: errors.GeneratorRejected("The prompt is too long.")
    messages = [{"role": "user", "content": "Why?"}]
    for asked, pointer in (({"prompt": "Why?"}, "/prompt"), ({"messages": messages}, "/messages")):
        response = await bench.client.post("/generate", json={"preferences": [], **asked})
        assert response.status_code == 422
        [error] = response.json()["errors"]
        assert error == {"pointer": pointer, "detail": "The prompt is too long."}


async def test_a_deadline_stops_the_work(bench: Bench) -> None:
    bench.generator.hang = lambda seed: True
    request = {"preferences": [], "prompt": "Why?", "n": 2, "seed": 1, "timeout_s": 0.5}
    response = await bench.client.post("/generate", json=request)
    assert (response.status_code, response.json()["code"]) == (504, "deadline_exceeded")
    assert sorted(bench.generator.cancelled) == [1, 2]


async def test_version_and_health(bench: Bench) -> None:
    version = (await bench.client.get("/version")).json()
    assert version["generator"] == "fake-lm"
    assert version["scorer"] == "fake-scorer@0"
    assert (await bench.client.get("/livez")).json() == {"status": "ok"}
    ok = {"ok": True, "reason": None}
    for path in ("/readyz", "/health", "/v1/readyz"):
        ready = await bench.client.get(path)
        assert ready.status_code == 200
        assert ready.json() == {
            "status": "ready",
            "components": {"store": ok, "generator": ok, "scorer": ok},
        }
    bench.generator.down = errors.GeneratorUnavailable("The server is gone.")
    for path in ("/readyz", "/health"):
        ready = await bench.client.get(path)
        assert ready.status_code == 503
        assert ready.json()["status"] == "unavailable"
        assert ready.json()["components"] == {
            "store": ok,
            "generator": {"ok": False, "reason": "The server is gone."},
            "scorer": ok,
        }
    assert (await bench.client.get("/livez")).status_code == 200


async def test_a_group_changes_its_answers_with_its_version(bench: Bench) -> None:
    await bench.add(preferences=[SHARE])
    first = await post(bench, "/predict", {"group_id": "town", **QUESTION})
    await bench.client.post("/groups/town/preferences", json={"preferences": [RATING]})
    second = await post(bench, "/predict", {"group_id": "town", **QUESTION})
    assert second["predictions"][0]["group_version"] == 2
    assert second["predictions"][0]["distribution"] != first["predictions"][0]["distribution"]


@pytest.mark.parametrize(("weight", "said"), [(0.0, None), (0.5, 0.5), ("fitted", 0.25)])
async def test_the_weight_of_the_consensus_is_a_setting_and_said(
    settings: Settings, weight: float | str, said: float | None
) -> None:
    """`fitted` is the weight that the checkpoint brings."""
    changed = settings.model_copy(update={"consensus_weight": weight})
    async with open_bench(changed) as bench:
        await bench.add()
        body = await post(bench, "/generate", {"group_id": "town", "prompt": "Why?", "n": 4})
    assert body.get("consensus_weight") == said
    for candidate in body["candidates"]:
        near = candidate.get("consensus", 0.0) * (said or 0.0)
        assert candidate["selection_score"] == pytest.approx(candidate["score"] + near)
