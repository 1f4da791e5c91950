"""What a prior expects, remembered by question: it does not depend on who is asked.

Owns the cache; knows no prior of its own. Asking the released bank about a new question takes
longer than the module's pass.
"""

from __future__ import annotations

from collections.abc import Sequence

from models.batches import Expectation, FloatArray, Kind
from models.llm_prior import vectors_key
from models.own_bank import OwnPrior
from models.prior import Prior
from service.core.byte_lru import ByteLRU

ENTRY_OVERHEAD = 500


class RememberedPrior:
    """A Prior that asks another one once for each question; what is rated is asked each time."""

    def __init__(self, base: Prior, cache: ByteLRU[Expectation], *, name: str = "") -> None:
        """`name` tells apart the priors that share a cache."""
        self._base = base
        self._cache = cache
        self._name = name

    @property
    def nbytes(self) -> int:
        """About how much memory the prior takes for itself, without what the cache counts."""
        return self._base.nbytes if isinstance(self._base, OwnPrior) else 0

    def expect(self, items: Sequence[tuple[Kind, FloatArray]]) -> list[Expectation]:
        """One expectation for each (kind, vectors (k, D))."""
        keys = [self._key(*item) for item in items]
        found = [None if key is None else self._cache.get(key) for key in keys]
        new = {key or str(i): i for i, key in enumerate(keys) if found[i] is None}
        asked = self._base.expect([items[i] for i in new.values()]) if new else []
        answers = dict(zip(new, asked, strict=True))
        for key, answer in answers.items():
            if items[new[key]][0] is Kind.SHARE:
                nbytes = answer.mean.nbytes + answer.profile.nbytes
                self._cache.put(key, answer, nbytes + ENTRY_OVERHEAD)
        return [e or answers[keys[i] or str(i)] for i, e in enumerate(found)]

    def _key(self, kind: Kind, vectors: FloatArray) -> str | None:
        return self._name + vectors_key(vectors).hex() if kind is Kind.SHARE else None
