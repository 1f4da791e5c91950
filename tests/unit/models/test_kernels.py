"""The kernel ridge on a group's residuals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fixtures.checkpoints import write_checkpoint
from statements_for_tests import DIM

from models.kernels import with_residuals
from models.prior import PopulationPrior
from models.scorer import GPOScorer


@pytest.fixture
def prior(tmp_path: Path) -> PopulationPrior:
    found = GPOScorer.load(write_checkpoint(tmp_path, digest="0" * 64, dim=DIM)).prior
    assert isinstance(found, PopulationPrior)
    return found


def questions(count: int, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(2 + i % 2, DIM)).astype(np.float32) for i in range(count)]


def test_without_a_context_nothing_is_added(prior: PopulationPrior) -> None:
    targets = questions(3)
    added = with_residuals(prior, [], [], targets)
    assert [a.tolist() for a in added] == [[0.0] * len(t) for t in targets]


def test_a_residual_carries_over_to_the_same_question(prior: PopulationPrior) -> None:
    context, residual = questions(2), [np.array([0.2, -0.2]), np.array([0.0, 0.1, -0.1])]
    strict = with_residuals(prior, context, residual, context, noise=1e-6)
    for found, wanted in zip(strict, residual, strict=True):
        assert found == pytest.approx(wanted, abs=1e-3)
    loose = with_residuals(prior, context, residual, context)
    assert 0 < loose[0][0] < 0.2


def test_targets_do_not_depend_on_each_other(prior: PopulationPrior) -> None:
    context, targets = questions(2), questions(4, seed=1)
    residual = [np.array([0.2, -0.2]), np.array([0.0, 0.1, -0.1])]
    together = with_residuals(prior, context, residual, targets)
    alone = with_residuals(prior, context, residual, targets[2:3])
    assert together[2] == pytest.approx(alone[0])
