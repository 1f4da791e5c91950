"""Where tokens lie, how near they are to each other, and the ridge on one context's residuals.

Owns the closed form inside the GPO module; knows no layers and no attention.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.batches import KINDS, Kind, Tokens

COMPARISON = KINDS.index(Kind.COMPARISON)
RATING = KINDS.index(Kind.RATING)
UNIT = 0.03**2  # variance that 1 stands for in the learned ridge
DECIDED = 0.3  # how far a decided group departs from what is expected (std of a residual)
NOISES = (0.3, 1.0, 3.0)  # variances of its noise, relative to that
MARGIN = 8.0  # log evidence by which a decided ridge must be ahead of the learned one
SAME_SIDE = 0.1  # variance of a lean towards one option, or to approval, whatever the text
DECIDED_TOKENS = 1024  # larger contexts are left to the learned ridge: it costs a cubic solve each
CHANNELS = 5  # kinds of closeness between two tokens
PROFILE_SCALE = 20.0  # brings products of profiles, about .03 in a survey, to the order of 1


@dataclass(frozen=True, slots=True)
class Frame:
    """Where tokens lie: unit directions x, centred (B, T, D) and profile (B, T, P).

    doubt, kind, mask (B, T) as in `Tokens`.
    """

    x: Tensor
    centred: Tensor
    profile: Tensor
    doubt: Tensor
    kind: Tensor
    mask: Tensor

    @classmethod
    def of(cls, tokens: Tokens) -> Frame:
        """Directions of tokens; a centred vector of zeros stays zeros."""
        return cls(
            x=F.normalize(tokens.x, dim=-1),
            centred=F.normalize(tokens.centred, dim=-1, eps=1e-6),
            profile=tokens.profile,
            doubt=tokens.doubt,
            kind=tokens.kind,
            mask=tokens.mask,
        )

    def rows(self, span: slice) -> Frame:
        """Some of the tokens."""
        return Frame(*(getattr(self, name)[:, span] for name in self.__slots__))

    def closeness(self, context: Frame) -> Tensor:
        """(B, CHANNELS, T, C): how near tokens are to those of a context, in five ways.

        The cosines of x and of centred, whether the kinds agree, the product of the profiles,
        and the cosine of centred in the measure in which what is expected of both is in doubt.
        """
        raw = self.x @ context.x.transpose(1, 2)
        centred = self.centred @ context.centred.transpose(1, 2)
        same = (self.kind[:, :, None] == context.kind[:, None, :]).to(raw.dtype)
        # An empty context has no profiles at all.
        width = min(self.profile.shape[2], context.profile.shape[2])
        theirs = context.profile[:, :, :width].transpose(1, 2)
        profile = PROFILE_SCALE * self.profile[:, :, :width] @ theirs
        doubt = torch.sqrt(self.doubt[:, :, None] * context.doubt[:, None, :])
        return torch.stack([raw, centred, same, profile, doubt * centred], 1)

    @property
    def nbytes(self) -> int:
        """Memory of all tensors, in bytes."""
        return nbytes(self.x, self.centred, self.profile, self.doubt, self.kind, self.mask)


class InContextRidge(nn.Module):
    """Kernel ridge regression on the residuals of one context, in closed form.

    As a Gaussian process: residual = what this group shares with known populations (profiles) +
    what it thinks of similar texts (embeddings) + the error of the prior where it is in doubt +
    noise, which falls with the respondents. On known questions the first part alone is the
    CF-ridge baseline. A learned attention and a ridge fail in different places: the ridge's
    answer shifts the base prediction and is an input of the network.
    """

    def __init__(self) -> None:
        super().__init__()
        # Variances in units of (.03)^2. Profile: about 1 / (number of populations).
        self.log_text = nn.Parameter(torch.tensor([-1.0, 0.0]))
        self.log_profile = nn.Parameter(torch.tensor(0.8))
        self.log_doubt = nn.Parameter(torch.tensor(1.0))
        self.other_kind = nn.Parameter(torch.tensor(-1.0))
        # Base, times 1 / n, without n, in doubt; comparisons are ones and zeros.
        self.log_noise = nn.Parameter(torch.tensor([-1.0, 5.3, 1.8, 2.0, 5.5]))

    def kernel(self, closeness: Tensor) -> Tensor:
        """Kernel (B, T, C) from closeness (B, CHANNELS, T, C)."""
        raw, centred, same, profile, doubtful = closeness.unbind(1)
        text = self.log_text.exp()
        shared = text[0] * raw + text[1] * centred + self.log_doubt.exp() * doubtful
        shared = shared * (torch.sigmoid(self.other_kind) * (1 - same) + same)
        return shared + self.log_profile.exp() * profile

    def noise(self, context: Tokens) -> Tensor:
        """Variance (B, C) of each residual."""
        base, by_size, without_size, doubt, comparison = self.log_noise.exp()
        sized = context.weight > 0
        noise = base + torch.where(sized, by_size / context.weight.clamp(min=1), without_size)
        noise = noise + doubt * context.doubt + comparison * (context.kind == COMPARISON)
        total: Tensor = noise + 0.02
        return total

    def gram(self, frame: Frame, context: Tokens) -> Tensor:
        """Covariance (B, C, C) of a context's residuals; padding stands alone."""
        both = (frame.mask[:, :, None] & frame.mask[:, None, :]).to(context.y.dtype)
        return self.kernel(frame.closeness(frame)) * both + torch.diag_embed(self.noise(context))

    def fit(self, frame: Frame, context: Tokens) -> tuple[Tensor, Tensor]:
        """Dual coefficients (B, C) of a context's residuals, and their log evidence (B,)."""
        residual = _residual(context)
        if residual.shape[1] == 0:
            return residual, residual.sum(1)
        evidence, alpha = _evidence(UNIT * self.gram(frame, context), residual, context.mask)
        return UNIT * alpha, evidence

    def forward(self, closeness: Tensor, alpha: Tensor) -> Tensor:
        """The predicted residual (B, T) of each target; zeros without a context."""
        return torch.einsum("btc,bc->bt", self.kernel(closeness), alpha)


