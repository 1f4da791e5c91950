"""What a population is expected to answer before anything is known of the group.

A bank of vectors and figures (no sentence): the mean of the training groups where a question is
known, kernel ridge regression on the embeddings elsewhere, a linear popularity for free text.
Knows no network; the module corrects this prior.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.batches import FloatArray, Kind
from models.datasets import BoolArray, Corpus, IntArray

Reals = NDArray[np.floating]

FLOOR = 0.01  # smallest share that a kernel or linear prior may give, before normalising
SAME = 0.9995  # cosine from which two vectors count as the same text
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
    """One known question: vectors (k, D), mean shares (k,), and how many groups answered it."""

    vectors: FloatArray
    mean: FloatArray
    groups: int
    question: int


class PopulationPrior:
    """The prior of every kind, from tensors that ship with the checkpoint.

    bank_x (N, D): vectors of known (question, option) pairs; bank_item (N,): their question;
    bank_mean (N,): the prior of the pair; bank_alpha (N,): dual coefficients of the kernel ridge;
    rating (D + 1,): weights and offset of the logit of approval.
    """

    def __init__(self, tensors: Mapping[str, Tensor], config: PriorConfig) -> None:
        self.config = config
        self.bank_x = _unit(tensors["bank_x"].float().numpy())
        self.bank_item = tensors["bank_item"].numpy().astype(np.int64)
        self.bank_mean = tensors["bank_mean"].float().numpy()
        self.bank_alpha = tensors["bank_alpha"].float().numpy()
        self.rating = tensors["rating"].float().numpy()
        self._questions, self._options = _directions(self.bank_x, self.bank_item)

    def tensors(self) -> dict[str, Tensor]:
        """What a checkpoint stores; vectors as float16."""
        return {
            "bank_x": torch.from_numpy(self.bank_x).half(),
            "bank_item": torch.from_numpy(self.bank_item.astype(np.int32)),
            "bank_mean": torch.from_numpy(self.bank_mean),
            "bank_alpha": torch.from_numpy(self.bank_alpha),
            "rating": torch.from_numpy(self.rating),
        }

    def __call__(self, kind: Kind, vectors: FloatArray) -> FloatArray:
        """The prior (k,) of one item with vectors (k, D)."""
        if kind is Kind.SHARE:
            known = self.known(vectors)
            return self.unknown([vectors])[0] if known is None else known
        approval = self.approval(vectors)
        if kind is Kind.RATING:
            return approval
        odds = approval / (1 - approval)
        return np.asarray(odds / odds.sum(), np.float32)

    def known(self, vectors: FloatArray) -> FloatArray | None:
        """The bank's figures (k,) if every option of the question is in it, else None."""
        if not len(self.bank_x):
            return None
        closeness = _unit(vectors) @ self.bank_x.T
        # A question that several waves asked is several items; their figures are averaged.
        found = [self._match(closeness, i) for i in set(self.bank_item[closeness[0] >= SAME])]
        means = [m for m in found if m is not None]
        return np.asarray(np.mean(means, axis=0), np.float32) if means else None

    def _match(self, closeness: FloatArray, item: int) -> FloatArray | None:
        """An item's figures in the order of the options, if its options are exactly these."""
        cells = np.flatnonzero(self.bank_item == item)
        if len(cells) != len(closeness):
            return None
        best = closeness[:, cells].argmax(1)
        same = closeness[:, cells].max(1).min() >= SAME and len(set(best)) == len(best)
        return self.bank_mean[cells[best]] if same else None

    def with_rating(self, rating: FloatArray) -> PopulationPrior:
        """The same bank with another popularity model (D + 1,)."""
        return PopulationPrior(self.tensors() | {"rating": torch.from_numpy(rating)}, self.config)

    def unknown(self, items: Sequence[FloatArray]) -> list[FloatArray]:
        """Kernel ridge priors of questions that are not in the bank, each from vectors (k, D)."""
        sizes = [len(v) for v in items]
        number = np.repeat(np.arange(len(items)), sizes)
        questions, options = _directions(_unit(np.concatenate(items)), number)
        kernel = self._kernel(questions, options)
        lift = np.split(kernel @ self.bank_alpha, np.cumsum(sizes)[:-1])
        return [_simplex(1 / len(part) + part) for part in lift]

    def approval(self, vectors: FloatArray) -> FloatArray:
        """Expected share (n,) that approves of responses (n, D), each on its own."""
        logit = _unit(vectors) @ self.rating[:-1] + self.rating[-1]
        return np.asarray(1 / (1 + np.exp(-np.clip(logit, -4, 4))), np.float32)

    def _kernel(self, questions: FloatArray, options: FloatArray) -> FloatArray:
        return _kernel(questions, options, self._questions, self._options, self.config)


