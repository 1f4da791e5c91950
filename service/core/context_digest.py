"""Names the content of a context, so that equal content is encoded, kept and answered once.

Knows no vectors: what was said, to whom it belongs and which embedder reads it is all that counts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from service.core.domain import Preference


class ContextDigest:
    """Digests of one list of preferences, and of the same with single ones left out.

    The same for the same preferences in any order, and their options in any order.
    """

    def __init__(
        self, tenant: str, embedder_digest: str, preferences: Sequence[Preference]
    ) -> None:
        contents = [_content(preference) for preference in preferences]
        self._order = sorted(range(len(contents)), key=contents.__getitem__)
        self._entries = [json.dumps(contents[i]) for i in self._order]
        self._head = json.dumps([tenant, embedder_digest], separators=(",", ":"))[:-1]

    def whole(self) -> str:
        """The digest of all of them."""
        return self._of(self._entries)

    def without(self, index: int) -> str:
        """The digest that they have without the one at `index`."""
        entries = zip(self._order, self._entries, strict=True)
        return self._of([entry for i, entry in entries if i != index])

    def _of(self, entries: Sequence[str]) -> str:
        text = f"{self._head},[{','.join(entries)}]]"
        return hashlib.sha256(text.encode()).hexdigest()


def _content(preference: Preference) -> str:
    said = sorted(zip(preference.responses, preference.values, strict=True))
    return json.dumps([preference.kind, preference.prompt, said, preference.weight])
