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
_NAMED = 40
"""Characters of an option in the heading."""
_UP, _DOWN = "green", "red"


def explanation(predicted: Prediction) -> RenderableType:
    """The strongest preferences, with what each did to the share of the predicted top option.

    All rows are about that one option: with two the influences are equal but for their signs, and
    the option that a preference moved most would be a matter of the last digit.
    """
    found = predicted.explanation or []
    if not found:
        return Text("  The group has no preferences: this is what is expected of anyone.", "dim")
    at = predicted.options.index(predicted.top)
    longest = max(one.strength for one in found)
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("preference")
    table.add_column("moved", no_wrap=True)
    table.add_column("", justify="right", no_wrap=True)
    for one in found[:_SHOWN]:
        change = one.influence[at]
        table.add_row(
            Text(plain(one.preference)),
            _diverging(change / longest if longest else 0.0),
            f"{100 * change:+.1f}",
        )
    heading = Text(f"  How each preference moved the share of “{_cut(plain(predicted.top))}”")
    rest = len(found) - _SHOWN
    more = [Text(f"  and {rest} that moved less (--json has all)", "dim")] if rest > 0 else []
    return Group(heading, table, *more, _prior(predicted))


def _cut(text: str) -> str:
    return text if len(text) <= _NAMED else f"{text[: _NAMED - 1].rstrip()}…"


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
