"""Which pool a guess enters by: the card's for the model that it was fitted for, else a default."""

from __future__ import annotations

import logging

import pytest

from models.llm_prior import Fit, Pool
from service.adapters.scoring.pools import Pools

FIT = Fit("fitted", Pool(0.3, 2.0), Pool(1.0, 4.0), {})


def test_the_cards_weights_are_for_their_model() -> None:
    assert Pools("both", FIT).of("fitted") == Pool(0.3, 2.0)
    assert Pools("llm", FIT).of("fitted") == Pool(1.0, 4.0)


@pytest.mark.parametrize("fit", [None, FIT])
def test_another_model_is_pooled_by_default_and_it_is_said_once(
    fit: Fit | None, caplog: pytest.LogCaptureFixture
) -> None:
    both, llm = Pools("both", fit), Pools("llm", fit)
    with caplog.at_level(logging.WARNING):
        assert [both.of("other") for _ in range(3)] == [Pool(0.5, 1.0)] * 3
        assert llm.of("other") == Pool(1.0, 1.0)
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 2
    assert all("'other'" in m and "GPO_PRIOR" in m for m in messages)
