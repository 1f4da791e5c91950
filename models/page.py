"""An evaluation as one page of HTML that needs no other file, with its plots as PNG beside it.

Owns the page's text and style; draws through `models.plots`, which needs matplotlib.
"""

from __future__ import annotations

import base64
import importlib.util
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from models.checkpoint import Card
from models.evaluation import MODULE
from models.paper import paper_share
from models.regimes import HEADLINE
from models.report import COLUMNS, READING, REGIMES, cells, heading, to_markdown
from models.result import Evaluation
from models.tallies import Row

if TYPE_CHECKING:
    from models.plots import Theme

PAGE = "index.html"
STYLE = Path(__file__).parent / "page.css"
# Nothing is loaded or run but what is in the page itself.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


class ReportError(Exception):
    """A report cannot be written; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Plot:
    """A picture in both themes, under a name for its file and a text for who cannot see it."""

    name: str
    text: str
    draw: Callable[[Theme], bytes]


def require_matplotlib() -> None:
    """Raise ReportError where plots cannot be drawn."""
    if importlib.util.find_spec("matplotlib") is None:
        raise ReportError(
            "--report draws with matplotlib, which is not installed: run `make install`, or "
            "install the extra: pip install '.[report]'"
        )


def write_report(result: Evaluation, folder: Path) -> Path:
    """Write index.html, report.json, report.md and the plots into a folder; the page's path.

    Each file gets its name when it is whole, the page last; one that was there stays until then.
    """
    folder.mkdir(parents=True, exist_ok=True)
    text = f"{heading(result.card)}\n\n{to_markdown(result.rows)}"
    html = "".join(_page(result, folder))
    _put(folder / "report.json", result.to_json().encode())
    _put(folder / "report.md", text.encode())
    _put(folder / PAGE, html.encode())
    return folder / PAGE


def _put(path: Path, content: bytes) -> None:
    part = path.with_name(path.name + ".part")
    part.write_bytes(content)
    part.replace(path)


def _page(result: Evaluation, folder: Path) -> Iterator[str]:
    title = escape(f"How good is {result.card.name}?")
    yield (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{title}</title>\n<style>\n{STYLE.read_text(encoding='utf-8')}</style>\n"
        f"</head>\n<body>\n<main>\n<h1>{title}</h1>\n"
    )
    yield f'<p class="lead">{escape(_lead(result.card))}</p>\n'
    for note in result.notes:
        yield f'<p class="note">{escape(note)}.</p>\n'
    places = list(dict.fromkeys((r.regime, r.data) for r in result.rows))
    yield _overview(result.rows, places)
    yield "<details><summary>How to read this</summary>\n<dl>\n"
    yield "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>\n" for k, v in READING.items())
    yield "</dl>\n</details>\n"
    for regime, data in places:
        rows = [r for r in result.rows if (r.regime, r.data) == (regime, data)]
        yield from _section(regime, data, rows, folder)
    yield _provenance(result)
    yield "</main>\n</body>\n</html>\n"


def _lead(card: Card) -> str:
    share = paper_share(card)
    text = f"{heading(card)}. Measured on groups that its training never saw"
    if share is None:
        return text + ", with 0 to 100 of their answers as context, beside every baseline."
    return (
        f"{text}, by the published protocol: {share:.0%} of the groups in training, no question "
        "held out."
    )


def _overview(rows: Sequence[Row], places: Sequence[tuple[str, str]]) -> str:
    """One line for each regime: no context, 20 items, the best baseline."""
    head = ("regime and data", "0 items", f"{HEADLINE} items", "gain", "best baseline")
    lines = []
    for regime, data in places:
        own = [r for r in rows if (r.regime, r.data) == (regime, data)]
        none, some = (_find(own, "module", n) for n in (0, HEADLINE))
        gain = next((r for r in own if r.role == "gain" and r.source == MODULE), None)
        best = _best(own)
        lines.append(
            (
                f'<a href="#{_anchor(regime, data)}">{escape(regime)}</a> {escape(data)}',
                f"{none.mean:.3f}" if none else "",
                f"<b>{some.mean:.3f}</b>" if some else "",
                f"{gain.mean:+.3f}{_error(gain)}" if gain else "",
                f"{best.mean:.3f} <small>{escape(best.predictor)}</small>" if best else "",
            )
        )
    return (
        _table(head, lines, kind="overview")
        + '<p class="small">± is the standard error over groups, or over draws of the context '
        "where there is one group.</p>\n"
    )


def _error(row: Row) -> str:
    error = row.error if row.group_error is None else row.group_error
    return "" if error is None else f" ± {error:.3f}"


def _section(regime: str, data: str, rows: Sequence[Row], folder: Path) -> Iterator[str]:
    yield f'<section id="{_anchor(regime, data)}">\n'
    yield f"<h2>{escape(REGIMES[regime])}: <span>{escape(data)}</span></h2>\n"
    for plot in _plots(regime, data, rows):
        body = _picture(plot, folder)
        if plot.name.endswith("groups"):
            body = f"<details><summary>{escape(plot.text)}</summary>\n{body}</details>\n"
        yield body
    lines = [(escape(first), *rest) for first, *rest in (cells(r) for r in rows)]
    yield _table(COLUMNS, lines, strong=[r.role in ("module", "gain") for r in rows])
    yield "</section>\n"


def _plots(regime: str, data: str, rows: Sequence[Row]) -> Iterator[Plot]:
    from models import plots

    base = _anchor(regime, data)
    sized = [r for r in rows if r.role == "module"]
    if len({r.context for r in sized}) > 1:
        yield Plot(
            f"{base}-context",
            f"{rows[0].unit} against the size of the context",
            lambda theme: plots.context_plot(rows, theme),
        )
    judged = [r for r in sized if r.levels and r.context in (0, HEADLINE)]
    if judged:
        yield Plot(
            f"{base}-calibration",
            "nominal against observed coverage, predicted against true values",
            lambda theme: plots.calibration_plot(judged, theme),
        )
    some = _find(rows, "module", HEADLINE)
    if some is not None:
        yield Plot(
            f"{base}-groups",
            f"{some.unit} of {_how_many(some)}",
            lambda theme: plots.group_plot(some, _find(rows, "module", 0), _best(rows), theme),
        )


def _how_many(row: Row) -> str:
    from models.plots import BARS

    return f"the {BARS} lowest of {row.groups} groups" if row.groups > BARS else "each group"


def _picture(plot: Plot, folder: Path) -> str:
    """Written to the folder and into the page, for a light and a dark screen."""
    from models.plots import DARK, LIGHT

    light, dark = plot.draw(LIGHT), plot.draw(DARK)
    _put(folder / f"{plot.name}.png", light)
    _put(folder / f"{plot.name}-dark.png", dark)
    return (
        f'<picture><source media="(prefers-color-scheme: dark)" srcset="{_uri(dark)}">'
        f'<img alt="{escape(plot.text)}" src="{_uri(light)}"></picture>\n'
    )


def _uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _table(
    head: Sequence[str],
    lines: Sequence[Sequence[str]],
    *,
    strong: Sequence[bool] = (),
    kind: str = "figures",
) -> str:
    """Cells are HTML already; a `strong` line stands out."""
    marks = list(strong) or [False] * len(lines)
    body = "".join(
        f"<tr{' class=strong' if mark else ''}>"
        + "".join(f"<td>{cell}</td>" for cell in line)
        + "</tr>\n"
        for line, mark in zip(lines, marks, strict=True)
    )
    top = "".join(f'<th scope="col">{escape(h)}</th>' for h in head)
    return (
        f'<div class="wide" tabindex="0"><table class="{kind}">\n<thead><tr>{top}</tr></thead>\n'
        f"<tbody>\n{body}</tbody></table></div>\n"
    )


def _provenance(result: Evaluation) -> str:
    """What it takes to repeat the evaluation."""
    facts = [("checkpoint", f"{result.card.name}, {result.card.weights_sha256}")]
    facts += [(f"compared: {name}", c.weights_sha256) for name, c in result.rivals.items()]
    facts += [("embedder", f"{result.card.embedder.id}, {result.card.embedder.digest}")]
    facts += [(f"data: {name}", digest) for name, digest in result.data.items()]
    facts += [(name.replace("_", " "), str(value)) for name, value in result.settings.items()]
    lines = [(escape(k), f"<code>{escape(v)}</code>") for k, v in facts]
    limits = "".join(f"<li>{escape(limit)}</li>\n" for limit in result.card.limits)
    found = "<h2>What was measured</h2>\n" + _table(
        ("what", "digest or value"), lines, kind="facts"
    )
    return found + (f"<h2>Limits of the checkpoint</h2>\n<ul>\n{limits}</ul>\n" if limits else "")


def _find(rows: Sequence[Row], role: str, context: int | None) -> Row | None:
    """A row of the checkpoint that is measured."""
    own = (r for r in rows if (r.role, r.source, r.context) == (role, MODULE, context))
    return next(own, None)


def _best(rows: Sequence[Row]) -> Row | None:
    known = [r for r in rows if r.role == "baseline"]
    return max(known, key=lambda r: r.mean, default=None)


def _anchor(regime: str, data: str) -> str:
    plain = "".join(c if c.isalnum() else "-" for c in data.lower())
    return f"{regime.lower()}-{'-'.join(filter(None, plain.split('-')))}"