@dataclass(frozen=True, slots=True)
class Trust:
    """How far a context is believed beyond what the groups of the training make likely.

    weight (B, G): probability of each of G decided ridges; alpha (B, G, C): their dual
    coefficients. middle (B, D), spread (B,): mean of the context's vectors, and their variance.
    """

    weight: Tensor
    alpha: Tensor
    middle: Tensor
    spread: Tensor

    @property
    def strong(self) -> Tensor:
        """(B, 1): probability that the context is one of a decided group."""
        return self.weight.sum(1, keepdim=True)

    @property
    def nbytes(self) -> int:
        """Memory of all tensors, in bytes."""
        return nbytes(self.weight, self.alpha, self.middle, self.spread)


class DecidedRidge(nn.Module):
    """Ridges for groups that depart further from the population than any group of the training.

    A persona or one side of a debate says yes or no where a demographic group leans by a few
    points. Each ridge has its own noise; the evidence (marginal likelihood) of the context
    chooses between them and the learned ridge, so that an ordinary group is answered as before.
    """

    def kernel(self, rows: Frame, columns: Frame, middle: Tensor, spread: Tensor) -> Tensor:
        """(B, T, C): alike texts get alike answers, each kind for itself.

        Between options it is the nearness of the questions times that of what sets the options
        apart, so that "yes" to one statement speaks for "yes" to a similar one. Texts are compared
        from the middle (B, D) of the context, since a common wording makes all of them alike.
        """
        here, there = rows.x - middle[:, None], columns.x - middle[:, None]
        near = SAME_SIDE + (here @ there.transpose(1, 2)) / spread[:, None, None]
        option = rows.centred @ columns.centred.transpose(1, 2)
        kinds = rows.kind[:, :, None], columns.kind[:, None, :]
        same = (kinds[0] == kinds[1]).to(near.dtype)
        alone = (kinds[0] == RATING) & (kinds[1] == RATING)
        return same * near * torch.where(alone, torch.ones_like(option), option)

    def fit(self, frame: Frame, context: Tokens, learned: Tensor) -> Trust:
        """Weigh the ridges by their evidence; `learned` (B,) is that of the learned ridge."""
        batch, width = context.shape
        residual = _residual(context)
        count = context.mask.sum(1, keepdim=True).clamp(min=1)
        middle = (frame.x * frame.mask[:, :, None]).sum(1) / count
        away = (frame.x - middle[:, None]).square().sum(2)
        spread = (away * frame.mask).sum(1) / count[:, 0] + 1e-3
        few = count[:, 0] <= DECIDED_TOKENS
        if width == 0 or not few.any():
            none = residual.new_zeros(batch, 1)
            return Trust(none, residual.new_zeros(batch, 1, width), middle, spread)
        both = (frame.mask[:, :, None] & frame.mask[:, None, :]).to(residual.dtype)
        eye = torch.eye(width, device=residual.device)
        evidence, alphas = [learned], []
        gauge = self.kernel(frame, frame, middle, spread) * both
        for noise in NOISES:
            gram = DECIDED**2 * (gauge + noise * eye)
            score, alpha = _evidence(gram, residual, context.mask)
            evidence.append(score - MARGIN)
            alphas.append(DECIDED**2 * alpha)
        weight = torch.softmax(torch.stack(evidence, 1), 1)[:, 1:] * few[:, None]
        return Trust(weight.detach(), torch.stack(alphas, 1).detach(), middle, spread)

    def forward(self, targets: Frame, context: Frame, trust: Trust) -> Tensor:
        """The residual (B, T) that the decided ridges predict, each with its probability."""
        alpha = (trust.alpha * trust.weight[:, :, None]).sum(1)
        kernel = self.kernel(targets, context, trust.middle, trust.spread)
        return torch.einsum("btc,bc->bt", kernel, alpha)


def _residual(context: Tokens) -> Tensor:
    return (context.y - context.prior) * context.mask


def _evidence(gram: Tensor, residual: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Log marginal likelihood (B,) of residuals (B, C), and their dual coefficients (B, C)."""
    factor = torch.linalg.cholesky(gram)
    alpha = torch.cholesky_solve(residual.unsqueeze(-1), factor).squeeze(-1)
    logs = torch.log(torch.diagonal(factor, dim1=1, dim2=2))
    fit = (residual * alpha / 2 + logs + math.log(2 * math.pi) / 2) * mask
    return -fit.sum(1), alpha


def nbytes(*tensors: Tensor) -> int:
    """Memory of tensors, in bytes."""
    return sum(t.numel() * t.element_size() for t in tensors)
