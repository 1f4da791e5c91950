"""The cursor of a listing: opaque to clients, it holds the last id of the page before."""

from __future__ import annotations

import base64
import hashlib

from service.core.errors import FieldError, InvalidInput

_MAX_CHARS = 2_048
_CHECK_BYTES = 4


def encode_cursor(last_id: str) -> str:
    """The cursor of the page that follows `last_id`."""
    raw = last_id.encode()
    return base64.urlsafe_b64encode(_check(raw) + raw).decode().rstrip("=")


def decode_cursor(cursor: str) -> str:
    """The id that the page starts after. Raises InvalidInput with the pointer `/cursor`."""
    try:
        if len(cursor) > _MAX_CHARS:
            raise ValueError("too long")
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        data = base64.b64decode(padded, altchars=b"-_", validate=True)
        check, raw = data[:_CHECK_BYTES], data[_CHECK_BYTES:]
        if check != _check(raw):
            raise ValueError("the check bytes do not fit")
        return raw.decode()
    except ValueError as exc:
        raise InvalidInput(
            [FieldError("/cursor", "is not a cursor that this service gave out")]
        ) from exc


def _check(raw: bytes) -> bytes:
    return hashlib.blake2s(raw, digest_size=_CHECK_BYTES, person=b"cursor").digest()
