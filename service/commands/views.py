"""How answers look on a terminal: tables and bars. Knows no HTTP."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from service.client import Candidate, GroupPage, Prediction
from service.client import Group as StoredGroup
from service.remote.answers import GroupScores

_BAR = 20
_OBEYED = ("Cc", "Cs")
_BIDI = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"  # they reorder what is shown
_STYLE = "cyan"
_CHOSEN = "bold green"


def plain(text: str) -> str:
    """The text on one line, without what a terminal would obey, such as escape sequences."""
    line = " ".join(text.split())
    return "".join("�" if unicodedata.category(c) in _OBEYED or c in _BIDI else c for c in line)


def bar(share: float, style: str = _STYLE) -> ProgressBar:
    """A share in [0, 1] as a bar."""
    return ProgressBar(total=1.0, completed=share, width=_BAR, complete_style=style)


def groups(pages: Iterable[GroupPage]) -> RenderableType:
    """A listing; the last page's cursor below it."""
    table = _table("id", "name", right=("version", "preferences"), last="changed")
    cursor = None
    for page in pages:
        cursor = page.next_cursor if page.has_more else None
        for group in page.data:
            table.add_row(
                Text(plain(group.id)),
                Text(plain(group.name)),
                str(group.version),
                str(group.preference_count),
                f"{group.updated_at:%Y-%m-%d %H:%M}",
            )
    if not table.row_count:
        return Text("There are no groups.")
    return Group(table, Text(f"There are more: --cursor {cursor}")) if cursor else table


def group(stored: StoredGroup) -> RenderableType:
    """One group; its preferences below, if they are there."""
    facts = Table.grid(padding=(0, 2))
    rows = {
        "id": stored.id,
        "name": stored.name,
        "description": stored.description,
        "version": str(stored.version),
        "preferences": f"{stored.preference_count}, {stored.context_tokens} texts",
        "embedder": stored.embedder,
        "created": f"{stored.created_at:%Y-%m-%d %H:%M %Z}",
        "changed": f"{stored.updated_at:%Y-%m-%d %H:%M %Z}",
    }
    for name, value in rows.items():
        if value is not None:
            facts.add_row(Text(name, "dim"), Text(plain(value)))
    if stored.preferences is None:
        return facts
    return Group(facts, Text(), *(_preference(each) for each in stored.preferences))


def _preference(preference: dict[str, object]) -> RenderableType:
    asked = preference.get("question", preference.get("prompt", ""))
    table = Table.grid(padding=(0, 2))
    options, values = preference.get("options"), preference.get("distribution")
    if values is None:
        values = preference.get("counts")
    if isinstance(options, list) and isinstance(values, list):
        total = sum(values) or 1.0
        for option, value in zip(options, values, strict=False):
            table.add_row(Text(plain(str(option))), bar(value / total), f"{value / total:.0%}")
    elif "chosen" in preference:
        table.add_row(Text(plain(str(preference["chosen"]))), Text("chosen", _CHOSEN))
        table.add_row(Text(plain(str(preference.get("rejected", "")))), Text("rejected", "dim"))
    else:
        score = Text(plain(str(preference.get("score", ""))))
        table.add_row(Text(plain(str(preference.get("response", "")))), score)
    return Group(Text(plain(str(asked)), "bold"), Padding(table, (0, 0, 1, 2)))


def prediction(predicted: Prediction) -> RenderableType:
    """A predicted distribution, with its 90 % intervals."""
    table = _table("option", "share", right=("", "90 %"))
    rows = zip(predicted.options, predicted.distribution, predicted.interval, strict=True)
    for option, share, (low, high) in rows:
        style = _CHOSEN if option == predicted.top else ""
        table.add_row(
            Text(plain(option), style),
            bar(share),
            f"{share:.0%}",
            f"{low:.0%} to {high:.0%}",
        )
    return Group(_title(predicted.question, predicted.group_id), table)


def scores(scored: GroupScores, prompt: str, responses: Sequence[str]) -> RenderableType:
    """The approval of each response, best first."""
    table = _table("response", "approval", right=("", "90 %"))
    for result in sorted(scored.results, key=lambda r: -r.score):
        low, high = result.interval
        table.add_row(
            Text(plain(responses[result.index])),
            bar(result.score),
            f"{result.score:.3f}",
            f"{low:.2f} to {high:.2f}",
        )
    return Group(_title(prompt, scored.group_id), table)


def choice(text: str, candidates: Sequence[Candidate], group_id: str | None) -> RenderableType:
    """The candidates, best first, the chosen one marked; then the chosen text."""
    table = _table("", "candidate", "approval", right=("",))
    for candidate in candidates:
        style = _CHOSEN if candidate.selected else ""
        table.add_row(
            Text("chosen" if candidate.selected else "", style),
            Text(plain(candidate.text), style),
            bar(candidate.score, "green" if candidate.selected else _STYLE),
            f"{candidate.score:.3f}",
        )
    shown = Text("\n".join(plain(line) for line in text.splitlines()))
    title = "chosen" if group_id is None else f"{group_id} would say"
    panel = Panel(shown, title=Text(title), border_style="green")
    return Group(table, panel) if candidates else panel


def show(console: Console, *parts: RenderableType) -> None:
    """Print one below the other."""
    for part in parts:
        console.print(part)


def _title(asked: str, group_id: str | None) -> Text:
    whose = "" if group_id is None else f"  ({plain(group_id)})"
    return Text.assemble((plain(asked), "bold"), whose)


def _table(*names: str, right: Sequence[str] = (), last: str | None = None) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for name in names:
        table.add_column(name, min_width=_BAR if name in ("share", "approval") else None)
    for name in right:
        table.add_column(name, justify="right", no_wrap=True)
    if last is not None:
        table.add_column(last, no_wrap=True)
    return table
