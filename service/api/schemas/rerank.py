"""Reranking in the shapes of Cohere (v1, v2) and Jina."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from service.api.schemas.base import (
    GroupId,
    RequestModel,
    ResponseModel,
    Text,
    Undescribed,
    capped,
)
from service.api.schemas.foreign import Ignored, unsupported
from service.core.faults import Faults
from service.core.limits import Limits
from service.core.score import ScoredResponses


class DocumentIn(RequestModel):
    """A document as an object; what it holds beside its text is not read."""

    model_config = ConfigDict(extra="ignore")

    text: Text


def _text_of(value: object) -> object:
    """The text of an object that has one."""
    if not isinstance(value, dict):
        return value
    if not isinstance(value.get("text"), str):
        raise PydanticCustomError("document", "an object must hold its `text`")
    return value["text"]


DocumentText = Annotated[
    Undescribed, BeforeValidator(_text_of, json_schema_input_type=Text | DocumentIn)
]


class RerankIn(RequestModel):
    """Which documents a group would approve of as answers to a query."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "group_id": "city-dwellers",
                "query": "What makes a good holiday?",
                "documents": ["A quiet lake.", {"text": "A loud city."}],
                "top_n": 1,
                "return_documents": True,
            }
        }
    )

    model: Text | None = Field(
        None,
        description="The module by its name, or `<module>@<group id>`; see `scorer` of /version.",
        examples=["gpo-minilm@city-dwellers"],
    )
    group_id: GroupId | None = None
    query: Text
    documents: Annotated[
        list[DocumentText],
        Field(fail_fast=True, min_length=1, json_schema_extra=capped("responses")),
    ]
    top_n: int | None = Field(None, ge=1, description="Best documents to return; all if absent.")
    return_documents: bool | None = Field(None, description="Give the texts too.")
    max_tokens_per_doc: Ignored = None
    max_chunks_per_doc: Ignored = None
    priority: Ignored = None
    truncation: Ignored = None
    rank_fields: unsupported(["text"]) = None  # type: ignore[valid-type]
    return_embeddings: unsupported(False) = None  # type: ignore[valid-type]

    def check(self, limits: Limits) -> None:
        """Raise InputTooLarge for more documents than the cap."""
        faults = Faults()
        faults.cap("/documents", len(self.documents), limits.responses, "documents")
        faults.check()


class RankedDocument(ResponseModel):
    """A document's text."""

    text: str


class RankedOut(ResponseModel):
    """One document's place in the order."""

    index: int = Field(description="Its place in `documents`.")
    relevance_score: float = Field(
        description="Expected share of the group that approves of it as an answer to the query; "
        "independent of the other documents."
    )
    truncated: bool = Field(description="Whether the embedder read only a part of the text.")
    document: RankedDocument | None = Field(None, description="With `return_documents` alone.")


class ApiVersion(ResponseModel):
    """The version of the route."""

    version: Literal["1", "2"]


class RerankMeta(ResponseModel):
    """What Cohere's clients may look for."""

    api_version: ApiVersion


class RerankOut(ResponseModel):
    """The documents, best first."""

    id: str
    model: str
    group_id: str | None
    group_version: int | None
    results: list[RankedOut]
    meta: RerankMeta

    @classmethod
    def of(
        cls, result: ScoredResponses, asked: RerankIn, *, version: Literal["1", "2"]
    ) -> RerankOut:
        """The best first; equals stay in the order sent."""
        [scored] = result.groups
        scores = [approval.score for approval in scored.approvals]
        order = sorted(range(len(scores)), key=lambda index: -scores[index])[: asked.top_n]
        texts = asked.documents if asked.return_documents else None
        return cls(
            id=str(uuid.uuid4()),
            model=result.model,
            group_id=scored.group.group_id,
            group_version=scored.group.group_version,
            results=[
                RankedOut(
                    index=index,
                    relevance_score=scores[index],
                    truncated=result.truncated[index],
                    **_document(texts, index),
                )
                for index in order
            ],
            meta=RerankMeta(api_version=ApiVersion(version=version)),
        )


def _document(texts: Sequence[str] | None, index: int) -> dict[str, Any]:
    return {} if texts is None else {"document": RankedDocument(text=texts[index])}
