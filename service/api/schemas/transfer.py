"""What becomes of the groups of an import, on the wire."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from service.api.schemas.base import ResponseModel
from service.api.transfer.reading import Fault, Read
from service.core.bulk import Outcome

Status = Literal["created", "updated", "unchanged", "skipped", "refused"]


class RowProblem(ResponseModel):
    """What is wrong with one field of a group, and where it stands in the body."""

    line: int = Field(description="From 1.")
    column: str | None = Field(description="Of CSV.", examples=["share"])
    pointer: str = Field(
        description="RFC 6901, into the group.", examples=["/preferences/1/distribution"]
    )
    detail: str

    @classmethod
    def of(cls, fault: Fault) -> RowProblem:
        """A fault as it is told."""
        return cls(line=fault.line, column=fault.column, pointer=fault.pointer, detail=fault.detail)


class ImportedGroup(ResponseModel):
    """What became of one group."""

    line: int = Field(description="Where it begins in the body, from 1.")
    id: str | None = Field(description="Made of its content where none was given.")
    status: Status
    version: int | None = Field(description="Of the stored group; null where there is none.")
    errors: list[RowProblem] = Field(description="Of a refused group; at most 5.")

    @classmethod
    def of(cls, read: Read, outcome: Outcome | None) -> ImportedGroup:
        """A group that was read, with what became of it when it was to be written."""
        if outcome is None:
            faults = read.faults
        else:
            faults = tuple(read.raw.fault(error) for error in outcome.errors)
        written = None if outcome is None else outcome.written
        return cls(
            line=read.raw.line,
            id=read.group_id,
            status="refused" if written is None else _STATUSES[written.value],
            version=None if outcome is None else outcome.version,
            errors=[RowProblem.of(fault) for fault in faults],
        )


_STATUSES: dict[str, Status] = {
    "created": "created",
    "updated": "updated",
    "unchanged": "unchanged",
    "skipped": "skipped",
}


class ImportOut(ResponseModel):
    """Every group of the body in its order, and how many came to what."""

    dry_run: bool
    created: int
    updated: int
    unchanged: int
    skipped: int
    refused: int
    results: list[ImportedGroup]

    @classmethod
    def of(cls, results: Sequence[ImportedGroup], *, dry_run: bool) -> ImportOut:
        """The results with their counts."""
        found = Counter(result.status for result in results)
        return cls(
            dry_run=dry_run,
            created=found["created"],
            updated=found["updated"],
            unchanged=found["unchanged"],
            skipped=found["skipped"],
            refused=found["refused"],
            results=list(results),
        )
