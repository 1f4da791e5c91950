"""The same pictures as PNG, for slides and papers, drawn with matplotlib on request."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Sequence
from typing import Any

from service.commands.bodies import InputError
from service.commands.report.figures import distance, miss, values
from service.commands.report.gathering import Report
from service.commands.report.items import Kind, Row

DPI = 200
_WIDTH = 6.4  # inches
_COLOURS = ("#0b62c4", "#c2410c")
_INK, _SOFT, _GRID = "#1f2328", "#57606a", "#d9dee4"
_MOST = 16
"""Questions in a picture: those that err most, or on which two groups differ most."""
_LINES = 160
"""Options in a picture, of as many questions: matplotlib draws no more than 65,535 pixels."""
_LABEL = 58


def require_matplotlib() -> None:
    """Raise InputError where pictures cannot be drawn."""
    if importlib.util.find_spec("matplotlib") is None:
        raise InputError(
            "--png draws with matplotlib, which is not installed: run `make install`, or install "
            "the extra: pip install '.[report]'"
        )


def to_png(report: Report) -> dict[str, bytes]:
    """The pictures by the names of their files; those that there is something for."""
    found = {}
    if any(list(values(report.rows, place)) for place in range(len(report.subjects))):
        found["calibration.png"] = _calibration(report)
    asked = [row for row in report.rows if row.item.kind is not Kind.COMPARISON]
    if asked:
        found["predictions.png"] = _predictions(report, _telling(asked))
    return found


def _telling(rows: Sequence[Row]) -> list[Row]:
    """The rows that a picture has room for."""

    def weight(row: Row) -> float:
        if len(row.sides) > 1:
            return distance(row)
        return miss(row.item, row.sides[0]) or 0.0

    kept: set[int] = set()
    left = _LINES
    for place in sorted(range(len(rows)), key=lambda i: -weight(rows[i]))[:_MOST]:
        size = len(rows[place].item.texts)
        if not kept or size <= left:
            kept.add(place)
            left -= size
    return [row for place, row in enumerate(rows) if place in kept]


def _calibration(report: Report) -> bytes:
    from matplotlib.figure import Figure

    number = len(report.subjects)
    figure = Figure(figsize=(3.6 * number, 3.9), facecolor="white", layout="constrained")
    for place, axes in enumerate(figure.subplots(1, number, squeeze=False)[0]):
        points = list(values(report.rows, place))
        _style(axes)
        axes.plot([0, 100], [0, 100], color=_SOFT, linewidth=1, linestyle=":")
        for point in points:
            axes.plot(
                [100 * point.low, 100 * point.high],
                [100 * point.true] * 2,
                color=_COLOURS[place],
                alpha=0.35 if point.inside else 1,
                linewidth=1.2 if point.inside else 2,
            )
        axes.scatter(
            [100 * p.predicted for p in points],
            [100 * p.true for p in points],
            color=_COLOURS[place],
            s=16,
            zorder=3,
        )
        inside = sum(p.inside for p in points)
        axes.set_title(
            f"{_shortened(report.subjects[place].group.name)}\n"
            f"{inside} of {len(points)} inside their 90 % intervals",
            fontsize=9,
            color=_INK,
        )
        axes.set(xlabel="predicted, %", ylabel="true, %", xlim=(0, 100), ylim=(0, 100))
    return _png(figure)


def _predictions(report: Report, rows: Sequence[Row]) -> bytes:
    """A line for each option: predicted with its interval, and true."""
    from matplotlib.figure import Figure

    lines = [(row, place) for row in rows for place in range(len(row.item.texts))]
    figure = Figure(
        figsize=(_WIDTH + 2, 1.1 + 0.34 * len(lines)), facecolor="white", layout="constrained"
    )
    axes = figure.subplots()
    _style(axes)
    sides = len(report.subjects)
    for number, colour in zip(range(sides), _COLOURS, strict=False):
        shift = 0.0 if sides == 1 else 0.18 * (1 if number else -1)
        at = [y + shift for y in range(len(lines))]
        told = [(row.sides[number].told, place) for row, place in lines]
        axes.hlines(
            at, [100 * t.low[p] for t, p in told], [100 * t.high[p] for t, p in told], color=colour
        )
        name = _shortened(report.subjects[number].group.name)
        axes.scatter([100 * t.shares[p] for t, p in told], at, color=colour, s=22, label=name)
        known = [(row.sides[number].true, place) for row, place in lines]
        points = [(100 * t[p], y) for (t, p), y in zip(known, at, strict=True) if t is not None]
        if points:
            label = "answered" if number == sides - 1 else None
            x, y = zip(*points, strict=True)
            axes.scatter(x, y, color=_INK, marker="D", s=14, label=label, zorder=4)
    axes.set_yticks(range(len(lines)), [_labelled(row, place) for row, place in lines], fontsize=7)
    axes.set_ylim(len(lines) - 0.5, -0.5)
    axes.set(xlabel="share, %, with 90 % intervals", xlim=(0, 100))
    figure.legend(loc="outside upper center", ncols=3, frameon=False, fontsize=8)
    return _png(figure)


def _labelled(row: Row, place: int) -> str:
    text = _shortened(row.item.texts[place], 30)
    return text if place else f"{_shortened(row.item.prompt)}\n{text}"


def _shortened(text: str, most: int = _LABEL) -> str:
    plain = " ".join(text.split()).replace("$", r"\$")  # a pair of dollars would be a formula
    return plain if len(plain) <= most else f"{plain[: most - 1].rstrip()}…"


def _style(axes: Any) -> None:
    axes.grid(color=_GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(colors=_INK, labelsize=8)
    for name, spine in axes.spines.items():
        spine.set_color(_GRID)
        spine.set_visible(name in ("left", "bottom"))


def _png(figure: Any) -> bytes:
    out = io.BytesIO()
    # No date or version, so that the same figures give the same bytes.
    figure.savefig(out, format="png", dpi=DPI, metadata={"Software": None})
    return out.getvalue()
