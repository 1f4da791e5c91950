"""The drawings of the page: one prediction as a bar, all of them against what is true.

SVG in the page's own colours, so that it is sharp on paper and fits a dark screen. Knows no layout.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from service.commands.report.figures import Value
from service.commands.report.items import Side

SERIES = ("one", "two")
_SIZE, _LEFT, _BELOW, _RIGHT = 300, 58, 36, 20
_HINTS = ("0 %", "50 %", "100 %")


def bar(side: Side, place: int, series: str) -> str:
    """The predicted share with its interval, that of the prior, and the true one if known."""
    share, low, high = (
        values[place] for values in (side.told.shares, side.told.low, side.told.high)
    )
    marks = [
        '<rect class="ground" width="100%" height="20" rx="3"/>',
        f'<rect class="bar" width="{_percent(share)}" height="20" rx="3"/>',
        _upright("prior", side.prior.shares[place], 0, 20),
        f'<line class="whisker" x1="{_percent(low)}" x2="{_percent(high)}" y1="10" y2="10"/>',
        _upright("whisker", low, 5, 15),
        _upright("whisker", high, 5, 15),
    ]
    if side.true is not None:
        marks.append(
            f'<svg x="{_percent(side.true[place])}" y="10" overflow="visible">'
            '<path class="true" d="M0-7 6 0 0 7-6 0z"/></svg>'
        )
    return f'<svg class="{series}" aria-hidden="true" focusable="false">{"".join(marks)}</svg>'


def legend() -> str:
    """What the marks of a bar mean."""
    marks = (
        ('<rect class="bar" width="34" height="16" rx="3"/>', "predicted share"),
        (
            '<line class="whisker" x1="2" x2="32" y1="8" y2="8"/>'
            '<line class="whisker" x1="2" x2="2" y1="3" y2="13"/>'
            '<line class="whisker" x1="32" x2="32" y1="3" y2="13"/>',
            "90 % interval",
        ),
        (
            '<svg x="17" y="8" overflow="visible"><path class="true" d="M0-7 6 0 0 7-6 0z"/></svg>',
            "what the group answered",
        ),
        (
            '<line class="prior" x1="17" x2="17" y1="0" y2="16"/>',
            "predicted without its preferences",
        ),
    )
    items = "".join(
        f'<li><svg class="one" aria-hidden="true" viewBox="0 0 34 16">{mark}</svg>{text}</li>'
        for mark, text in marks
    )
    return f'<ul class="legend">{items}</ul>\n'


def chip(series: str, *, of: int) -> str:
    """A group's colour, where there is more than one."""
    if of == 1:
        return ""
    return f'<span class="chip" style="background: var(--{series})" aria-hidden="true"></span>'


def scatter(points: Iterable[Value], series: str, caption: str) -> str:
    """True against predicted shares, with their intervals; `caption` is HTML already."""
    shown: Sequence[Value] = list(points)
    full = _SIZE + _LEFT
    marks = [_axes()]
    # Those that miss come last, over the others.
    for value in sorted(shown, key=lambda v: not v.inside):
        y = _y(value.true)
        kind = "faint" if value.inside else "faint outside"
        marks.append(
            f'<line class="{kind}" x1="{_x(value.low)}" x2="{_x(value.high)}" y1="{y}" y2="{y}"/>'
            f'<circle class="point" cx="{_x(value.predicted)}" cy="{y}" r="3.5"/>'
        )
    inside = sum(v.inside for v in shown)
    label = f"{inside} of {len(shown)} true shares are inside their intervals"
    box = f"0 0 {full + _RIGHT} {_SIZE + _BELOW + 8}"
    return (
        f'<figure class="{series}"><svg viewBox="{box}" role="img" '
        f'aria-label="{label}">{"".join(marks)}</svg><figcaption>{caption}</figcaption></figure>\n'
    )


def _axes() -> str:
    lines = []
    for share, text in zip((0.0, 0.5, 1.0), _HINTS, strict=True):
        x, y = _x(share), _y(share)
        lines += [
            f'<line class="grid" x1="{x}" x2="{x}" y1="{_y(0)}" y2="{_y(1)}"/>',
            f'<line class="grid" x1="{_x(0)}" x2="{_x(1)}" y1="{y}" y2="{y}"/>',
            f'<text x="{x}" y="{_y(0) + 16}" text-anchor="middle">{text}</text>',
            f'<text x="{_LEFT - 6}" y="{y + 4}" text-anchor="end">{text}</text>',
        ]
    middle = _y(0.5)
    return "".join(lines) + (
        f'<line class="diagonal" x1="{_x(0)}" y1="{_y(0)}" x2="{_x(1)}" y2="{_y(1)}"/>'
        f'<text x="{_x(0.5)}" y="{_y(0) + 32}" text-anchor="middle">predicted share</text>'
        f'<text x="12" y="{middle}" text-anchor="middle" '
        f'transform="rotate(-90 12 {middle})">true share</text>'
    )


def _upright(kind: str, share: float, top: int, bottom: int) -> str:
    x = _percent(share)
    return f'<line class="{kind}" x1="{x}" x2="{x}" y1="{top}" y2="{bottom}"/>'


def _x(share: float) -> float:
    return round(_LEFT + share * _SIZE, 1)


def _y(share: float) -> float:
    return round(8 + (1 - share) * _SIZE, 1)


def _percent(share: float) -> str:
    return f"{100 * share:.2f}%"
