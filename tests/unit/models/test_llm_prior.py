"""The pool of two priors, and orders that do not depend on how options were sent."""

import numpy as np
import pytest

from models.llm_prior import orders, pooled

KERNEL = np.array([0.7, 0.2, 0.1], np.float32)
LLM = np.array([0.1, 0.3, 0.6], np.float32)


@pytest.mark.parametrize("options", [["b", "a", "c"], list("gdfabce")])
def test_orders_do_not_depend_on_how_the_options_were_sent(options: list[str]) -> None:
    shown = [[options[i] for i in order] for order in orders(options)]
    mixed = options[::-1]
    assert shown == [[mixed[i] for i in order] for order in orders(mixed)]
    assert all(sorted(texts) == sorted(options) for texts in shown)
    assert len(shown) == 2 * min(len(options), 4)


def test_the_ends_of_the_pool_are_its_members() -> None:
    np.testing.assert_allclose(pooled(KERNEL, LLM, weight=0), KERNEL, atol=1e-6)
    np.testing.assert_allclose(pooled(KERNEL, LLM, weight=1), LLM, atol=1e-6)
    flat = pooled(KERNEL, LLM, weight=1, temperature=1e6)
    np.testing.assert_allclose(flat, 1 / 3, atol=1e-4)


def test_a_share_of_nothing_stays_finite() -> None:
    assert np.isfinite(pooled(np.array([1, 0], np.float32), np.array([0, 1], np.float32))).all()
