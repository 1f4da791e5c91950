"""Versions as HTTP speaks of them: ETag, If-Match, If-None-Match."""

from __future__ import annotations

import re
from typing import Any

from service.core.errors import FieldError, InvalidInput
from service.core.groups import Expected

_TAG = re.compile(r'\s*(W/)?"([\x21\x23-\x7e\x80-\xff]*)"\s*(?:,|\Z)')
TAGS_PATTERN = r'^\s*(W/)?"[!#-~]*"(\s*,\s*(W/)?"[!#-~]*")*\s*$'
CONDITION: dict[str, Any] = {"oneOf": [{"enum": ["*"]}, {"pattern": TAGS_PATTERN}]}
"""What If-Match and If-None-Match may hold, for the document: * or ETags."""
_NO_TAGS = 'must be * or ETags such as "3"'
_VERSION = re.compile(r"[0-9]{1,18}")


def etag(version: int) -> str:
    """The strong ETag of a version."""
    return f'"{version}"'


def if_match(header: str | None) -> Expected | None:
    """What If-Match allows. A weak tag matches nothing (RFC 9110, 13.1.1)."""
    if header is None:
        return None
    if header.strip() == "*":
        return Expected(any=True)
    return Expected(_versions(header, at="/If-Match", weak=False))


def creates_only(header: str | None) -> bool:
    """Whether If-None-Match on a write asks for a new group; only `*` is meant there."""
    if header is None:
        return False
    if header.strip() == "*":
        return True
    raise InvalidInput([FieldError("/If-None-Match", "a write takes only *")])


def is_unchanged(header: str | None, version: int) -> bool:
    """Whether If-None-Match on a read names this version, weakly or strongly."""
    if header is None:
        return False
    if header.strip() == "*":
        return True
    return version in _versions(header, at="/If-None-Match", weak=True)


def _versions(header: str, *, at: str, weak: bool) -> frozenset[int]:
    """The versions in a list of tags; a tag that is none of ours matches nothing."""
    found: set[int] = set()
    position = 0
    if not header.strip():
        raise InvalidInput([FieldError(at, _NO_TAGS)])
    while position < len(header):
        match = _TAG.match(header, position)
        if match is None:
            raise InvalidInput([FieldError(at, _NO_TAGS)])
        if _VERSION.fullmatch(match[2]) and (weak or not match[1]):
            found.add(int(match[2]))
        position = match.end()
    return frozenset(found)
