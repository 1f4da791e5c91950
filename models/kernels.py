"""Closed-form baselines on the kernel of (question, option) embeddings.

Owns what is added to the prior of new questions: its neighbours, and the group's own residuals.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.batches import FloatArray
from models.prior import Cells, PopulationPrior

NOISE = 0.3  # of the residuals; best of .03 to 10 on the validation groups of the US survey


def with_residuals(
    prior: PopulationPrior,
    context: Sequence[FloatArray],
    residuals: Sequence[NDArray[np.floating]],
    targets: Sequence[FloatArray],
    *,
    noise: float = NOISE,
) -> list[NDArray[np.float64]]:
    """What a kernel ridge on a group's residuals adds to each target, (k,) from vectors (k, D).

    K(t, c) (K(c, c) + noise I)^-1 r, over the cells of the `context` items with their residuals
    y - base (k,). Nothing without a context.
    """
    if not context:
        return [np.zeros(len(t)) for t in targets]
    near, far = Cells.of(context), Cells.of(targets)
    gram = near.kernel(near, prior.config).astype(np.float64)
    values = np.concatenate(list(residuals)).astype(np.float64)
    alpha = np.linalg.solve(gram + noise * np.eye(len(gram)), values)
    added = far.kernel(near, prior.config) @ alpha
    return list(np.split(added, np.cumsum([len(t) for t in targets])[:-1]))
