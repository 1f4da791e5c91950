"""What a population is expected to answer before anything is known of the group.

A bank of vectors and figures (no sentence): the mean of the training groups where a question is
known, and by how much each of them departs from it; kernel ridge regression on the embeddings
elsewhere, a linear popularity for free text.
Knows no network; the module corrects this prior.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.batches import Expectation, FloatArray, Kind
from models.datasets import IntArray

Reals = NDArray[np.floating]

FLOOR = 0.01  # smallest share that a kernel or linear prior may give, before normalising
SAME = 0.9995  # cosine from which two vectors count as the same text
CHUNK = 128  # questions that are compared with the bank at a time
SHRINK = 0.5  # how many groups the kernel prior counts for, beside the groups that answered


@dataclass(frozen=True, slots=True)
class PriorConfig:
    """Widths of the kernel over questions and over options, and the ridges."""

    question_width: float = 1.0
    option_width: float = 0.5
    noise: float = 0.1
    rating_noise: float = 30.0


@dataclass(frozen=True, slots=True)
class BankItem:
    """One known question: vectors (k, D), mean shares (k,) over `groups` groups that answered.

    profile (k, P): departure of each known population from the mean, NaN where it did not answer.
    """

    vectors: FloatArray
    mean: FloatArray
    profile: FloatArray
    groups: int
    question: int


@dataclass(frozen=True, slots=True)
class Rated:
    """Free text: vectors (n, D), mean approval (n,), profile (n, P) as above, weight (n,)."""

    vectors: FloatArray
    mean: FloatArray
    profile: FloatArray
    weight: FloatArray


class Prior(Protocol):
    """Says what is expected of items before anything is known of the group."""

    def expect(self, items: Sequence[tuple[Kind, FloatArray]]) -> list[Expectation]:
        """One expectation for each (kind, vectors (k, D))."""


class PopulationPrior:
    """The prior of every kind, from tensors that ship with the checkpoint.

    bank_x (N, D): vectors of known (question, option) pairs; bank_item (N,): their question;
    bank_mean (N,), bank_groups (N,) and bank_profile (N, P): their figures; bank_alpha
    (N, 1 + P): dual coefficients of the kernel ridge for mean and profile; rating
    (D + 1, 1 + P): weights and offset of the logit of approval and of its profile.
    """

    def __init__(self, tensors: Mapping[str, Tensor], config: PriorConfig) -> None:
        self.config = config
        self.bank_x = unit(tensors["bank_x"].float().numpy())
        self.bank_item = tensors["bank_item"].numpy().astype(np.int64)
        self.bank_mean = tensors["bank_mean"].float().numpy()
        self.bank_groups = tensors["bank_groups"].numpy()
        self.bank_profile = tensors["bank_profile"].float().numpy()
        self.bank_alpha = tensors["bank_alpha"].float().numpy()
        self.rating = tensors["rating"].float().numpy()
        self._check()
        self._questions, self._options = directions(self.bank_x, self.bank_item)

    def _check(self) -> None:
        """Raise ValueError where shapes do not fit each other."""
        cells, dim = self.bank_x.shape
        populations = self.rating.shape[1] - 1
        wanted = {
            "bank_item": (self.bank_item, (cells,)),
            "bank_mean": (self.bank_mean, (cells,)),
            "bank_groups": (self.bank_groups, (cells,)),
            "bank_profile": (self.bank_profile, (cells, populations)),
            "bank_alpha": (self.bank_alpha, (cells, 1 + populations)),
            "rating": (self.rating, (dim + 1, 1 + populations)),
        }
        for name, (array, shape) in wanted.items():
            if array.shape != shape:
                raise ValueError(f"{name} has the shape {array.shape}, not {shape}")

    def tensors(self) -> dict[str, Tensor]:
        """What a checkpoint stores; vectors and profiles as float16."""
        return {
            "bank_x": torch.from_numpy(self.bank_x).half(),
            "bank_item": torch.from_numpy(self.bank_item.astype(np.int32)),
            "bank_mean": torch.from_numpy(self.bank_mean),
            "bank_groups": torch.from_numpy(self.bank_groups),
            "bank_profile": torch.from_numpy(self.bank_profile).half(),
            "bank_alpha": torch.from_numpy(self.bank_alpha),
            "rating": torch.from_numpy(self.rating),
        }

    def __call__(self, kind: Kind, vectors: FloatArray) -> Expectation:
        """What is expected of one item with vectors (k, D)."""
        return self.expect([(kind, vectors)])[0]

    def expect(self, items: Sequence[tuple[Kind, FloatArray]]) -> list[Expectation]:
        """What is expected of several items; the bank is read once for all of them."""
        found: list[Expectation | None] = [None] * len(items)
        shares = [i for i, (kind, _) in enumerate(items) if kind is Kind.SHARE]
        for i, known in zip(shares, self.lookup([items[i][1] for i in shares]), strict=True):
            found[i] = known
        new = [i for i in shares if found[i] is None]
        for i, expected in zip(new, self.unknown([items[i][1] for i in new]), strict=True):
            found[i] = expected
        for i, (kind, vectors) in enumerate(items):
            if kind is not Kind.SHARE:
                approval = self.approval(vectors)
                found[i] = approval if kind is Kind.RATING else between(approval)
        return [expected for expected in found if expected is not None]

    def known(self, vectors: FloatArray) -> Expectation | None:
        """The bank's figures if every option of the question is in it, else None."""
        return self.lookup([vectors])[0]

    def lookup(self, items: Sequence[FloatArray]) -> list[Expectation | None]:
        """`known` for several questions, each with vectors (k, D)."""
        found: list[Expectation | None] = []
        for chunk in _chunks(items):
            closeness = unit(np.concatenate(chunk)) @ self.bank_x.T
            rows = np.split(closeness, np.cumsum([len(v) for v in chunk])[:-1])
            found += [self._known(near) for near in rows]
        return found

    def _known(self, closeness: FloatArray) -> Expectation | None:
        """From the cosines (k, N) of a question's options with the bank."""
        # A question that several waves asked is several items; their figures are averaged.
        items = set(self.bank_item[closeness[0] >= SAME].tolist())
        found = [cells for i in items if (cells := self._match(closeness, i)) is not None]
        if not found:
            return None
        mean = np.mean([self.bank_mean[cells] for cells in found], axis=0)
        profile = np.mean([self.bank_profile[cells] for cells in found], axis=0)
        support = sum(float(self.bank_groups[cells[0]]) for cells in found)
        return Expectation(mean / mean.sum(), profile, support)

    def _match(self, closeness: FloatArray, item: int) -> IntArray | None:
        """An item's cells in the order of the options, if its options are exactly these."""
        cells = np.flatnonzero(self.bank_item == item)
        if len(cells) != len(closeness):
            return None
        best = closeness[:, cells].argmax(1)
        same = closeness[:, cells].max(1).min() >= SAME and len(set(best.tolist())) == len(best)
        return cells[best] if same else None

    def unknown(self, items: Sequence[FloatArray]) -> list[Expectation]:
        """Kernel ridge expectations of questions outside the bank, each from vectors (k, D)."""
        found: list[Expectation] = []
        for chunk in _chunks(items):
            sizes = [len(v) for v in chunk]
            number = np.repeat(np.arange(len(chunk)), sizes)
            near = directions(unit(np.concatenate(chunk)), number)
            lift = (
                cell_kernel(near, (self._questions, self._options), self.config) @ self.bank_alpha
            )
            found += [_lifted(part) for part in np.split(lift, np.cumsum(sizes)[:-1])]
        return found

    def approval(self, vectors: FloatArray) -> Expectation:
        """Expected approval of responses (n, D), each on its own."""
        out = unit(vectors) @ self.rating[:-1] + self.rating[-1]
        mean = 1 / (1 + np.exp(-np.clip(out[:, 0], -4, 4)))
        return Expectation(np.asarray(mean, np.float32), np.asarray(out[:, 1:], np.float32))

    def with_rating(self, rating: FloatArray) -> PopulationPrior:
        """The same bank with another popularity model (D + 1, 1 + P)."""
        return PopulationPrior(self.tensors() | {"rating": torch.from_numpy(rating)}, self.config)


