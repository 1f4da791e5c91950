"""Plain counters of how values spread."""

import pytest

from service.core.tally import Tally


def test_a_value_counts_for_its_bound_and_all_above() -> None:
    tally = Tally([1, 2, 4])
    for value in (0.5, 1, 1.5, 4, 5):
        tally.add(value)
    assert tally.cumulative() == [2, 3, 4, 5]
    assert tally.sum == 12


@pytest.mark.parametrize("value", [-1.0, 1e9])
def test_values_beyond_the_bounds_are_counted(value: float) -> None:
    tally = Tally([1, 2])
    tally.add(value)
    assert tally.cumulative()[-1] == 1
    assert tally.sum == value
