"""How an explanation looks: one option for all rows, named once."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from service.client import Prediction
from service.commands.explanation import explanation


def shown(options: list[str], top: str, *influences: list[float]) -> str:
    n = len(options)
    predicted = Prediction.model_validate(
        {
            "group_id": "town",
            "group_version": 1,
            "question": "Parks or roads?",
            "options": options,
            "distribution": [1 / n] * n,
            "std": [0.1] * n,
            "interval": [(0.1, 0.9)] * n,
            "top": top,
            "prior": [1 / n] * n,
            "explanation": [
                {
                    "index": place,
                    "kind": "rating",
                    "preference": f"preference {place}",
                    "distribution_without": [1 / n] * n,
                    "influence": influence,
                    "strength": sum(map(abs, influence)) / 2,
                }
                for place, influence in enumerate(influences)
            ],
        }
    )
    console = Console(file=io.StringIO(), width=100)
    console.print(explanation(predicted))
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


@pytest.mark.parametrize(("top", "signs"), [("Yes", ("+6.0", "-2.0")), ("No", ("-6.0", "+2.0"))])
def test_every_row_is_about_the_top_option_whatever_the_last_digit(
    top: str, signs: tuple[str, str]
) -> None:
    said = shown(["Yes", "No"], top, [0.06, -0.06000000000000001], [-0.02, 0.01999999999])
    rows = [line for line in said.splitlines() if "preference " in line and "│" in line]
    for row, sign in zip(rows, signs, strict=True):
        assert sign in row
        assert "Yes" not in row
        assert "No" not in row
    assert said.splitlines()[0] == f"  How each preference moved the share of “{top}”"


def test_with_more_options_it_is_still_one() -> None:
    said = shown(["Bus", "Tram", "Walk"], "Walk", [0.10, -0.12, 0.02], [-0.03, 0.0, 0.03])
    assert "+2.0" in said
    assert "+3.0" in said
    assert "12.0" not in said


def test_a_long_option_is_cut_in_the_heading() -> None:
    long = "It depends on who would have to pay for all of it, and when"
    said = shown([long, "No"], long, [0.06, -0.06])
    assert "share of “It depends on who would have to pay for…”\n" in said
