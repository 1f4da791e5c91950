"""What a population is expected to answer before anything is known of the group.

A bank of vectors and figures (no sentence): the mean of the known groups where a question is
known, and by how much each of them departs from it; kernel ridge regression on the embeddings
elsewhere, a linear popularity for free text. Shares are averaged and regressed as square roots.
Knows no network; the module corrects this prior.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from models.batches import Expectation, FloatArray, Kind, Reals, halves, roots, unit
from models.datasets import IntArray
from models.popularity import FURTHER, Rated, approval_by, fit_approval

LEAST_ROOT = 0.05  # smallest root of a share that a kernel prior may give, before normalising
LEAST_SHRUNK = 0.1  # the same where it stands beside groups that answered
SAME = 0.9995  # cosine from which two vectors count as the same text
LIKE = 0.6  # cosine from which a question is taken to be from the same survey as a known one
CHUNK = 128  # questions that are compared with the bank at a time
SHRINK = 0.5  # how many groups the kernel prior counts for, beside the groups that answered


@dataclass(frozen=True, slots=True)
class PriorConfig:
    """Widths of the kernels, in units of 1 - cosine, and the ridges."""

    question_width: float = 1.0
    option_width: float = 1.0
    stance_width: float = 1.0
    noise: float = 0.1
    rating_noise: float = 30.0


@dataclass(frozen=True, slots=True)
class BankItem:
    """One known question: vectors (k, D), mean roots (k,) over `groups` groups that answered.

    profile (k, P): departure of each known population from the mean, 0 where it did not answer.
    respondents: how many a group was asked, in the middle; 0 if that is not known.
    """

    vectors: FloatArray
    mean: FloatArray
    profile: FloatArray
    groups: int
    question: int
    respondents: float = 0.0


class Prior(Protocol):
    """Says what is expected of items before anything is known of the group."""

    def expect(self, items: Sequence[tuple[Kind, FloatArray]]) -> list[Expectation]:
        """One expectation for each (kind, vectors (k, D))."""


@dataclass(frozen=True, slots=True)
class Cells:
    """Unit directions (N, D / 2) of the prompt, the response and the stance of N pairs."""

    prompt: FloatArray
    response: FloatArray
    stance: FloatArray

    @classmethod
    def of(cls, items: Sequence[FloatArray]) -> Cells:
        """The pairs of several questions, each with vectors (k, D)."""
        prompt, response = (unit(half) for half in halves(np.concatenate(items)))
        ends = np.cumsum([len(v) for v in items])[:-1]
        return cls(prompt, response, _stances(np.split(response, ends)))

    def kernel(self, other: Cells, config: PriorConfig) -> FloatArray:
        """Kernel (n, m) with other pairs: near questions with near options get near answers."""
        distance = (
            (self.prompt @ other.prompt.T - 1) / config.question_width
            + (self.response @ other.response.T - 1) / config.option_width
            + (self.stance @ other.stance.T - 1) / config.stance_width
        )
        return np.asarray(np.exp(distance), np.float32)


class PopulationPrior:
    """The prior of every kind, from tensors that ship with the checkpoint.

    bank_text (U, D / 2): vectors of the texts of known questions and options; bank_pair (N, 2):
    which of them are the question and the option of N pairs; bank_item (N,): number of their
    question; bank_mean (N,), bank_groups (N,) and bank_profile (N, P): their figures, the mean a
    share, the profile of roots; bank_respondents (N,): how many a group was asked, 0 if that is
    not known; bank_alpha (N, 1 + P): dual coefficients of the kernel ridge for
    mean and profile; rating (F + 1, 1 + P): weights of `features` and offset, of the logit of
    approval and of its profile.
    """

    def __init__(self, tensors: Mapping[str, Tensor], config: PriorConfig) -> None:
        self.config = config
        self.bank_text = unit(tensors["bank_text"].float().numpy())
        self.bank_pair = tensors["bank_pair"].numpy().astype(np.int64)
        self.bank_item = tensors["bank_item"].numpy().astype(np.int64)
        self.bank_mean = tensors["bank_mean"].float().numpy()
        self.bank_groups = tensors["bank_groups"].numpy()
        self.bank_respondents = tensors["bank_respondents"].float().numpy()
        self.bank_profile = tensors["bank_profile"].float().numpy()
        self.bank_alpha = tensors["bank_alpha"].float().numpy()
        self.rating = tensors["rating"].float().numpy()
        self._check()
        starts = np.flatnonzero(np.diff(self.bank_item, prepend=-1))
        ends = np.append(starts, len(self.bank_item))[1:]
        self._spans = np.column_stack([starts, ends])
        self._prompts = self.bank_text[self.bank_pair[starts, 0]]
        self._response = self.bank_text[self.bank_pair[:, 1]]
        options = [self._response[start:stop] for start, stop in self._spans]
        # The mean of a question's options (Q, D / 2), and how far each of these is from it (N,).
        middle = [r.mean(0) for r in options]
        self._middle = np.array(middle, np.float32).reshape(-1, self.bank_text.shape[1])
        lengths = [np.linalg.norm(r - m, axis=1) for r, m in zip(options, middle, strict=True)]
        self._length = np.maximum(np.concatenate([np.zeros(0), *lengths]), 1e-6).astype(np.float32)

    def _check(self) -> None:
        """Raise ValueError where shapes do not fit each other."""
        texts, half = self.bank_text.shape
        cells, populations = len(self.bank_pair), self.rating.shape[1] - 1
        wanted = {
            "bank_pair": (self.bank_pair, (cells, 2)),
            "bank_item": (self.bank_item, (cells,)),
            "bank_mean": (self.bank_mean, (cells,)),
            "bank_groups": (self.bank_groups, (cells,)),
            "bank_respondents": (self.bank_respondents, (cells,)),
            "bank_profile": (self.bank_profile, (cells, populations)),
            "bank_alpha": (self.bank_alpha, (cells, 1 + populations)),
            "rating": (self.rating, (half + FURTHER + 1, 1 + populations)),
        }
        for name, (array, shape) in wanted.items():
            if array.shape != shape:
                raise ValueError(f"{name} has the shape {array.shape}, not {shape}")
        if cells and not 0 <= self.bank_pair.min() <= self.bank_pair.max() < texts:
            raise ValueError(f"bank_pair points outside of the {texts} texts")
        if (np.diff(self.bank_item) < 0).any():
            raise ValueError("bank_item does not ascend")

    def tensors(self) -> dict[str, Tensor]:
        """What a checkpoint stores; vectors, profiles and coefficients as float16."""
        return {
            "bank_text": torch.from_numpy(self.bank_text).half(),
            "bank_pair": torch.from_numpy(self.bank_pair.astype(np.int32)),
            "bank_item": torch.from_numpy(self.bank_item.astype(np.int32)),
            "bank_mean": torch.from_numpy(self.bank_mean),
            "bank_groups": torch.from_numpy(self.bank_groups),
            "bank_respondents": torch.from_numpy(self.bank_respondents),
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
        closeness = self._closeness([items[i][1] for i in shares])
        for i, row in zip(shares, closeness, strict=True):
            found[i] = self._known(items[i][1], np.flatnonzero(row >= SAME))
        new = [i for i in shares if found[i] is None]
        for i, expected in zip(new, self.unknown([items[i][1] for i in new]), strict=True):
            found[i] = expected
        for i, row in zip(shares, closeness, strict=True):
            if (expectation := found[i]) is not None:
                found[i] = replace(expectation, respondents=self._respondents(row))
        for i, (kind, vectors) in enumerate(items):
            if kind is not Kind.SHARE:
                approval = self.approval(vectors)
                found[i] = approval if kind is Kind.RATING else between(approval)
        return [expected for expected in found if expected is not None]

    def known(self, vectors: FloatArray) -> Expectation | None:
        """The bank's figures if the question is in it with exactly these options, else None."""
        return self.lookup([vectors])[0]

    def lookup(self, items: Sequence[FloatArray]) -> list[Expectation | None]:
        """`known` for several questions, each with vectors (k, D)."""
        return [
            self._known(vectors, np.flatnonzero(row >= SAME))
            for vectors, row in zip(items, self._closeness(items), strict=True)
        ]

    def _closeness(self, items: Sequence[FloatArray]) -> FloatArray:
        """Cosines (n, Q) of n questions with those of the bank."""
        prompts = np.array([halves(vectors)[0][0] for vectors in items], np.float32)
        near = unit(prompts.reshape(-1, self._prompts.shape[1])) @ self._prompts.T
        return np.asarray(near, np.float32)

    def _respondents(self, closeness: FloatArray) -> float:
        """How many a group was asked where the nearest known question comes from, 0 if far."""
        if closeness.max(initial=-1) < LIKE:
            return 0.0
        return float(self.bank_respondents[self._spans[closeness.argmax(), 0]])

    def _known(self, vectors: FloatArray, questions: IntArray) -> Expectation | None:
        """From the numbers of the bank's questions that read the same."""
        # A question that several waves asked is several items; their figures are averaged.
        response = unit(halves(vectors)[1])
        found = [cells for i in questions if (cells := self._match(response, int(i))) is not None]
        if not found:
            return None
        mean = np.mean([roots(self.bank_mean[cells]) for cells in found], axis=0)
        profile = np.mean([self.bank_profile[cells] for cells in found], axis=0)
        support = sum(float(self.bank_groups[cells[0]]) for cells in found)
        return Expectation(shares_of(mean), profile, support)

    def _match(self, response: FloatArray, question: int) -> IntArray | None:
        """A question's pairs in the order of the options (k, D / 2), if these are its options."""
        start, stop = self._spans[question]
        if stop - start != len(response):
            return None
        closeness = response @ self._response[start:stop].T
        best = closeness.argmax(1)
        same = closeness.max(1).min() >= SAME and len(set(best.tolist())) == len(best)
        return start + best if same else None

    def unknown(self, items: Sequence[FloatArray]) -> list[Expectation]:
        """Kernel ridge expectations of questions outside the bank, each from vectors (k, D)."""
        found: list[Expectation] = []
        for chunk in _chunks(items):
            lift = self.kernel(Cells.of(chunk)) @ self.bank_alpha
            ends = np.cumsum([len(v) for v in chunk])[:-1]
            found += [_lifted(part) for part in np.split(lift, ends)]
        return found

    def kernel(self, asked: Cells) -> FloatArray:
        """`Cells.kernel` (n, N) with the bank, by way of its distinct texts, who are fewer."""
        if not len(self._spans):
            return np.zeros((len(asked.prompt), 0), np.float32)
        prompt, response = self.bank_pair.T
        # The options of a question stand one behind the other and share its prompt.
        repeats = np.append(True, (np.diff(asked.prompt, axis=0) != 0).any(1))
        # One product reads the bank's texts once, which is most of the time of a single question.
        count, known = len(asked.prompt), self.bank_text.T
        near = np.concatenate([asked.stance, asked.response, asked.prompt[repeats]]) @ known
        stance, answer, question = np.split(near, [count, 2 * count])
        stance = stance[:, response]
        stance -= np.repeat(asked.stance @ self._middle.T, np.diff(self._spans)[:, 0], axis=1)
        stance /= self._length
        distance = (question[:, prompt][np.cumsum(repeats) - 1] - 1) / self.config.question_width
        distance += (answer[:, response] - 1) / self.config.option_width
        distance += (stance - 1) / self.config.stance_width
        return np.asarray(np.exp(distance, out=distance), np.float32)

    def approval(self, vectors: FloatArray) -> Expectation:
        """Expected approval of responses (n, D), each on its own."""
        return approval_by(self.rating, vectors)


