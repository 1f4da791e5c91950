"""What the figures are said to say: nothing that they do not."""

from __future__ import annotations

import pytest

from service.commands.report.figures import Figures, Mean
from service.commands.report.wording import FEW, NBSP, decimal, percent, verdict


def found(*, gain: Mean | None = None, covered: Mean | None = None) -> Figures:
    return Figures(None, None, gain, None, None, None, None, covered, None, ())


@pytest.mark.parametrize(
    ("gain", "said"),
    [
        (Mean(0.10, 0.02, 12), "nearer to its answers, by 0.10"),
        (Mean(-0.10, 0.02, 12), "further from its answers, by 0.10"),
        (Mean(0.03, 0.02, 12), "do not clearly bring"),
        (Mean(0.00, 0.00, 12), "as near to its answers as it would be without"),
        (Mean(-0.004, 0.001, 12), "as near to its answers as it would be without"),
        (Mean(0.50, None, 1), ""),
        (None, ""),
    ],
)
def test_a_gain_is_one_beyond_two_standard_errors(gain: Mean | None, said: str) -> None:
    assert said in verdict(found(gain=gain))
    assert (verdict(found(gain=gain)) == "") == (said == "")


@pytest.mark.parametrize(
    ("share", "n", "said"),
    [
        (0.5, 100, "narrower than they should be"),
        (1.0, 100, "wider than they would have to be"),
        (0.88, 100, "about as many as should be"),
        (0.5, FEW - 1, "90 % intervals."),
    ],
)
def test_intervals_are_judged_where_there_are_enough(share: float, n: int, said: str) -> None:
    text = verdict(found(covered=Mean(share, None, n)))
    assert said in text
    assert text.startswith(f"{100 * share:.0f}{NBSP}% of the true shares")


def test_numbers() -> None:
    assert percent(0.126) == f"13{NBSP}%"
    assert decimal(0.1234, 0.01) == f"0.123{NBSP}±{NBSP}0.010"
    assert decimal(-0.5, None, sign=True) == "-0.500"
