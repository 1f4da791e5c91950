"""The plots of an evaluation, as PNG bytes: context size, calibration, groups.

Owns colours and layout, for a light and a dark page. Decides nothing about what is good.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure

from models.regimes import HEADLINE
from models.tallies import LEVELS, Row

DPI = 200
WIDTH = 4.8  # inches: narrow, so that text stays legible on a telephone
BARS = 30  # groups in a plot, the lowest ones where there are more
LABEL, HEAD = 34, 12  # characters of a group's name, and those in front of what is left out


@dataclass(frozen=True, slots=True)
class Theme:
    """Colours of a page: background, text, grid, and series in order."""

    name: str
    ground: str
    ink: str
    grid: str
    series: tuple[str, ...]
    baselines: tuple[str, ...]


LIGHT = Theme(
    "light",
    "#ffffff",
    "#1f2328",
    "#d9dee4",
    ("#0b62c4", "#c2410c", "#6d28d9", "#0f766e"),
    ("#6b7280", "#a16207", "#4d7c0f", "#9d174d", "#475569", "#b45309"),
)
DARK = Theme(
    "dark",
    "#14181d",
    "#e6e9ed",
    "#353c45",
    ("#6cb2ff", "#ff9d6c", "#bfa3ff", "#5fd4c4"),
    ("#9aa3ae", "#e0b64a", "#a3d45c", "#f28bc0", "#8fa3bd", "#f0a35a"),
)
DASHES = ("--", ":", "-.", (0, (6, 2, 1, 2, 1, 2)), (0, (1, 3)), (0, (8, 3)))


def context_plot(rows: Sequence[Row], theme: Theme) -> bytes:
    """Score against context size, of one regime and data set: checkpoints and baselines.

    Bars are the standard error over the draws. A size that fewer groups reach is drawn apart, since
    its score is of other groups.
    """
    figure, axes = _figure(theme, 3.9)
    sizes = sorted({r.context for r in rows if r.role == "module" and r.context is not None})
    place = {size: i for i, size in enumerate(sizes)}
    checkpoints = [r for r in rows if r.role == "module"]
    for number, source in enumerate(dict.fromkeys(r.source for r in checkpoints)):
        colour = theme.series[number % len(theme.series)]
        own = [r for r in checkpoints if r.source == source]
        most = max(r.groups for r in own)
        for part, label in ((True, source), (False, None)):
            line = [r for r in own if (r.groups == most) is part]
            if line:
                axes.errorbar(
                    [place[r.context or 0] for r in line],
                    [r.mean for r in line],
                    yerr=[r.error or 0 for r in line],
                    color=colour,
                    label=label,
                    marker="o",
                    markerfacecolor=colour if part else theme.ground,
                    linewidth=2 if part else 0,
                    elinewidth=1.2,
                    capsize=3,
                    zorder=5,
                )
            for r in line if not part else []:
                axes.annotate(
                    f"{r.groups} of {most} groups",
                    (place[r.context or 0], r.mean),
                    textcoords="offset points",
                    xytext=(-6, 7),
                    ha="right",
                    fontsize=8,
                    color=colour,
                )
        for r in (r for r in rows if r.role == "swapped" and r.source == source):
            axes.errorbar(
                [place[HEADLINE] + 0.07],
                [r.mean],
                yerr=[r.error or 0],
                color=colour,
                label=f"{source}, another group's context",
                marker="X",
                linewidth=0,
                elinewidth=1.2,
                capsize=3,
                zorder=4,
            )
    flat = [r for r in rows if r.role in ("baseline", "published") and r.predictor != "uniform"]
    for number, row in enumerate(flat):
        axes.axhline(
            row.mean,
            color=theme.baselines[number % len(theme.baselines)],
            linestyle=DASHES[number % len(DASHES)],
            linewidth=1.4,
            label=row.predictor,
            zorder=2,
        )
    axes.set_xticks(range(len(sizes)), [str(s) for s in sizes])
    axes.set_xlabel("items of the group in the context")
    axes.set_ylabel(rows[0].unit)
    axes.margins(x=0.06, y=0.12)
    _legend(figure, axes, theme)
    return _png(figure)


def calibration_plot(rows: Sequence[Row], theme: Theme) -> bytes:
    """Nominal against observed coverage, and predicted against true values, of checkpoints."""
    figure = Figure(figsize=(WIDTH, 3.1), facecolor=theme.ground, layout="constrained")
    left, right = figure.subplots(1, 2)
    for axes in (left, right):
        _style(axes, theme)
    places, nominal = range(len(LEVELS)), [float(level) for level in LEVELS]
    left.plot(places, nominal, color=theme.ink, linewidth=1, linestyle=":")
    right.plot([0, 1], [0, 1], color=theme.ink, linewidth=1, linestyle=":")
    sources = list(dict.fromkeys(r.source for r in rows))
    for row in rows:
        look = {
            "color": theme.series[sources.index(row.source) % len(theme.series)],
            "linestyle": "-" if row.context else "--",
            "marker": "o",
            "markersize": 4,
        }
        observed = [100 * row.levels[level] for level in LEVELS]
        left.plot(places, observed, label=row.predictor, **look)
        predicted, true, _ = zip(*row.reliability, strict=True) if row.reliability else ((),) * 3
        right.plot(predicted, true, **look)
    left.set_xticks(places, list(LEVELS))
    left.set_xlabel("nominal coverage, %")
    left.set_ylabel("true values inside, %")
    left.set_ylim(-3, 103)
    right.set_xlabel("predicted")
    right.set_ylabel("true, on average")
    right.set_xlim(0, 1)
    right.set_ylim(0, 1)
    _legend(figure, left, theme)
    return _png(figure)


def group_plot(row: Row, none: Row | None, best: Row | None, theme: Theme) -> bytes:
    """What the context does for each group, lowest first; marks for the best baseline."""
    shown = sorted(row.by_group.items(), key=lambda item: item[1])[:BARS][::-1]
    figure, axes = _figure(theme, 1.4 + 0.24 * len(shown))
    names, places = [name for name, _ in shown], range(len(shown))
    values = [v for _, v in shown]
    # A bar starts at the score without a context, not at 0, which is off the axis.
    start = [none.by_group.get(n, v) if none else v for n, v in shown]
    axes.barh(
        places,
        [v - a for a, v in zip(start, values, strict=True)],
        left=start,
        color=theme.series[0],
        alpha=0.45,
        height=0.5,
    )
    axes.scatter(values, places, s=30, color=theme.series[0], label=row.predictor, zorder=5)
    for other, marker, colour in ((none, "|", theme.ink), (best, "D", theme.series[1])):
        if other is not None:
            at = [(i, other.by_group[n]) for i, n in enumerate(names) if n in other.by_group]
            axes.scatter(
                [v for _, v in at],
                [i for i, _ in at],
                marker=marker,
                s=90 if marker == "|" else 22,
                color=colour,
                label=other.predictor,
                zorder=4,
            )
    axes.set_yticks(list(places), [shorten(n) for n in names], fontsize=8)
    axes.set_xlabel(row.unit)
    axes.margins(y=0.02)
    _legend(figure, axes, theme)
    return _png(figure)


def shorten(name: str) -> str:
    """A name of 34 characters at most, without its middle."""
    if len(name) <= LABEL:
        return name
    return f"{name[:HEAD].rstrip()}…{name[HEAD + 1 - LABEL :].lstrip()}"


def _figure(theme: Theme, height: float) -> tuple[Figure, Any]:
    figure = Figure(figsize=(WIDTH, height), facecolor=theme.ground, layout="constrained")
    axes = figure.subplots()
    _style(axes, theme)
    return figure, axes


def _style(axes: Any, theme: Theme) -> None:
    axes.set_facecolor(theme.ground)
    axes.grid(color=theme.grid, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=theme.ink, labelsize=8)
    for name, spine in axes.spines.items():
        spine.set_color(theme.grid)
        spine.set_visible(name in ("left", "bottom"))
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set_color(theme.ink)
        label.set_fontsize(9)


def _legend(figure: Figure, axes: Any, theme: Theme) -> None:
    figure.legend(
        *axes.get_legend_handles_labels(),
        loc="outside lower center",
        ncols=2,
        columnspacing=1.2,
        handlelength=2.4,
        frameon=False,
        fontsize=8,
        labelcolor=theme.ink,
    )


def _png(figure: Figure) -> bytes:
    out = io.BytesIO()
    # No date or version, so that the same figures give the same bytes.
    figure.savefig(out, format="png", dpi=DPI, metadata={"Software": None})
    return out.getvalue()