def between(approval: Expectation) -> Expectation:
    """A comparison of two responses, from their approval: the odds of one against the other."""
    odds = approval.mean / (1 - approval.mean)
    profile = 2 * (approval.profile - approval.profile.mean(0, keepdims=True))
    return Expectation(np.asarray(odds / odds.sum(), np.float32), profile)


def fit_prior(
    bank: Sequence[BankItem], rated: Rated, config: PriorConfig
) -> tuple[PopulationPrior, list[Expectation]]:
    """Fit the prior, and the expectation of each bank item as if it had never been asked.

    The latter is the closed-form leave-one-question-out prediction of the kernel ridge, with
    which the module is trained to meet questions that no bank knows.
    """
    dim, populations = rated.vectors.shape[1], rated.profile.shape[1]
    sizes = np.array([len(b.mean) for b in bank], np.int64)
    item = np.repeat(np.arange(len(bank)), sizes)
    x = unit(np.concatenate([np.zeros((0, dim), np.float32), *(b.vectors for b in bank)]))
    lift = [np.column_stack([b.mean - 1 / len(b.mean), np.nan_to_num(b.profile)]) for b in bank]
    y = np.concatenate([np.zeros((0, 1 + populations)), *lift])
    near = directions(x, item)
    kernel = cell_kernel(near, near, config).astype(np.float64)
    inverse = np.linalg.inv(kernel + config.noise * np.eye(len(x)))
    alpha = inverse @ y
    question = np.repeat([b.question for b in bank], sizes)
    left_out = _leave_one_out(inverse, alpha, y, question)
    unknown = [_lifted(part) for part in np.split(left_out, np.cumsum(sizes)[:-1])] if bank else []
    known = [settled(b, u) for b, u in zip(bank, unknown, strict=True)]
    arrays = {
        "bank_x": x,
        "bank_item": item,
        "bank_mean": np.concatenate([np.zeros(0), *(k.mean for k in known)]),
        "bank_groups": np.repeat([b.groups for b in bank], sizes).astype(np.int32),
        "bank_profile": np.concatenate([np.zeros((0, populations)), *(k.profile for k in known)]),
        "bank_alpha": alpha,
        "rating": fit_approval(rated, noise=config.rating_noise),
    }
    tensors = {k: torch.from_numpy(np.asarray(v)) for k, v in arrays.items()}
    return PopulationPrior(tensors, config), unknown


