"""How much a language model's guess counts beside the kernel prior: from the card, or a default."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from models.checkpoint import Card
from models.llm_prior import Fit, Pool, PooledPrior, vectors_key
from models.prior import Prior
from service.core.domain import FloatArray, Guess

log = logging.getLogger(__name__)

PriorMode = Literal["bank", "llm", "both"]


@dataclass(frozen=True, slots=True)
class Pools:
    """The pool for a mode; `fit` is what `gpo train --llm-prior` found for one model."""

    mode: PriorMode = "both"
    fit: Fit | None = None
    warned: set[str] = field(default_factory=set)

    @classmethod
    def of_card(cls, card: Card, mode: PriorMode) -> Pools:
        """Raises ValueError where the card's figures make no sense."""
        stored: Any = card.config.get("llm_prior")
        return cls(mode, None if stored is None else Fit.of(stored))

    def over(self, base: Prior, guesses: Sequence[tuple[FloatArray, Guess | None]]) -> Prior:
        """`base` with the guesses for these vectors (k, D) pooled in; itself without a guess."""
        found = {vectors_key(v): guess for v, guess in guesses if guess is not None}
        if not found:
            return base
        pool = self.of(next(iter(found.values())).model)
        return PooledPrior(base, {key: guess.shares for key, guess in found.items()}, pool)

    def of(self, model: str) -> Pool:
        """The pool for guesses of this model."""
        if self.fit is not None and self.fit.model == model:
            return self.fit.alone if self.mode == "llm" else self.fit.both
        if model not in self.warned:
            self.warned.add(model)
            asked = f"for {self.fit.model!r}" if self.fit else "for no model"
            log.warning(
                "GPO_PRIOR=%s: the checkpoint has weights %s; %r is pooled with the default ones",
                *(self.mode, asked, model),
            )
        return Pool(weight=1.0) if self.mode == "llm" else Pool()
