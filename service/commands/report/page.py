"""The page of a report: one file of HTML that loads nothing, not even a script.

Owns the page's frame and the order of its parts; what is in them is in `parts` and `charts`.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from pathlib import Path

from service.commands.report import articles, parts
from service.commands.report.gathering import Report

STYLE = Path(__file__).parent / "page.css"
# The page is made of others' texts: whatever they are, a browser loads and runs nothing.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def to_html(report: Report) -> str:
    """The whole page."""
    return "".join(_parts(report))


def _parts(report: Report) -> Iterator[str]:
    title = escape(" and ".join(s.group.name for s in report.subjects))
    yield (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{title}: what they would answer</title>\n"
        f"<style>\n{STYLE.read_text(encoding='utf-8')}</style>\n</head>\n<body>\n<main>\n"
        f'<header>\n<h1 dir="auto">{title}</h1>\n'
    )
    yield parts.lead(report)
    yield "</header>\n"
    yield parts.notes(report)
    yield parts.glance(report)
    yield parts.context(report)
    yield parts.calibration(report)
    yield parts.extremes(report)
    yield articles.items(report)
    yield parts.reading(report)
    yield parts.provenance(report)
    yield "</main>\n</body>\n</html>\n"