def fit_approval(rated: Rated, *, noise: float) -> FloatArray:
    """Weighted ridge of the logit of approval and of the profile on unit vectors (D + 1, 1 + P)."""
    if not len(rated.vectors):
        shape = (rated.vectors.shape[1] + 1, 1 + rated.profile.shape[1])
        return np.zeros(shape, np.float32)
    x = np.column_stack([unit(rated.vectors), np.ones(len(rated.vectors))]).astype(np.float64)
    p = np.clip(rated.mean, 0.02, 0.98)
    target = np.column_stack([np.log(p / (1 - p)), np.nan_to_num(rated.profile)])
    weighted = x * (rated.weight / rated.weight.mean())[:, None]
    penalty = noise * np.eye(x.shape[1])
    penalty[-1, -1] = 1e-6
    return np.asarray(np.linalg.solve(weighted.T @ x + penalty, weighted.T @ target), np.float32)


def settled(item: BankItem, unknown: Expectation) -> Expectation:
    """What the bank says of a known question: its groups, and the kernel prior for the gaps."""
    profile = np.where(np.isnan(item.profile), unknown.profile, item.profile)
    mean = shrunk(item.mean * item.groups, item.groups, unknown.mean)
    return Expectation(mean, np.asarray(profile, np.float32), item.groups)


def shrunk(total: FloatArray, groups: float, unknown: FloatArray) -> FloatArray:
    """Mean of the groups that answered, with the kernel prior as SHRINK further groups."""
    return np.asarray((total + SHRINK * unknown) / (groups + SHRINK), np.float32)


def _leave_one_out(inverse: Reals, alpha: Reals, y: Reals, question: IntArray) -> Reals:
    """Predictions of each cell by the ridge fitted without its question: y - A_II^-1 alpha_I."""
    out = np.empty_like(y)
    order = np.argsort(question, kind="stable")
    edges = np.flatnonzero(np.diff(question[order])) + 1
    for cells in np.split(order, edges):
        out[cells] = y[cells] - np.linalg.solve(inverse[np.ix_(cells, cells)], alpha[cells])
    return out


def directions(x: FloatArray, item: IntArray) -> tuple[FloatArray, FloatArray]:
    """Unit direction of each cell's question (its options' mean) and of its own deviation."""
    if not len(x):
        return x, x
    count = np.bincount(item).astype(np.float32)
    total = np.zeros((len(count), x.shape[1]), np.float32)
    np.add.at(total, item, x)
    mean = (total / np.maximum(count, 1)[:, None])[item]
    return unit(mean), unit(x - mean)


def cell_kernel(
    a: tuple[FloatArray, FloatArray], b: tuple[FloatArray, FloatArray], config: PriorConfig
) -> FloatArray:
    """Kernel (n, m) between cells, from their directions as of `directions`."""
    question = (a[0] @ b[0].T - 1) / config.question_width
    return np.asarray(np.exp(question + (a[1] @ b[1].T - 1) / config.option_width), np.float32)


def _chunks(items: Sequence[FloatArray]) -> Iterator[Sequence[FloatArray]]:
    """Questions by the CHUNK, so that memory stays bounded: (CHUNK * k, N) floats at a time."""
    for start in range(0, len(items), CHUNK):
        yield items[start : start + CHUNK]


def _lifted(lift: Reals) -> Expectation:
    """An expectation from shares above 1 / k and profiles, (k, 1 + P)."""
    mean = np.maximum(1 / len(lift) + lift[:, 0], FLOOR)
    return Expectation(
        np.asarray(mean / mean.sum(), np.float32), np.asarray(lift[:, 1:], np.float32)
    )


def unit(x: Reals) -> FloatArray:
    """Rows of unit length; zeros stay zeros."""
    norm = np.linalg.norm(x, axis=-1, keepdims=True)
    return np.asarray(x / np.maximum(norm, 1e-6), np.float32)
