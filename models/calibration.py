"""How wide a 90 % interval is, in units of the predicted std: fitted on held-out groups.

A conformal factor for each kind of item, for known and for new questions, and for three sizes of
a context; between them by the logarithm of the size. Knows no network and no data.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from models.batches import KINDS, FloatArray, Kind

SIZES = (0, 5, 20)  # items of a context
COVERAGE = 0.9
NORMAL = 1.645  # of a normal law, where nothing was fitted
FEWEST = 50  # errors that a factor is fitted on


def cell(kind: Kind, *, known: bool) -> str:
    """The name of a row of factors."""
    return f"{kind}/{'known' if known else 'new'}"


@dataclass(frozen=True, slots=True)
class Calibration:
    """Half widths of the interval in units of the std, one for each of SIZES, by `cell`."""

    factors: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def factor(self, kind: Kind, *, known: bool, size: int) -> float:
        """The half width for an item, from a context of `size` items."""
        row = self.factors.get(cell(kind, known=known))
        if row is None:
            return NORMAL
        return float(np.interp(np.log1p(size), np.log1p(SIZES), row))


@dataclass(slots=True)
class Errors:
    """Errors of held-out values in units of the predicted std, gathered by cell and size."""

    found: dict[tuple[str, int], list[FloatArray]] = field(default_factory=dict)

    def add(self, kind: Kind, *, known: bool, size: int, ratios: FloatArray) -> None:
        """Keep |true - predicted| / std (n,) of items from contexts of one of SIZES."""
        self.found.setdefault((cell(kind, known=known), size), []).append(ratios)

    def calibration(self) -> Calibration:
        """The factors that hold 90 % of the errors; a cell with too few borrows from its kind."""
        names = [cell(kind, known=known) for kind in KINDS for known in (True, False)]
        return Calibration({n: row for n in names if (row := self._row(n)) is not None})

    def _row(self, name: str) -> tuple[float, ...] | None:
        kind = name.split("/")[0]
        of_kind = _joined(v for (n, _), v in self.found.items() if n.split("/")[0] == kind)
        if not len(of_kind):
            return None
        own = [_joined([self.found.get((name, size), [])]) for size in SIZES]
        return tuple(float(np.quantile(e if len(e) >= FEWEST else of_kind, COVERAGE)) for e in own)


def _joined(rows: Iterable[Sequence[FloatArray]]) -> FloatArray:
    return np.concatenate([np.zeros(0, np.float32), *(array for row in rows for array in row)])
