"""The figures of a report: those of `gpo evaluate`, and what they say of intervals."""

from __future__ import annotations

import pytest

from models.metrics import alignment_js, alignment_wasserstein
from service.commands.report.figures import alignment, distance, figures, mean, miss
from service.commands.report.items import Item, Kind, Row, Side, Told

ASKED = Item(Kind.QUESTION, "Parks or roads?", ("Parks", "Roads", "Neither"))
SCALED = Item(Kind.QUESTION, "How often?", ("Never", "Daily", "Weekly"), (0.0, 30.0, 4.0))
RATED = Item(Kind.RATING, "A day off?", ("A swim.",))
PAIR = Item(Kind.COMPARISON, "A meal?", ("Soup.", "Cake."))


def told(*shares: float, width: float = 0.1) -> Told:
    low, high = (tuple(s + d for s in shares) for d in (-width, width))
    return Told(tuple(shares), low, high)


def row(item: Item, now: Told, before: Told, true: tuple[float, ...] | None) -> Row:
    return Row(item, (Side(now, before, true),))


@pytest.mark.parametrize(
    ("p", "q"),
    [
        ((0.2, 0.5, 0.3), (0.6, 0.1, 0.3)),
        ((1.0, 0.0, 0.0), (0.0, 0.0, 1.0)),
        ((0.2, 0.3, 0.5),) * 2,
    ],
)
def test_alignment_is_that_of_the_evaluation(p: tuple[float, ...], q: tuple[float, ...]) -> None:
    assert alignment(p, q, ASKED) == pytest.approx(alignment_js(p, q))
    assert SCALED.scale is not None
    expected = alignment_wasserstein(p, q, SCALED.scale)
    assert alignment(p, q, SCALED) == pytest.approx(expected)


def test_each_kind_has_its_own_figure() -> None:
    true = (0.5, 0.3, 0.2)
    rows = [
        row(ASKED, told(*true), told(0.2, 0.4, 0.4), true),
        row(RATED, told(0.6), told(0.4), (0.9,)),
        row(PAIR, told(0.7, 0.4), told(0.4, 0.7), (1.0, 0.0)),
        row(ASKED, told(0.4, 0.4, 0.2), told(0.4, 0.4, 0.2), None),
    ]
    found = figures(rows, 0)
    assert found.alignment is not None
    assert (found.alignment.value, found.alignment.n) == (pytest.approx(1), 1)
    assert found.gain is not None
    assert found.gain.value > 0.1
    assert found.error is not None
    assert found.error.value == pytest.approx(0.3)
    assert found.error_prior is not None
    assert found.error_prior.value == pytest.approx(0.5)
    assert (found.right, found.right_prior) == (mean([1.0]), mean([0.0]))
    # Three options inside, one rating outside; a comparison has no share that could be.
    assert found.covered is not None
    assert (found.covered.value, found.covered.n) == (0.75, 4)
    assert found.width is not None
    assert found.width.value == pytest.approx(0.2)
    assert sum(b.n for b in found.bins) == 4


def test_of_nothing_known_there_is_no_figure() -> None:
    found = figures([row(ASKED, told(0.5, 0.3, 0.2), told(0.4, 0.4, 0.2), None)], 0)
    assert found.alignment is found.error is found.right is found.covered is None
    assert found.bins == ()
    assert mean([]) is None


def test_a_mean_has_a_standard_error_from_two_values_on() -> None:
    one, two = mean([0.4]), mean([0.4, 0.6])
    assert one is not None
    assert one.error is None
    assert two is not None
    assert (two.value, two.error) == (pytest.approx(0.5), pytest.approx(0.1))


def test_bins_hold_what_was_predicted_there() -> None:
    rows = [row(RATED, told(share), told(0.5), (share,)) for share in (0.0, 0.19, 0.2, 1.0)]
    bins = figures(rows, 0).bins
    assert [(b.low, b.n) for b in bins] == [(0.0, 2), (0.2, 1), (0.8, 1)]
    assert bins[0].predicted == bins[0].true == pytest.approx(0.095)


def test_misses_and_distances() -> None:
    off = Side(told(0.2, 0.4, 0.4), told(0.3, 0.3, 0.4), (0.2, 0.4, 0.4))
    assert miss(ASKED, off) == pytest.approx(0)
    assert miss(PAIR, Side(told(0.2, 0.4), told(0.3, 0.3), (1.0, 0.0))) is None
    far = Row(RATED, (Side(told(0.2), told(0.3)), Side(told(0.9), told(0.3))))
    assert distance(far) == pytest.approx(0.7)
    same = Row(ASKED, (off, off))
    assert distance(same) == pytest.approx(0)
