"""Figures from samples, the table for a person and the JSON for the documentation."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from .machine import ROOT

RESULTS = ROOT / "benchmarks" / "results"
DRAWS = 2_000
SHARE = 0.95


@dataclass(frozen=True, slots=True)
class Ratio:
    """A ratio and its 95 % bootstrap interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"

    def as_json(self) -> dict[str, float]:
        """Rounded to four digits after the point."""
        return {key: round(value, 4) for key, value in asdict(self).items()}


def percentile(samples: Sequence[float], share: float) -> float:
    """The value below which `share` (0 to 1) of the samples lie, between two where needed."""
    return float(np.quantile(np.asarray(samples, dtype=np.float64), share))


def ratio_of_medians(a: Sequence[float], b: Sequence[float], *, seed: int = 0) -> Ratio:
    """median(a) / median(b) of two independent samples."""
    draw = np.random.default_rng(seed)
    tops, bottoms = _medians(np.asarray(a), draw), _medians(np.asarray(b), draw)
    return _interval(float(np.median(a) / np.median(b)), tops / bottoms)


def paired_ratio(a: Sequence[float], b: Sequence[float], *, seed: int = 0) -> Ratio:
    """The median of a[i] / b[i], where the two were measured side by side."""
    ratios = np.asarray(a, dtype=np.float64) / np.asarray(b, dtype=np.float64)
    return _interval(float(np.median(ratios)), _medians(ratios, np.random.default_rng(seed)))


def table(title: str, columns: Mapping[str, str], rows: Sequence[Mapping[str, Any]]) -> Table:
    """A table with `columns` of heading -> key; floats are shown with three digits that count."""
    shown = Table(title=title)
    for heading in columns:
        shown.add_column(heading, justify="right")
    for row in rows:
        shown.add_row(*(cell(row.get(key)) for key in columns.values()))
    return shown


def cell(value: object) -> str:
    """One value of a table; a ratio with its interval."""
    if value is None:
        return ""
    if isinstance(value, Mapping) and {"value", "low", "high"} <= set(value):
        return f"{value['value']:.3f} ({value['low']:.3f} to {value['high']:.3f})"
    if isinstance(value, float):
        digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3
        return f"{value:,.{digits}f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def write(
    name: str,
    measured_on: Mapping[str, Any],
    settings: Mapping[str, Any],
    *,
    out: Path | None = None,
    **figures: Any,
) -> Path:
    """Write the figures beside where and how they were taken; the path of the JSON.

    `measured_on` is what `machine()` said before the measurement.
    """
    target = out or RESULTS / f"{name}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    document = {"benchmark": name, **measured_on, "settings": dict(settings), **figures}
    target.write_text(json.dumps(_rounded(document), indent=2) + "\n", encoding="utf-8")
    return target


def _rounded(value: Any) -> Any:
    """Floats with six digits that count: more says nothing and makes every difference noisy."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, Mapping):
        return {key: _rounded(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(each) for each in value]
    return value


def _medians(samples: NDArray[Any], draw: np.random.Generator) -> NDArray[np.float64]:
    """Medians of samples drawn again with replacement."""
    drawn = draw.choice(samples, size=(DRAWS, len(samples)))
    return np.asarray(np.median(drawn, axis=1), dtype=np.float64)


def _interval(value: float, found: NDArray[np.float64]) -> Ratio:
    low, high = np.quantile(found, [(1 - SHARE) / 2, (1 + SHARE) / 2])
    return Ratio(value, float(low), float(high))
