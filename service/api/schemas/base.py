"""What every request body shares: strict types, no unknown fields, texts that hold something."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from service.core.groups import ID_PATTERN

# Lists that may report a fault for each item are cut off here, whatever the settings say.
MOST_ITEMS = 10_000
_METADATA_BYTES = 16_384
_METADATA_DEPTH = 8


class RequestModel(BaseModel):
    """A body or a part of one: "1" is no number, true is no number, unknown fields are refused."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class ResponseModel(BaseModel):
    """A part of an answer. Fields that were not set are left out."""

    model_config = ConfigDict(frozen=True)


def json_response(answer: ResponseModel) -> Response:
    """The answer as it stands: FastAPI would check and convert each value once more."""
    return Response(answer.model_dump_json(exclude_unset=True), media_type="application/json")


def _check_text(text: str) -> str:
    if not text.strip():
        raise PydanticCustomError("blank_text", "must not be blank")
    return _check_characters(text)


def _check_characters(text: str) -> str:
    if "\0" in text:
        raise PydanticCustomError("null_character", "must not contain the character U+0000")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise PydanticCustomError("surrogate", "must not contain half a surrogate pair") from None
    return text


def _check_metadata(value: dict[str, Any]) -> dict[str, Any]:
    """Plain finite JSON, small and flat enough to keep beside a group."""
    left = _METADATA_BYTES
    open_values: list[tuple[Any, int]] = [(value, 1)]
    while open_values:
        item, depth = open_values.pop()
        if depth > _METADATA_DEPTH and isinstance(item, dict | list):
            raise PydanticCustomError("too_deep", f"at most {_METADATA_DEPTH} levels deep")
        if isinstance(item, dict):
            open_values += [(v, depth + 1) for v in item.values()]
            open_values += [(k, depth) for k in item]
        elif isinstance(item, list):
            open_values += [(v, depth + 1) for v in item]
        elif isinstance(item, str):
            left -= len(_check_characters(item).encode())
        elif isinstance(item, float) and (item != item or item in (float("inf"), -float("inf"))):
            raise PydanticCustomError("finite_number", "numbers must be finite")
        elif isinstance(item, int) and item.bit_length() > 64:
            raise PydanticCustomError("large_number", "whole numbers must fit into 64 bits")
        left -= 1
        if left < 0:
            raise PydanticCustomError(
                "too_large", f"at most {_METADATA_BYTES // 1024} KB of metadata"
            )
    return value


def _documented(**more: object) -> WithJsonSchema:
    """What the OpenAPI document says of a text, its characters included."""
    return WithJsonSchema({"type": "string", **more})


def capped(name: str) -> dict[str, Any]:
    """Marks a schema that the cap of this name in Limits bounds; the document then says how."""
    return {CAP: name}


CAP = "x-cap"
ANY_TEXT = r"^[^\x00]*$"
SOME_TEXT = r"^[^\x00]*[^\s\x00\x1c-\x1f\x85][^\x00]*$"
"""What `_check_text` takes: \\s does not hold every space of Python's everywhere."""

Undescribed = Annotated[str, Field(min_length=1), AfterValidator(_check_text)]
"""A text of a field that takes other shapes too, and describes all of them itself."""
Text = Annotated[Undescribed, _documented(minLength=1, pattern=SOME_TEXT)]
Blankable = Annotated[str, AfterValidator(_check_characters), _documented(pattern=ANY_TEXT)]
Stop = Annotated[
    str,
    Field(min_length=1),
    AfterValidator(_check_characters),
    _documented(minLength=1, pattern=ANY_TEXT),
]
"""A string that ends a completion; the end of a line is one too."""
Note = Annotated[
    str,
    Field(max_length=4_000),
    AfterValidator(_check_characters),
    _documented(maxLength=4_000, pattern=ANY_TEXT),
]
Name = Annotated[
    str,
    Field(min_length=1, max_length=200),
    AfterValidator(_check_text),
    _documented(minLength=1, maxLength=200, pattern=SOME_TEXT),
]
METADATA_VALUE = {
    "description": "Plain finite JSON, at most 8 levels deep.",
    "anyOf": [
        {"type": "null"},
        {"type": "boolean"},
        {"type": "integer", "minimum": -(2**63), "maximum": 2**63},
        {"type": "number"},
        {"type": "string", "pattern": ANY_TEXT},
        {"type": "array", "items": {"$ref": "#/components/schemas/MetadataValue"}},
        {
            "type": "object",
            "propertyNames": {"pattern": ANY_TEXT},
            "additionalProperties": {"$ref": "#/components/schemas/MetadataValue"},
        },
    ],
}
"""The component MetadataValue of the document, which names itself."""

VALUES = "x-values"
"""Marks an object whose values the named component describes: pydantic knows no such name."""

_METADATA: dict[str, Any] = {
    "propertyNames": {"pattern": ANY_TEXT},
    VALUES: "#/components/schemas/MetadataValue",
}

GroupId = Annotated[str, Field(pattern=f"^{ID_PATTERN}$", examples=["city-dwellers"])]
Metadata = Annotated[
    dict[str, Any], AfterValidator(_check_metadata), Field(json_schema_extra=_METADATA)
]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Values = Annotated[list[Finite], Field(fail_fast=True)]
Texts = Annotated[list[Text], Field(fail_fast=True)]
Options = Annotated[
    Texts, Field(json_schema_extra={"minItems": 2, "uniqueItems": True, **capped("options")})
]
Responses = Annotated[Texts, Field(min_length=1, json_schema_extra=capped("responses"))]
