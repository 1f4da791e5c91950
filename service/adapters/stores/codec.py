"""How a group is written down: preferences and heads as JSON, vectors as raw float32 bytes.

Shared by every store; knows no database. What goes in comes out equal, floats to the last bit.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from service.core.domain import (
    ComparisonPreference,
    FloatArray,
    Group,
    GroupDraft,
    GroupSummary,
    Kind,
    Preference,
    RatingPreference,
    SharePreference,
)
from service.core.errors import StoreUnavailable

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Record:
    """One version of a group as a store holds it: identity in fields, content as JSON."""

    group_id: str
    version: int
    head: str
    preferences: tuple[str, ...]
    created_at: str
    updated_at: str


@dataclass(frozen=True, slots=True)
class SummaryRecord:
    """What a group was after an append: as a Record, with its preferences counted."""

    group_id: str
    version: int
    head: str
    preference_count: int
    context_tokens: int
    created_at: str
    updated_at: str


@dataclass(frozen=True, slots=True)
class VectorRecord:
    """Context vectors (rows, dim) as little-endian float32 bytes, row by row."""

    rows: int
    dim: int
    data: bytes


def now() -> str:
    """The time in UTC as it is stored."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def new_tag() -> str:
    """A name for a state of a tenant's groups.

    Random, not counted: a count that a restored backup or a failover sets back would come to
    the same number again with other groups.
    """
    return uuid.uuid4().hex


def stamp(version: int, updated_at: str) -> str:
    """`Group.stamp` of a record."""
    return f"{version}@{updated_at}"


def _dumps(value: Any) -> str:
    # ASCII on purpose: NUL and lone surrogates survive every database this way.
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"))


def encode_head(draft: GroupDraft, *, embedder: str) -> str:
    """Everything of a group but its id, version, times and preferences."""
    return _dumps(
        {
            "schema_version": SCHEMA_VERSION,
            "name": draft.name,
            "description": draft.description,
            "metadata": None if draft.metadata is None else dict(draft.metadata),
            "embedder": embedder,
        }
    )


def encode_preference(preference: Preference) -> str:
    """One preference as a JSON object that names its kind."""
    body: dict[str, Any] = {"kind": preference.kind.value}
    match preference:
        case SharePreference():
            body["question"] = preference.question
            body["options"] = preference.options
            body["distribution"] = preference.distribution
            body["counts"] = preference.counts
        case RatingPreference():
            body["prompt"] = preference.prompt
            body["response"] = preference.response
            body["score"] = preference.score
            body["weight"] = preference.weight
        case ComparisonPreference():
            body["prompt"] = preference.prompt
            body["chosen"] = preference.chosen
            body["rejected"] = preference.rejected
            body["weight"] = preference.weight
    return _dumps(body)


def encode_preferences(preferences: Sequence[Preference]) -> tuple[str, ...]:
    """Each preference on its own, in order."""
    return tuple(encode_preference(p) for p in preferences)


def join_preferences(encoded: Sequence[str]) -> str:
    """One JSON array of preferences that are encoded already."""
    return f"[{','.join(encoded)}]"


def split_preferences(array: str) -> tuple[str, ...]:
    """The inverse of `join_preferences`."""
    return tuple(_dumps(body) for body in json.loads(array))


def decode_preference(text: str) -> Preference:
    """The preference that `encode_preference` wrote. Raises KeyError or ValueError otherwise."""
    body = json.loads(text)
    match Kind(body["kind"]):
        case Kind.SHARE:
            counts = body["counts"]
            return SharePreference(
                question=body["question"],
                options=tuple(body["options"]),
                distribution=tuple(body["distribution"]),
                counts=None if counts is None else tuple(counts),
            )
        case Kind.RATING:
            return RatingPreference(
                prompt=body["prompt"],
                response=body["response"],
                score=body["score"],
                weight=body["weight"],
            )
        case Kind.COMPARISON:
            return ComparisonPreference(
                prompt=body["prompt"],
                chosen=body["chosen"],
                rejected=body["rejected"],
                weight=body["weight"],
            )


def decode_group(record: Record) -> Group:
    """The group of a stored record. Raises StoreUnavailable when it cannot be understood."""
    try:
        head = json.loads(record.head)
        if head["schema_version"] > SCHEMA_VERSION:
            raise StoreUnavailable(
                f"The stored group {record.group_id[:200]!r} was written by a newer release "
                f"(record schema {head['schema_version']}, this release reads {SCHEMA_VERSION})."
            )
        return Group(
            id=record.group_id,
            name=head["name"],
            description=head["description"],
            metadata=head["metadata"],
            version=record.version,
            preferences=tuple(decode_preference(text) for text in record.preferences),
            embedder=head["embedder"],
            created_at=datetime.fromisoformat(record.created_at),
            updated_at=datetime.fromisoformat(record.updated_at),
        )
    except (KeyError, TypeError, ValueError) as exc:
        raise StoreUnavailable(
            f"The stored group {record.group_id[:200]!r} is damaged and cannot be read."
        ) from exc


def summary_of(group: Group, head: str) -> SummaryRecord:
    """A group with its preferences counted."""
    return SummaryRecord(
        group_id=group.id,
        version=group.version,
        head=head,
        preference_count=group.preference_count,
        context_tokens=group.context_tokens,
        created_at=group.created_at.isoformat(timespec="microseconds"),
        updated_at=group.updated_at.isoformat(timespec="microseconds"),
    )


def decode_summary(record: SummaryRecord) -> GroupSummary:
    """The summary of a stored record. Raises StoreUnavailable when it cannot be understood."""
    group = decode_group(
        Record(
            record.group_id, record.version, record.head, (), record.created_at, record.updated_at
        )
    )
    return GroupSummary(
        id=group.id,
        name=group.name,
        description=group.description,
        metadata=group.metadata,
        version=group.version,
        preference_count=record.preference_count,
        context_tokens=record.context_tokens,
        embedder=group.embedder,
        created_at=group.created_at,
        updated_at=group.updated_at,
    )


def text_key(text: str) -> str:
    """The name under which the vector of a text is kept."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def text_keys_of(encoded: Sequence[str]) -> list[str]:
    """The keys of all texts in preferences that are encoded already, as embedders read them."""
    texts: set[str] = set()
    for each in encoded:
        # A damaged preference must not keep its group from being deleted.
        with suppress(KeyError, TypeError, ValueError):
            preference = decode_preference(each)
            texts.update(text.strip() for text in (preference.prompt, *preference.responses))
    return [text_key(text) for text in sorted(texts)]


def encode_vectors(vectors: FloatArray) -> VectorRecord:
    """Vectors (n, D) float32 as bytes."""
    rows, dim = vectors.shape
    return VectorRecord(rows=rows, dim=dim, data=vectors.astype("<f4", copy=False).tobytes())


def decode_vectors(record: VectorRecord) -> FloatArray | None:
    """Writable vectors (n, D) float32, or None when the bytes do not fit the shape."""
    if len(record.data) != 4 * record.rows * record.dim:
        return None
    flat = np.frombuffer(record.data, dtype="<f4")
    return flat.reshape(record.rows, record.dim).astype(np.float32, copy=True)


def decode_vector(data: bytes) -> FloatArray:
    """A writable vector (D,) float32 from little-endian bytes."""
    return np.frombuffer(data, dtype="<f4").astype(np.float32, copy=True)
