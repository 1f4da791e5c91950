"""The keys of clients and whose they are: the list that GPO_API_KEYS holds, and new keys for it.

A list holds digests alone, so that whoever reads it cannot use a key. Knows no HTTP.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

SETTING = "GPO_API_KEYS"
PREFIX = "gpo_"
_TENANT = re.compile(r"[A-Za-z0-9._-]{1,64}")
_DIGEST = re.compile(r"[0-9A-Fa-f]{64}")
# Of SHA-256 alone: it is fit for keys that are drawn, not for passwords that people choose.
_KEY_BYTES = 32
_MOST_FILE_BYTES = 10_000_000


class ApiKeysError(ValueError):
    """The list cannot be read. Says where, and never what stands there: it may be a key."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """The SHA-256 digest (32 bytes) of one key, and the tenant whose it is."""

    tenant: str
    digest: bytes = field(repr=False)

    @property
    def entry(self) -> str:
        """The key's entry in a list."""
        return f"{self.tenant}:{self.digest.hex()}"


def digest_of(key: bytes) -> bytes:
    """The digest under which a key is listed."""
    return hashlib.sha256(key).digest()


def new_key(tenant: str) -> tuple[str, ApiKey]:
    """A key that nobody has, and what a list holds of it. Raises ApiKeysError for the name."""
    if not _TENANT.fullmatch(tenant):
        raise ApiKeysError("a tenant is named by 1 to 64 characters of A-Z a-z 0-9 . _ -")
    key = PREFIX + secrets.token_urlsafe(_KEY_BYTES)
    return key, ApiKey(tenant, digest_of(key.encode()))


def read_list(value: str) -> tuple[ApiKey, ...]:
    """The keys of `tenant:sha256hex,…`, or of a file that is named as `@path`.

    In a file an entry stands on each line; `#` begins a comment. Raises ApiKeysError, also for a
    list without a key: it was meant to close the service, and would leave it open.
    """
    if not value.startswith("@"):
        named = enumerate(value.split(","), 1)
        return _read((f"entry {at}", text.strip()) for at, text in named)
    path = Path(value[1:].strip())
    lines = enumerate(_text_of(path).splitlines(), 1)
    bare = ((at, line.partition("#")[0].strip()) for at, line in lines)
    return _read((f"line {at} of {path}", text) for at, text in bare if text)


def _text_of(path: Path) -> str:
    try:
        if path.stat().st_size > _MOST_FILE_BYTES:
            raise ApiKeysError(f"{SETTING}: {path} is larger than {_MOST_FILE_BYTES} bytes")
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as exc:
        raise ApiKeysError(f"{SETTING}: {path} is not UTF-8") from exc
    except OSError as exc:
        raise ApiKeysError(f"{SETTING}: {path} cannot be read: {exc.strerror}") from exc


def _read(entries: Iterator[tuple[str, str]]) -> tuple[ApiKey, ...]:
    found: dict[bytes, tuple[str, ApiKey]] = {}
    for where, text in entries:
        key = _parse(text, where)
        if key.digest in found:
            raise ApiKeysError(f"{SETTING}: {where} is the same key as {found[key.digest][0]}")
        found[key.digest] = where, key
    if not found:
        raise ApiKeysError(f"{SETTING} holds no key; leave it unset to serve without keys")
    return tuple(key for _, key in found.values())


def _parse(text: str, where: str) -> ApiKey:
    tenant, colon, digest = text.partition(":")
    tenant, digest = tenant.strip(), digest.strip()
    if not colon:
        raise ApiKeysError(f"{SETTING}: {where} is not tenant:sha256hex")
    if not _TENANT.fullmatch(tenant):
        raise ApiKeysError(
            f"{SETTING}: the tenant of {where} is not 1 to 64 characters of A-Z a-z 0-9 . _ -"
        )
    if not _DIGEST.fullmatch(digest):
        raise ApiKeysError(
            f"{SETTING}: the digest of {where} is not 64 hexadecimal digits (SHA-256 of the key)"
        )
    return ApiKey(tenant, bytes.fromhex(digest))