def between(approval: Expectation) -> Expectation:
    """A comparison of two responses, from their approval: the odds of one against the other."""
    odds = approval.mean / (1 - approval.mean)
    # A root of a half moves by .7 times what the share moves, which is half of the difference.
    profile = 1.4 * (approval.profile - approval.profile.mean(0, keepdims=True))
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
    empty = np.zeros((0, dim), np.float32)
    cells = Cells.of([empty, *(b.vectors for b in bank)])
    lift = [np.column_stack([b.mean - 1 / np.sqrt(len(b.mean)), b.profile]) for b in bank]
    y = np.concatenate([np.zeros((0, 1 + populations)), *lift])
    kernel = cells.kernel(cells, config).astype(np.float64)
    inverse = np.linalg.inv(kernel + config.noise * np.eye(len(y)))
    alpha = inverse @ y
    question = np.repeat([b.question for b in bank], sizes)
    left_out = _leave_one_out(inverse, alpha, y, question)
    unknown = [_lifted(part) for part in np.split(left_out, np.cumsum(sizes)[:-1])] if bank else []
    known = [settled(b, u) for b, u in zip(bank, unknown, strict=True)]
    text, pair = _distinct(cells)
    arrays = {
        "bank_text": text,
        "bank_pair": pair,
        "bank_item": np.repeat(np.arange(len(bank)), sizes),
        "bank_mean": np.concatenate([np.zeros(0), *(k.mean for k in known)]),
        "bank_groups": np.repeat([b.groups for b in bank], sizes).astype(np.int32),
        "bank_respondents": np.repeat([b.respondents for b in bank], sizes).astype(np.float32),
        "bank_profile": np.concatenate([np.zeros((0, populations)), *(k.profile for k in known)]),
        "bank_alpha": alpha,
        "rating": fit_approval(rated, noise=config.rating_noise),
    }
    tensors = {k: torch.from_numpy(np.asarray(v)) for k, v in arrays.items()}
    return PopulationPrior(tensors, config), unknown


