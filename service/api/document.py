"""What FastAPI's OpenAPI document leaves out: caps, headers, examples, links, errors of any route.

Works on the finished document; knows no routes but by the names of their operations.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from service.api.errors import documented
from service.api.examples import ANSWERS, problem_example
from service.api.problems import MEDIA_TYPE
from service.api.schemas.base import CAP, METADATA_VALUE, VALUES
from service.core.limits import Limits

TAGS = [
    {"name": "predict", "description": "How a group answers questions."},
    {"name": "score", "description": "How far a group approves of given texts."},
    {"name": "generate", "description": "The answer that a group would choose."},
    {"name": "groups", "description": "Groups of people and their preferences."},
    {"name": "operations", "description": "Is it alive, is it ready, what is it."},
    {"name": "openai", "description": "For OpenAI's clients; a group may choose the answer."},
    {"name": "rerank", "description": "For Cohere's and Jina's clients."},
]
_JSON = "application/json"
_PROBES = ("livez", "readyz", "health", "version", "metrics")
_REQUEST_ID = {
    "description": "The request's own X-Request-Id, or a new one.",
    "required": True,
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9._:-]{1,128}$"},
}
_ETAG = {
    "description": "The version of the group.",
    "required": True,
    "schema": {"type": "string", "pattern": '^"[0-9]+"$'},
}
_LOCATION = {"description": "The path of the group.", "schema": {"type": "string"}}
_RETRY_AFTER = {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}}
_OF_A_GROUP = ("create_group", "get_group", "put_group", "append_preferences")
_FROM_A_GROUP = ("get_group", "append_preferences", "put_group", "delete_group")
_BOUNDS = {"array": "maxItems", "string": "maxLength", "integer": "maximum", "number": "maximum"}


def complete(document: dict[str, Any], limits: Limits) -> None:
    """Add everything, with these limits as the caps."""
    document["tags"] = TAGS
    _cap(document, limits)
    schemas = document["components"]["schemas"]
    schemas["MetadataValue"] = METADATA_VALUE
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    for path in document["paths"].values():
        for method, operation in path.items():
            _correct_parameters(operation)
            _add_errors(operation, writes=method != "get")
            _add_problem_examples(operation)
            _add_headers(operation)
            _add_examples(operation, schemas)
            _add_links(operation)


def _correct_parameters(operation: dict[str, Any]) -> None:
    """One that is not sent is absent: null would be the text "null"."""
    for parameter in operation.get("parameters", ()):
        schema = parameter["schema"]
        kinds = [kind for kind in schema.pop("anyOf", ()) if kind != {"type": "null"}]
        if len(kinds) == 1:
            schema.update(kinds[0])


def _add_errors(operation: dict[str, Any], *, writes: bool) -> None:
    """Those of every route: a fault, and for work the refusal of a service that stops."""
    responses = operation["responses"]
    if operation["operationId"] in _PROBES:
        return
    for status in (500, 503) if writes else (500,):
        for error in documented(status).values():
            schema = {"$ref": "#/components/schemas/Problem"}
            found = {
                "description": error["description"],
                "content": {MEDIA_TYPE: {"schema": schema}},
            }
            responses.setdefault(str(status), found)
    operation["responses"] = dict(sorted(responses.items()))


def _add_problem_examples(operation: dict[str, Any]) -> None:
    for status, response in operation["responses"].items():
        content = response.get("content", {}).get(MEDIA_TYPE)
        example = problem_example(int(status)) if status.isdigit() else None
        if content is not None and example is not None:
            content["example"] = example


def _add_headers(operation: dict[str, Any]) -> None:
    name = operation["operationId"]
    for status, response in operation["responses"].items():
        headers = response.setdefault("headers", {})
        headers["X-Request-Id"] = _REQUEST_ID
        if name in _OF_A_GROUP and status in ("200", "201", "304"):
            headers["ETag"] = _ETAG
        if status == "201":
            headers["Location"] = {**_LOCATION, "required": name in _OF_A_GROUP}
        if status == "503" and MEDIA_TYPE in response.get("content", {}):
            headers["Retry-After"] = _RETRY_AFTER


def _add_examples(operation: dict[str, Any], schemas: dict[str, Any]) -> None:
    body = operation.get("requestBody", {}).get("content", {}).get(_JSON)
    if body is not None:
        named = schemas.get(body["schema"].get("$ref", "").rpartition("/")[2], {})
        if "example" in named:
            body["example"] = named["example"]
    for status, answer in ANSWERS.get(operation["operationId"], {}).items():
        content = operation["responses"].get(status, {}).get("content", {})
        if _JSON in content:
            content[_JSON]["example"] = answer


def _add_links(operation: dict[str, Any]) -> None:
    """From a group that was written to what can be done with it."""
    if operation["operationId"] not in ("create_group", "put_group"):
        return
    for status in ("200", "201"):
        if status in operation["responses"]:
            operation["responses"][status]["links"] = {
                name: {"operationId": name, "parameters": {"group_id": "$response.body#/id"}}
                for name in _FROM_A_GROUP
            }


def _cap(document: dict[str, Any], limits: Limits) -> None:
    """Write the caps where schemas are marked with them; no default is above its cap."""
    for schema in _dicts(document):
        if VALUES in schema:
            schema["additionalProperties"] = {"$ref": schema.pop(VALUES)}
        if CAP not in schema:
            continue
        cap = getattr(limits, schema.pop(CAP))
        for branch in schema.get("anyOf", [schema]):
            if bound := _BOUNDS.get(branch.get("type", "")):
                branch[bound] = min(cap, branch.get(bound, cap))
        default = schema.get("default")
        if isinstance(default, int | float) and default > cap:
            schema["default"] = cap


def _dicts(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    if isinstance(value, dict | list):
        for inner in list(value.values()) if isinstance(value, dict) else value:
            yield from _dicts(inner)
