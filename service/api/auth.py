"""Who asks: finds the tenant of a request's key, and refuses requests without one. Pure ASGI.

Answers before a byte of the body is read. Knows no routes but those that anyone may ask.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable, Sequence

from starlette.types import ASGIApp, Receive, Scope, Send

from service.api.refusals import Refusal
from service.api_keys import ApiKey, digest_of
from service.core.request_context import TENANT

OPEN_PATHS = frozenset({"/", "/livez", "/readyz", "/v1/livez", "/v1/readyz"})
"""What answers without a key, beside the files of the page at `/`."""

_CALLER_CHARS = 16
_NOBODY = ApiKey("", bytes(32))


class KeyRing:
    """Looks keys up in a time that tells nothing of them, however many there are."""

    def __init__(self, keys: Iterable[ApiKey]) -> None:
        # Found by a mark that nobody outside can compute, compared by the digest itself.
        self._secret = secrets.token_bytes(32)
        self._keys = {self._mark(key.digest): key for key in keys}

    def find(self, token: bytes) -> ApiKey | None:
        """The listed key that is `token`."""
        digest = digest_of(token)
        key = self._keys.get(self._mark(digest), _NOBODY)
        is_same = hmac.compare_digest(key.digest, digest)
        return key if is_same and key is not _NOBODY else None

    def _mark(self, digest: bytes) -> bytes:
        return hashlib.blake2b(digest, digest_size=16, key=self._secret).digest()


class Guard:
    """Wraps the application: inside, `state` has the `tenant` and the `caller` of a known key.

    Paths that anyone may ask get neither without a key; a wrong key counts as none there.
    """

    def __init__(
        self, app: ASGIApp, *, keys: Sequence[ApiKey], open_prefixes: tuple[str, ...] = ()
    ) -> None:
        """`open_prefixes`: where the static files of the page at `/` are."""
        self._app = app
        self._ring = KeyRing(keys)
        self._open_prefixes = open_prefixes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve or refuse one request."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            key = self._identify(scope)
        except Refusal as refusal:
            if not self._is_open(scope["path"]):
                await refusal.response(scope)(scope, receive, send)
                return
            await self._app(scope, receive, send)
            return
        state = scope["state"]
        state["tenant"], state["caller"] = key.tenant, caller_of(key)
        token = TENANT.set(key.tenant)
        try:
            await self._app(scope, receive, send)
        finally:
            TENANT.reset(token)

    def _is_open(self, path: str) -> bool:
        return path in OPEN_PATHS or path.startswith(self._open_prefixes)

    def _identify(self, scope: Scope) -> ApiKey:
        """The key that the request carries. Raises Refusal."""
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        if not given:
            raise _unauthorized("A key is needed: send it as Authorization: Bearer <key>.")
        scheme, _, token = given[0].partition(b" ")
        token = token.strip()
        if len(given) > 1 or scheme.lower() != b"bearer" or not token:
            raise _unauthorized("Send one key, as Authorization: Bearer <key>.")
        key = self._ring.find(token)
        if key is None:
            raise _unauthorized("The key is not known here.")
        return key


def caller_of(key: ApiKey) -> str:
    """Names a key where it is counted; neither the key nor its digest can be found from it."""
    mark = hashlib.sha256(b"gpo-serve caller\0" + key.digest).hexdigest()
    return f"{key.tenant}/{mark[:_CALLER_CHARS]}"


def _unauthorized(detail: str) -> Refusal:
    return Refusal(401, "unauthorized", detail, headers={"WWW-Authenticate": "Bearer"})