def _distinct(cells: Cells) -> tuple[FloatArray, IntArray]:
    """Each text once (U, D / 2), and the numbers (N, 2) of prompt and response of each pair."""
    number: dict[bytes, int] = {}
    both = np.concatenate([cells.prompt, cells.response])
    index = np.array([number.setdefault(row.tobytes(), len(number)) for row in both], np.int64)
    text = np.frombuffer(b"".join(number), np.float32).reshape(len(number), both.shape[1])
    return text.copy(), index.reshape(2, -1).T.copy()


def settled(item: BankItem, unknown: Expectation) -> Expectation:
    """What the bank says of a known question: its groups, with a little of the kernel prior."""
    mean = shrunk(item.mean * item.groups, item.groups, unknown.mean)
    return Expectation(mean, np.asarray(item.profile, np.float32), item.groups)


def shrunk(total: FloatArray, groups: float, unknown: FloatArray) -> FloatArray:
    """Shares (k,) from the sum of the roots of the groups that answered.

    The kernel prior, as shares, counts for SHRINK further groups. Where all of a few groups gave
    nothing it keeps a little room for another that does not.
    """
    beside = np.maximum(roots(unknown), LEAST_SHRUNK)
    return shares_of((total + SHRINK * beside) / (groups + SHRINK))