def fit_prior(
    bank: Sequence[BankItem],
    rated: tuple[FloatArray, FloatArray, FloatArray],
    config: PriorConfig,
) -> tuple[PopulationPrior, list[FloatArray]]:
    """Fit the prior, and the prior of each bank item as if its question had never been asked.

    rated: vectors (n, D), mean approval (n,), weight (n,). The second result is the closed-form
    leave-one-question-out prediction of the kernel ridge, with which the module is trained to
    meet questions that no bank knows.
    """
    dim = rated[0].shape[1] if len(rated[0]) else bank[0].vectors.shape[1]
    x = _unit(np.concatenate([b.vectors for b in bank])) if bank else np.zeros((0, dim), np.float32)
    sizes = np.array([len(b.mean) for b in bank], np.int64)
    item = np.repeat(np.arange(len(bank)), sizes)
    lift = np.concatenate([b.mean - 1 / len(b.mean) for b in bank]) if bank else np.zeros(0)
    questions, options = _directions(x, item)
    kernel = _kernel(questions, options, questions, options, config).astype(np.float64)
    inverse = np.linalg.inv(kernel + config.noise * np.eye(len(x)))
    alpha = inverse @ lift
    question = np.repeat([b.question for b in bank], sizes)
    left_out = _leave_one_out(inverse, alpha, lift, question)
    unknown = [_simplex(1 / len(p) + p) for p in np.split(left_out, np.cumsum(sizes)[:-1])]
    mean = [shrunk(b.mean * b.groups, b.groups, u) for b, u in zip(bank, unknown, strict=True)]
    arrays = {
        "bank_x": x,
        "bank_item": item,
        "bank_mean": np.concatenate(mean) if mean else np.zeros(0),
        "bank_alpha": alpha,
        "rating": fit_approval(*rated, noise=config.rating_noise),
    }
    tensors = {k: torch.from_numpy(np.asarray(v)) for k, v in arrays.items()}
    return PopulationPrior(tensors, config), unknown


def fit_approval(
    vectors: FloatArray, approval: FloatArray, weight: FloatArray, *, noise: float
) -> FloatArray:
    """Weighted ridge of the logit of approval on unit vectors: weights and offset (D + 1,)."""
    if not len(vectors):
        return np.zeros(vectors.shape[1] + 1, np.float32)
    x = np.concatenate([_unit(vectors), np.ones((len(vectors), 1))], 1).astype(np.float64)
    target = np.log(np.clip(approval, 0.02, 0.98) / (1 - np.clip(approval, 0.02, 0.98)))
    w = weight / weight.mean()
    penalty = noise * np.eye(x.shape[1])
    penalty[-1, -1] = 1e-6
    return np.asarray(
        np.linalg.solve((x * w[:, None]).T @ x + penalty, x.T @ (w * target)), np.float32
    )


def shrunk(total: FloatArray, groups: int | FloatArray, unknown: FloatArray) -> FloatArray:
    """Mean of the groups that answered, with the kernel prior as SHRINK further groups."""
    return np.asarray((total + SHRINK * unknown) / (groups + SHRINK), np.float32)


def bank_items(
    corpus: Corpus, vectors: FloatArray, groups: BoolArray, items: BoolArray, *, offset: int = 0
) -> list[tuple[int, BankItem]]:
    """The items of a survey that at least one of the chosen groups answered, as bank items.

    `offset` keeps the question numbers of several corpora apart.
    """
    found = []
    for i in np.flatnonzero(items):
        cells = slice(corpus.starts[i], corpus.starts[i + 1])
        values = corpus.values[groups, cells]
        values = values[~np.isnan(values[:, 0])]
        if len(values):
            question = offset + int(corpus.question[i])
            found.append((int(i), BankItem(vectors[cells], values.mean(0), len(values), question)))
    return found


def _leave_one_out(inverse: Reals, alpha: Reals, y: Reals, question: IntArray) -> Reals:
    """Predictions of each cell by the ridge fitted without its question: y - A_II^-1 alpha_I."""
    out = np.empty_like(y)
    order = np.argsort(question, kind="stable")
    edges = np.flatnonzero(np.diff(question[order])) + 1
    for cells in np.split(order, edges):
        out[cells] = y[cells] - np.linalg.solve(inverse[np.ix_(cells, cells)], alpha[cells])
    return out


def _directions(x: FloatArray, item: IntArray) -> tuple[FloatArray, FloatArray]:
    """Unit direction of each cell's question (its options' mean) and of its own deviation."""
    if not len(x):
        return x, x
    count = np.bincount(item).astype(np.float32)
    total = np.zeros((len(count), x.shape[1]), np.float32)
    np.add.at(total, item, x)
    mean = (total / np.maximum(count, 1)[:, None])[item]
    return _unit(mean), _unit(x - mean)


def _kernel(
    qa: FloatArray, oa: FloatArray, qb: FloatArray, ob: FloatArray, config: PriorConfig
) -> FloatArray:
    near = (qa @ qb.T - 1) / config.question_width + (oa @ ob.T - 1) / config.option_width
    return np.asarray(np.exp(near), np.float32)


def _simplex(values: Reals) -> FloatArray:
    clipped = np.maximum(values, FLOOR)
    return np.asarray(clipped / clipped.sum(), np.float32)


def _unit(x: Reals) -> FloatArray:
    norm = np.linalg.norm(x, axis=-1, keepdims=True)
    return np.asarray(x / np.maximum(norm, 1e-6), np.float32)
