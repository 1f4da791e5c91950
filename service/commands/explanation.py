"""How an explanation looks on a terminal: what each preference did to the answer."""

from __future__ import annotations

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from service.client import Prediction
from service.commands.views import plain

_HALF = 10  # characters on each side of the middle
_SHOWN = 20
_UP, _DOWN = "green", "red"


def explanation(predicted: Prediction) -> RenderableType:
    """The strongest preferences, with what they did to the option that they moved most."""
    found = predicted.explanation or []
    if not found:
        return Text("  The group has no preferences: this is what is expected of anyone.", "dim")
    longest = max(one.strength for one in found)
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("preference")
    table.add_column("moved", no_wrap=True)
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("option")
    for one in found[:_SHOWN]:
        at = max(range(len(one.influence)), key=lambda i: abs(one.influence[i]))
        change = one.influence[at]
        table.add_row(
            Text(plain(one.preference)),
            _diverging(change / longest if longest else 0.0),
            f"{100 * change:+.1f}",
            Text(plain(predicted.options[at])),
        )
    rest = len(found) - _SHOWN
    more = [Text(f"  and {rest} that moved less (--json has all)", "dim")] if rest > 0 else []
    return Group(table, *more, _prior(predicted))


def _diverging(part: float) -> Text:
    """A bar to the left for less, to the right for more; `part` in [-1, 1]."""
    length = round(abs(part) * _HALF)
    left = "━" * length if part < 0 else ""
    right = "━" * length if part > 0 else ""
    return Text.assemble((left.rjust(_HALF), _DOWN), ("│", "dim"), (right.ljust(_HALF), _UP))


def _prior(predicted: Prediction) -> Text:
    shares = zip(predicted.options, predicted.prior or [], strict=False)
    said = ", ".join(f"{plain(option)} {share:.0%}" for option, share in shares)
    return Text(
        f"  Percentage points, against the same group without the preference.\n"
        f"  Without any: {said}.",
        "dim",
    )