def shares_of(root: Reals) -> FloatArray:
    """Shares (k,) that sum to 1, from their roots."""
    square = np.maximum(root, 0) ** 2
    return np.asarray(square / max(square.sum(), 1e-9), np.float32)


def _stances(responses: Sequence[FloatArray]) -> FloatArray:
    """What sets the responses (k, D / 2) of each question apart, by the unit directions of all.

    The bank keeps directions alone, so lengths may not count here either.
    """
    return unit(np.concatenate([r - r.mean(0) if len(r) else r for r in responses]))


def _leave_one_out(inverse: Reals, alpha: Reals, y: Reals, question: IntArray) -> Reals:
    """Predictions of each cell by the ridge fitted without its question: y - A_II^-1 alpha_I."""
    out = np.empty_like(y)
    order = np.argsort(question, kind="stable")
    edges = np.flatnonzero(np.diff(question[order])) + 1
    for cells in np.split(order, edges):
        out[cells] = y[cells] - np.linalg.solve(inverse[np.ix_(cells, cells)], alpha[cells])
    return out


def _chunks(items: Sequence[FloatArray]) -> Iterator[Sequence[FloatArray]]:
    """Questions by the CHUNK, so that memory stays bounded: (CHUNK * k, N) floats at a time."""
    for start in range(0, len(items), CHUNK):
        yield items[start : start + CHUNK]


def _lifted(lift: Reals) -> Expectation:
    """An expectation from roots above that of 1 / k and profiles, (k, 1 + P)."""
    root = np.maximum(1 / np.sqrt(len(lift)) + lift[:, 0], LEAST_ROOT)
    return Expectation(shares_of(root), np.asarray(lift[:, 1:], np.float32))
