"""The parts of a report's page, each as HTML; empty where there is nothing to show."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

from service.commands.report.charts import SERIES, chip, scatter
from service.commands.report.figures import Figures, Mean, distance, figures, miss, values
from service.commands.report.gathering import Report, Subject
from service.commands.report.items import Item, Kind, Row, Side
from service.commands.report.rounds import FOLDS, SINGLE
from service.commands.report.wording import MOST_LISTED, READING, decimal, percent, verdict

_KINDS = {
    Kind.QUESTION: "questions with the share of each option",
    Kind.RATING: "rated answers",
    Kind.COMPARISON: "comparisons",
}


def lead(report: Report) -> str:
    """Who the groups are, and what the page does with them."""
    lines = []
    for subject, series in zip(report.subjects, SERIES, strict=False):
        group = subject.group
        about = f": {escape(group.description)}" if group.description else ""
        name = f"<b>{escape(group.name)}</b> (<code>{escape(group.id)}</code>)"
        lines.append(
            f'<p class="soft" dir="auto">{chip(series, of=len(report.subjects))}{name}{about}</p>\n'
        )
    if report.file is not None:
        text = f"What is predicted for the questions of {escape(report.file)}."
    else:
        text = (
            "Each preference is predicted from the group's others and set beside what the group "
            "said, so that you see how far predictions for new questions can be trusted."
        )
    return "".join(lines) + f"<p>{text}</p>\n"


def notes(report: Report) -> str:
    """What a reader has to know before the figures."""
    found = []
    if report.leaks:
        found.append(
            "The service's bank includes the groups that are registered there (GPO_BANK="
            f"{report.about.bank}), also these. An answer that is left out of the context is "
            "therefore still in the bank, and the figures below are better than those for a new "
            "question would be. For honest ones run the service with GPO_BANK=released."
        )
    for subject in report.subjects:
        if not subject.known:
            found.append(
                f"{subject.group.name} has no preferences: what is predicted for it is what is "
                "expected of people nothing is known of."
            )
    if not report.rows:
        found.append("There is nothing to predict. Name questions with --questions FILE.")
    return "".join(f'<p class="note">{escape(note)}</p>\n' for note in found)


def glance(report: Report) -> str:
    """The figures of each group, and in words what they say."""
    found = [figures(report.rows, place) for place in range(len(report.subjects))]
    lines: list[tuple[str, Callable[[Figures], str | None]]] = [
        ("questions whose answer is known", lambda f: str(f.alignment.n) if f.alignment else None),
        ("alignment (1 is perfect)", lambda f: _mean(f.alignment)),
        ("alignment without its preferences", lambda f: _mean(f.alignment_prior)),
        ("gain from its preferences", lambda f: _mean(f.gain, sign=True)),
        ("error of the rated answers", lambda f: _mean(f.error)),
        ("error without its preferences", lambda f: _mean(f.error_prior)),
        ("comparisons that come out right", lambda f: _right(f.right)),
        ("right without its preferences", lambda f: _right(f.right_prior)),
        ("true shares inside the 90 % intervals", lambda f: _covered(f.covered)),
        ("mean width of the intervals", lambda f: percent(f.width.value) if f.width else None),
    ]
    rows = [(name, [show(f) for f in found]) for name, show in lines]
    shown = [[escape(name), *(c or "–" for c in cells)] for name, cells in rows if any(cells)]
    if not shown:
        return ""
    words = "".join(f"<p>{escape(w)}</p>\n" for w in _verdicts(report, found))
    return "<h2>At a glance</h2>\n" + words + _table(["figure", *_names(report)], shown)


def context(report: Report) -> str:
    """What each group is known by: its preferences by kind, with the people behind them."""
    rows = []
    for kind, name in _KINDS.items():
        cells = [_counted(subject, kind) for subject in report.subjects]
        if any(cells):
            rows.append([name, *(c or "–" for c in cells)])
    total = []
    for subject in report.subjects:
        n, cap = subject.group.preference_count, report.caps.preferences
        total.append(f"{n:,} of {cap:,} ({percent(n / cap)})" if cap else f"{n:,}")
    rows.append(["all, of the most that a group may have", *total])
    rows.append(["texts in the context", *(f"{s.group.context_tokens:,}" for s in report.subjects)])
    listed = ""
    if report.file is not None:
        listed = "".join(_listed(subject) for subject in report.subjects)
    return "<h2>Context</h2>\n" + _table(["preferences", *_names(report)], rows) + listed


def calibration(report: Report) -> str:
    """True against predicted shares."""
    plots = []
    for place, (subject, series) in enumerate(zip(report.subjects, SERIES, strict=False)):
        points = list(values(report.rows, place))
        if points:
            inside = sum(v.inside for v in points)
            name = chip(series, of=len(report.subjects)) + escape(subject.group.name)
            caption = (
                f"{name}: {inside} of {len(points)} true shares "
                f"({percent(inside / len(points))}) are inside their intervals."
            )
            plots.append(scatter(points, series, caption))
    if not plots:
        return ""
    return (
        "<h2>Calibration</h2>\n<p class=small>Each point is an option or a rated answer, its line "
        "the 90 % interval. Where predictions are right on average, points lie around the "
        "diagonal; where intervals are, nine lines of ten cross it.</p>\n"
        f'<div class="plots">{"".join(plots)}</div>\n'
    )


def extremes(report: Report) -> str:
    """Where predictions err most, are least certain, and where two groups differ most."""
    blocks = []
    for place, subject in enumerate(report.subjects):
        whose = f": {escape(subject.group.name)}" if len(report.subjects) > 1 else ""
        off = [(miss(r.item, r.sides[place]), n, r) for n, r in enumerate(report.rows)]
        known = sorted(((m, n, r) for m, n, r in off if m is not None), key=lambda f: -f[0])
        if known:
            lines = [(n, r, _off(r.item, r.sides[place])) for _, n, r in known[:MOST_LISTED]]
            blocks.append(_ranked(f"Errs most{whose}", lines))
    if len(report.subjects) > 1 and report.rows:
        far = sorted(enumerate(report.rows), key=lambda f: -distance(f[1]))[:MOST_LISTED]
        blocks.append(_ranked("The two differ most", [(n, r, _apart(report, r)) for n, r in far]))
    for place, subject in enumerate(report.subjects):
        whose = f": {escape(subject.group.name)}" if len(report.subjects) > 1 else ""
        wide = sorted(enumerate(report.rows), key=lambda f: -_width(f[1].sides[place]))
        lines = [
            (n, r, f"up to {percent(_width(r.sides[place]))} wide") for n, r in wide[:MOST_LISTED]
        ]
        if lines:
            blocks.append(_ranked(f"Least certain{whose}", lines))
    return "".join(blocks)


def reading(report: Report) -> str:
    """What the figures mean, and what they do not."""
    lines = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>\n" for k, v in READING.items())
    return f"<h2>How to read this</h2>\n<dl>\n{lines}</dl>\n"


def provenance(report: Report) -> str:
    """What it takes to make the page again."""
    about = report.about
    facts = [("made", f"{report.made:%Y-%m-%d %H:%M} UTC"), ("service", report.url)]
    facts += [("version", about.version), ("module", about.scorer), ("embedder", about.embedder)]
    facts.append(("bank", about.bank or "not told"))
    facts += [(f"group {s.group.id}", f"version {s.group.version}") for s in report.subjects]
    facts.append(("questions", report.file or "the preferences of the groups"))
    facts.append(("left out", _left_out(report.folds)))
    rows = [[escape(k), f"<code>{escape(v)}</code>"] for k, v in facts]
    return "<h2>How it was made</h2>\n" + _table(["what", "value"], rows, kind="facts")


def _left_out(folds: int | None) -> str:
    if folds is None:
        return f"one preference at a time; of more than {SINGLE}, one part of {FOLDS}"
    return f"one part of {folds} at a time, of one preference at least"


def _ranked(heading: str, lines: Sequence[tuple[int, Row, str]]) -> str:
    listed = "".join(
        f'<li dir="auto"><a href="#item-{number}">{escape(_asked(row.item))}</a> '
        f'<span class="small">{escape(text)}</span></li>\n'
        for number, row, text in lines
    )
    return f"<h2>{heading}</h2>\n<ol>\n{listed}</ol>\n"


def _asked(item: Item) -> str:
    return item.prompt if item.kind is Kind.QUESTION else f"{item.prompt} – {item.texts[0]}"


def _off(item: Item, side: Side) -> str:
    """The text of an item that is furthest off."""
    true = side.true or side.told.shares
    # Rounded, so that of two options that are off alike it is the first.
    place = max(range(len(true)), key=lambda i: round(abs(true[i] - side.told.shares[i]), 9))
    which = f"{item.texts[place]}: " if item.kind is Kind.QUESTION else ""
    return f"{which}predicted {percent(side.told.shares[place])}, answered {percent(true[place])}"


def _apart(report: Report, row: Row) -> str:
    one, other = (side.told.shares for side in row.sides)
    place = max(range(len(one)), key=lambda i: round(abs(one[i] - other[i]), 9))
    which = f"{row.item.texts[place]}: " if row.item.kind is Kind.QUESTION else ""
    names = [s.group.name for s in report.subjects]
    return f"{which}{names[0]} {percent(one[place])}, {names[1]} {percent(other[place])}"


def _width(side: Side) -> float:
    return max(h - low for low, h in zip(side.told.low, side.told.high, strict=True))


def _verdicts(report: Report, found: Sequence[Figures]) -> list[str]:
    each = ((s.group.name, verdict(f)) for s, f in zip(report.subjects, found, strict=True))
    several = len(report.subjects) > 1
    return [f"{name}: {text}" if several else text for name, text in each if text]


def _counted(subject: Subject, kind: Kind) -> str | None:
    own = [k for k in subject.known if k.item.kind is kind]
    if not own:
        return None
    people = [k.people for k in own if k.people is not None]
    if not people:
        return f"{len(own):,}"
    low, high = min(people), max(people)
    span = f"{low:,.0f}" if low == high else f"{low:,.0f} to {high:,.0f}"
    return f"{len(own):,}; weights of {len(people):,} known, {span} people"


def _listed(subject: Subject) -> str:
    """Every preference in a line; folded, since there may be thousands."""
    lines = []
    for each in subject.known:
        item, values_ = each.item, zip(each.item.texts, each.true, strict=True)
        if item.kind is Kind.COMPARISON:
            said = f"prefers “{item.texts[0]}” to “{item.texts[1]}”"
        else:
            said = "; ".join(f"{text} {percent(value)}" for text, value in values_)
        lines.append(
            f'<li dir="auto">{escape(item.prompt)} <span class="small">{escape(said)}</span></li>\n'
        )
    if not lines:
        return ""
    name = escape(subject.group.name)
    return (
        f"<details><summary>The preferences of {name}</summary>\n"
        f"<ol>\n{''.join(lines)}</ol>\n</details>\n"
    )


def _names(report: Report) -> list[str]:
    return [s.group.name for s in report.subjects]


def _mean(found: Mean | None, *, sign: bool = False) -> str | None:
    return None if found is None else decimal(found.value, found.error, sign=sign)


def _right(found: Mean | None) -> str | None:
    return None if found is None else f"{found.value * found.n:g} of {found.n}"


def _covered(found: Mean | None) -> str | None:
    if found is None:
        return None
    return f"{percent(found.value)} ({found.value * found.n:.0f} of {found.n})"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], *, kind: str = "plain") -> str:
    """Cells are HTML already; the head is text."""
    top = "".join(f'<th scope="col" dir="auto">{escape(h)}</th>' for h in head)
    body = "".join("<tr>" + "".join(f"<td>{c}</td>" for c in row) + "</tr>\n" for row in rows)
    return (
        f'<div class="wide" tabindex="0"><table class="{kind}">\n<thead><tr>{top}</tr></thead>\n'
        f"<tbody>\n{body}</tbody></table></div>\n"
    )
