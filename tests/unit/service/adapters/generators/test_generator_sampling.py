"""Drawing a token: the distribution, its cut, and how little rounding matters."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from service.adapters.generators.sampling import draw

LOGITS = torch.log(torch.tensor([[0.5, 0.1, 0.3, 0.1]]))


def tokens(uniform: list[float], *, temperature: float = 1.0, top_p: float = 1.0) -> list[int]:
    n = len(uniform)
    return draw(
        LOGITS.expand(n, -1), temperature=[temperature] * n, top_p=[top_p] * n, uniform=uniform
    )


def test_a_number_falls_into_its_tokens_share() -> None:
    assert tokens([0.0, 0.49, 0.51, 0.59, 0.61, 0.89, 0.91, 1 - 1e-12]) == [0, 0, 1, 1, 2, 2, 3, 3]


def test_temperature_sharpens_and_flattens() -> None:
    grid = [(i + 0.5) / 1000 for i in range(1000)]
    likeliest = [tokens(grid, temperature=t).count(0) for t in (0.5, 1.0, 2.0)]
    # p^(1/T) / sum: .25/.36, .5, .707/1.887
    assert [n / 1000 for n in likeliest] == pytest.approx([0.694, 0.5, 0.375], abs=0.002)


def test_top_p_keeps_the_smallest_set_that_reaches_it() -> None:
    grid = [(i + 0.5) / 200 for i in range(200)]
    assert set(tokens(grid, top_p=0.4)) == {0}
    assert set(tokens(grid, top_p=0.7)) == {0, 2}
    kept = tokens(grid, top_p=0.7)
    assert kept.count(0) == 125, "what is kept is scaled to sum to 1: .5 of .8"
    assert set(tokens(grid, top_p=1.0)) == {0, 1, 2, 3}


def test_temperature_zero_is_the_likeliest_token_in_any_company() -> None:
    logits = torch.tensor([[1.0, 3.0, 2.0], [1.0, 3.0, 2.0], [9.0, 0.0, 0.0]])
    drawn = draw(logits, temperature=[0.0, 1.0, 0.0], top_p=[1.0] * 3, uniform=[0.0, 0.0, 0.99])
    assert drawn == [1, 0, 0]
    assert draw(logits[:1], temperature=[0.0], top_p=[0.1], uniform=[0.5]) == [1]


@given(st.integers(0, 2**32), st.floats(0.3, 2.0), st.sampled_from([1.0, 0.9]))
def test_a_row_does_not_depend_on_the_other_rows(seed: int, t: float, top_p: float) -> None:
    made = torch.Generator().manual_seed(seed)
    logits = torch.randn(5, 50, generator=made) * 3
    uniform = torch.rand(5, dtype=torch.float64, generator=made).tolist()
    together = draw(logits, temperature=[t] * 5, top_p=[top_p] * 5, uniform=uniform)
    alone = [
        draw(logits[i : i + 1], temperature=[t], top_p=[top_p], uniform=[uniform[i]])[0]
        for i in range(5)
    ]
    assert together == alone


def test_rounding_noise_hardly_ever_changes_a_token() -> None:
    made = torch.Generator().manual_seed(1)
    logits = torch.randn(2000, 500, generator=made) * 3
    noisy = logits + torch.randn(logits.shape, generator=made) * 1e-6
    rest = {
        "temperature": [1.0] * 2000,
        "top_p": [0.95] * 2000,
        "uniform": torch.rand(2000, dtype=torch.float64, generator=made).tolist(),
    }
    differing = sum(a != b for a, b in zip(draw(logits, **rest), draw(noisy, **rest), strict=True))
    assert differing <= 1
