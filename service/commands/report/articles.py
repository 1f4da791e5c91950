"""The predictions of a page, item by item: bars with intervals beside what is true."""

from __future__ import annotations

from html import escape

from service.commands.report.charts import SERIES, bar, chip, legend
from service.commands.report.figures import miss
from service.commands.report.gathering import Report, Subject
from service.commands.report.items import Item, Kind, Row, Side
from service.commands.report.wording import percent

_HEADINGS = {
    Kind.QUESTION: "Questions",
    Kind.RATING: "Rated answers",
    Kind.COMPARISON: "Comparisons",
}


def items(report: Report) -> str:
    """Every prediction."""
    if not report.rows:
        return ""
    blocks = ["<h2>Predictions</h2>\n", legend()]
    for kind, heading in _HEADINGS.items():
        own = [(n, row) for n, row in enumerate(report.rows) if row.item.kind is kind]
        if own:
            blocks.append(f"<section>\n<h3>{heading}</h3>\n")
            blocks += [_article(report, n, row) for n, row in own]
            blocks.append("</section>\n")
    return "".join(blocks)


def _article(report: Report, number: int, row: Row) -> str:
    sides = list(zip(report.subjects, row.sides, SERIES, strict=False))
    told = [
        f"{chip(c, of=len(report.subjects))}{escape(_told(s, row, side))}" for s, side, c in sides
    ]
    several = ' class="several"' if len(sides) > 1 else ""
    options = []
    for place, text in enumerate(row.item.texts):
        tracks = "".join(
            f'<div class="track">{bar(side, place, series)}<span class="figures">'
            f"{_spoken(report, subject)}{_figures(row.item, side, place)}</span></div>"
            for subject, side, series in sides
        )
        mark = _judged(row.item, place)
        options.append(
            f'<div class="option"><div class="label" dir="auto">{escape(text)}{mark}</div>'
            f"<div>{tracks}</div></div>\n"
        )
    return (
        f'<article id="item-{number}"{several}>\n<h4 dir="auto">{escape(row.item.prompt)}</h4>\n'
        f'<p class="small">{"<br>".join(told)}</p>\n{"".join(options)}</article>\n'
    )


def _judged(item: Item, place: int) -> str:
    if item.kind is not Kind.COMPARISON:
        return ""
    return f' <span class="small">({"rejected" if place else "preferred"})</span>'


def _told(subject: Subject, row: Row, side: Side) -> str:
    """How a group's side was predicted and how well."""
    source = "predicted from its other preferences" if side.left_out else "a new question to it"
    name = f"{subject.group.name}: " if len(row.sides) > 1 else ""
    off = miss(row.item, side)
    if row.item.kind is Kind.COMPARISON:
        if side.true is None:
            return f"{name}{source}"
        chosen, rejected = side.told.shares
        return f"{name}{source}, comes out {'right' if chosen > rejected else 'wrong'}"
    if off is None:
        return f"{name}{source}"
    well = f"off by {percent(off)}" if row.item.kind is Kind.RATING else f"alignment {1 - off:.2f}"
    people = f", {side.people:,.0f} people" if side.people else ""
    return f"{name}{source}, {well}{people}"


def _figures(item: Item, side: Side, place: int) -> str:
    told = side.told
    text = f"<b>{percent(told.shares[place])}</b> ({_interval(told.low[place], told.high[place])})"
    # What a comparison says is which of two is preferred, no share.
    if side.true is None or item.kind is Kind.COMPARISON:
        return text
    return f"{text}, answered <b>{percent(side.true[place])}</b>"


def _interval(low: float, high: float) -> str:
    return f"{100 * low:.0f}–{percent(high)}"


def _spoken(report: Report, subject: Subject) -> str:
    return "" if len(report.subjects) == 1 else f"{escape(_short(subject.group.name))} "


def _short(name: str, most: int = 10) -> str:
    return name if len(name) <= most else f"{name[: most - 1].rstrip()}…"
