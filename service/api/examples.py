"""What answers look like, for the OpenAPI document: one example for each operation and error.

A test holds each against its schema. Figures are of the released model, texts are invented.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from service.api.errors import FAULT

_SUM = "must sum to 1 within 0.01; it sums to 0.8"
_PROBLEMS: Mapping[int, tuple[str, str, Sequence[tuple[str, str]]]] = {
    400: ("malformed_json", "The body is empty; a JSON object is needed.", ()),
    401: ("unauthorized", "The key is not known here.", ()),
    404: ("group_not_found", "There is no group with the id 'city-dwellers'.", ()),
    409: ("group_exists", "A group with the id 'city-dwellers' exists already.", ()),
    412: (
        "version_mismatch",
        "The group 'city-dwellers' is at version 4; the request asked for version 3.",
        (),
    ),
    413: (
        "input_too_large",
        "/preferences: at most 2000 preferences; found 2001",
        [("/preferences", "at most 2000 preferences; found 2001")],
    ),
    414: ("uri_too_long", "The address is longer than 8192 bytes.", ()),
    415: ("unsupported_media_type", "Send application/json, not 'text/plain'.", ()),
    422: (
        "invalid_input",
        f"/preferences/1/distribution: {_SUM}",
        [("/preferences/1/distribution", _SUM)],
    ),
    429: ("rate_limited", "The quota of this key is used up.", ()),
    431: ("headers_too_large", "Address and headers are larger than 16000 bytes.", ()),
    500: ("internal_error", FAULT, ()),
    502: ("generator_unavailable", "The generator cannot be reached.", ()),
    503: (
        "overloaded",
        "256 of 256 candidates are being drawn; 8 more do not fit now.",
        (),
    ),
    504: ("deadline_exceeded", "No answer within 60 s.", ()),
}


def problem_example(status: int) -> dict[str, Any] | None:
    """What a problem of this status looks like; None for one that nobody has written yet."""
    if status not in _PROBLEMS:
        return None
    code, detail, errors = _PROBLEMS[status]
    return {
        "type": f"urn:gpo-serve:error:{code}",
        "title": code.replace("_", " ").capitalize(),
        "status": status,
        "detail": detail,
        "instance": "/groups",
        "code": code,
        "request_id": "0f6c2a1e5b7d4c39a8e4d2b1c0f9e8d7",
        "errors": [{"pointer": pointer, "detail": said} for pointer, said in errors],
    }


_GROUP: dict[str, Any] = {
    "id": "city-dwellers",
    "name": "City dwellers",
    "description": None,
    "metadata": None,
    "version": 1,
    "preference_count": 2,
    "context_tokens": 3,
    "embedder": "minilm@e8f1c6a0b2d4",
    "created_at": "2026-11-26T09:30:00.125000Z",
    "updated_at": "2026-11-26T09:30:00.125000Z",
}
_MODULE = "gpo-minilm@5f0c1d2e3b4a"
_CANDIDATE = {
    "index": 3,
    "text": "A quiet lake and a good book.",
    "score": 0.71,
    "selection_score": 0.71,
    "probability": 0.62,
    "std": 0.12,
    "finish_reason": "stop",
    "tokens": 9,
    "selected": True,
    "truncated": False,
}
_OTHER = {
    **_CANDIDATE,
    "index": 0,
    "text": "A loud city.",
    "score": 0.6,
    "selection_score": 0.6,
    "probability": 0.38,
    "tokens": 4,
    "selected": False,
}
_USAGE = {"prompt_tokens": 24, "completion_tokens": 13, "total_tokens": 37}
_GPO = {
    "group_id": "city-dwellers",
    "group_version": 1,
    "best_of": 8,
    "seed": 1234,
    "scores": [0.71],
}
_MODEL = {"id": "opinion-lm", "object": "model", "created": 1795685400, "owned_by": "gpo-serve"}
_READY: dict[str, Any] = {
    "status": "ready",
    "components": {name: {"ok": True, "reason": None} for name in ("store", "generator", "scorer")},
}
_DOWN = {
    "status": "unavailable",
    "components": {
        **_READY["components"],
        "store": {"ok": False, "reason": "The store does not answer."},
    },
}


def _ranked(version: str) -> dict[str, Any]:
    best = {"index": 0, "relevance_score": 0.71, "truncated": False}
    return {
        "id": "b3a1f0c2-9d4e-4f6a-8b7c-1d2e3f4a5b6c",
        "model": _MODULE,
        "group_id": "city-dwellers",
        "group_version": 1,
        "results": [{**best, "document": {"text": "A quiet lake."}}],
        "meta": {"api_version": {"version": version}},
    }


_INFLUENCES: Sequence[tuple[int, str, str, list[float], list[float]]] = (
    (
        0,
        "share",
        "How should the town spend its surplus?",
        [0.42, 0.34, 0.24],
        [0.06, -0.01, -0.05],
    ),
    (
        1,
        "rating",
        "What makes a good holiday? – Two weeks in a tent.",
        [0.47, 0.33, 0.2],
        [0.01, 0.0, -0.01],
    ),
)

ANSWERS: Mapping[str, Mapping[str, Any]] = {
    "create_group": {"201": _GROUP},
    "list_groups": {
        "200": {"data": [_GROUP], "has_more": True, "next_cursor": "Sx1vUmNpdHktZHdlbGxlcnM"}
    },
    "get_group": {"200": _GROUP},
    "import_groups": {
        "200": {
            "dry_run": False,
            "created": 1,
            "updated": 0,
            "unchanged": 0,
            "skipped": 0,
            "refused": 1,
            "results": [
                {"line": 1, "id": "parkside", "status": "created", "version": 1, "errors": []},
                {
                    "line": 2,
                    "id": "roadside",
                    "status": "refused",
                    "version": None,
                    "errors": [
                        {
                            "line": 2,
                            "column": None,
                            "pointer": "/preferences/0/distribution",
                            "detail": _SUM,
                        }
                    ],
                },
            ],
        }
    },
    "put_group": {"200": {**_GROUP, "version": 2}, "201": _GROUP},
    "append_preferences": {
        "200": {**_GROUP, "version": 2, "preference_count": 3, "context_tokens": 5}
    },
    "predict": {
        "200": {
            "model": _MODULE,
            "predictions": [
                {
                    "group_id": "city-dwellers",
                    "group_version": 1,
                    "question": "Should the main street be closed to cars?",
                    "options": ["Yes", "Only at weekends", "No"],
                    "distribution": [0.48, 0.33, 0.19],
                    "std": [0.11, 0.1, 0.08],
                    "interval": [[0.3, 0.66], [0.18, 0.5], [0.08, 0.34]],
                    "top": "Yes",
                    "prior": [0.41, 0.34, 0.25],
                    "explanation": [
                        {
                            "index": index,
                            "kind": kind,
                            "preference": preference,
                            "distribution_without": without,
                            "influence": influence,
                            "strength": influence[0],
                        }
                        for index, kind, preference, without, influence in _INFLUENCES
                    ],
                }
            ],
            "usage": {"context_tokens": 3, "embedded_texts": 3},
            "timings": {"context_ms": 0.4, "embed_ms": 6.1, "score_ms": 3.2, "total_ms": 9.9},
        }
    },
    "score": {
        "200": {
            "model": _MODULE,
            "scores": [
                {
                    "group_id": "city-dwellers",
                    "group_version": 1,
                    "results": [
                        {
                            "index": index,
                            "score": score,
                            "probability": probability,
                            "std": 0.12,
                            "interval": [score - 0.2, score + 0.2],
                            "truncated": False,
                        }
                        for index, score, probability in ((0, 0.71, 0.62), (1, 0.6, 0.38))
                    ],
                }
            ],
            "usage": {"context_tokens": 3, "embedded_texts": 2},
            "timings": {"context_ms": 0.4, "embed_ms": 5.2, "score_ms": 3.0, "total_ms": 8.8},
        }
    },
    "generate": {
        "200": {
            "id": "gen_7d1f0c2b9a4e4f6a8b7c1d2e3f4a5b6c",
            "created": 1795685400,
            "model": "opinion-lm",
            "group_id": "city-dwellers",
            "group_version": 1,
            "text": _CANDIDATE["text"],
            "candidates": [_CANDIDATE, _OTHER],
            "usage": _USAGE,
            "seed": 1234,
            "timings": {
                "queue_ms": 0.1,
                "context_ms": 0.4,
                "generate_ms": 310.2,
                "embed_ms": 7.5,
                "score_ms": 3.3,
                "total_ms": 322.0,
            },
        }
    },
    "chat_completions": {
        "200": {
            "id": "chatcmpl-7d1f0c2b9a4e4f6a8b7c1d2e3f4a5b6c",
            "object": "chat.completion",
            "created": 1795685400,
            "model": "opinion-lm",
            "choices": [
                {
                    "index": 0,
                    "message": {
                        "role": "assistant",
                        "content": _CANDIDATE["text"],
                        "refusal": None,
                    },
                    "logprobs": None,
                    "finish_reason": "stop",
                }
            ],
            "usage": _USAGE,
            "gpo": _GPO,
        }
    },
    "completions": {
        "200": {
            "id": "cmpl-7d1f0c2b9a4e4f6a8b7c1d2e3f4a5b6c",
            "object": "text_completion",
            "created": 1795685400,
            "model": "opinion-lm@city-dwellers",
            "choices": [
                {
                    "index": 0,
                    "text": " one at a quiet lake.",
                    "logprobs": None,
                    "finish_reason": "stop",
                }
            ],
            "usage": _USAGE,
            "gpo": _GPO,
        }
    },
    "list_models": {"200": {"object": "list", "data": [_MODEL]}},
    "retrieve_model": {"200": _MODEL},
    "rerank": {"200": _ranked("1")},
    "rerank_v2": {"200": _ranked("2")},
    "livez": {"200": {"status": "ok"}},
    "readyz": {"200": _READY, "503": _DOWN},
    "health": {"200": _READY, "503": _DOWN},
    "version": {
        "200": {
            "version": "0.1.0",
            "generator": "opinion-lm",
            "scorer": _MODULE,
            "embedder": "minilm@e8f1c6a0b2d4",
            "bank": "released",
            "limits": {
                "options": 64,
                "preferences": 2000,
                "context_tokens": 8192,
                "questions": 256,
                "explained": 256,
                "explained_tokens": 512,
                "responses": 1000,
                "groups": 64,
                "n": 64,
                "max_tokens": 4096,
            },
        }
    },
}
