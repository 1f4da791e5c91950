"""Where tokens lie, how near they are to each other, and the ridges on one context's residuals.

Owns the closed form inside the GPO module; knows no layers and no attention.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.batches import KINDS, Kind, Tokens

COMPARISON = KINDS.index(Kind.COMPARISON)
RATING = KINDS.index(Kind.RATING)
WIDTHS = (1.0, 0.3)  # of the kernels over texts, in units of 1 - cosine
PARTS = 8  # kernels that a ridge adds up, see `Frame.kernels`
TRAITS = 6  # of a context, see `traits`
ROWS = 512  # tokens of a context that meet all others at a time
RIVAL_TOKENS = 1024  # a larger context has the first ridge alone: each costs a cubic solve
BELIEF = 1.0  # how firmly ratings are first believed to foretell each other, see `_believed`
# Starting points of the ridges, one row each: log weights of the kernels, then log variances of
# the noise (base, factor of 1 / 4n, without n, in doubt, of a comparison) and the log of how
# likely the ridge is. The first two are those of surveys, dense and sparse; the others are for
# groups with firm views, whose answers have little to do with what is expected.
START = (
    ((0.7, -7.0, -8.5, -8.0, -8.0, -7.0, -8.0, -8.0), (-6.3, 0.3, -6.0, -5.0, -2.0), 1.0),
    ((-1.0, -5.0, -5.0, -5.0, -7.0, -4.5, -6.0, -6.0), (-6.0, 0.3, -5.5, -4.5, -2.0), 1.0),
    ((0.0, -4.0, -4.5, -5.0, -3.0, -5.0, -4.5, -4.5), (-3.3, 0.3, -4.0, -4.5, -2.0), 0.0),
    ((0.0, -5.0, -5.0, -7.0, -1.5, -6.0, -4.5, -4.0), (-1.5, 0.3, -4.0, -4.5, -2.0), 0.0),
    ((0.0, -5.0, -5.0, -7.0, -2.0, -6.0, -5.0, -4.0), (-0.5, 0.3, -4.0, -4.5, -1.5), 0.0),
)
EXPERTS = len(START)


@dataclass(frozen=True, slots=True)
class Frame:
    """Where tokens lie: unit directions text, response, stance (B, T, H), profile (B, T, P).

    text: of a share its question, of a rating or comparison the response. stance: what sets an
    option apart from its siblings, or a rated response. doubt, kind, mask (B, T) as in `Tokens`.
    """

    text: Tensor
    stance: Tensor
    profile: Tensor
    doubt: Tensor
    kind: Tensor
    mask: Tensor

    @classmethod
    def of(cls, tokens: Tokens) -> Frame:
        """Directions of tokens; a stance of zeros stays zeros."""
        prompt, response = tokens.x.chunk(2, -1)
        share = (tokens.kind == KINDS.index(Kind.SHARE)).unsqueeze(-1)
        rating = (tokens.kind == RATING).unsqueeze(-1)
        present = (tokens.profile != 0).sum(-1, keepdim=True).clamp(min=1)
        return cls(
            text=F.normalize(torch.where(share, prompt, response), dim=-1, eps=1e-6),
            stance=F.normalize(torch.where(rating, response, tokens.centred), dim=-1, eps=1e-6),
            profile=tokens.profile / torch.sqrt(present.to(tokens.profile.dtype)),
            doubt=tokens.doubt,
            kind=tokens.kind,
            mask=tokens.mask,
        )

    def rows(self, span: slice) -> Frame:
        """Some of the tokens."""
        return Frame(*(getattr(self, name)[:, span] for name in self.__slots__))

    def kernels(self, context: Frame, middle: Middle) -> Tensor:
        """(B, PARTS, T, C): kernels between tokens and those of a context.

        0: profiles, so that like-minded populations are followed. Between tokens of one kind,
        each times the agreement of what is answered (1 between two ratings): 1 and 2: nearness of
        the texts, wide and narrow. 3: none, for a lean towards an answer whatever the question.
        4: nearness seen from the middle of the context, since a common wording makes all texts
        alike. 5: as 1, as far as what is expected of both is in doubt. 6: as 4, cubed, so that
        near texts count above all. Within and between kinds: 7: the cosine of the stances.
        """
        width = min(self.profile.shape[2], context.profile.shape[2])
        profile = self.profile[:, :, :width] @ context.profile[:, :, :width].transpose(1, 2)
        stance = self.stance @ context.stance.transpose(1, 2)
        kinds = self.kind[:, :, None], context.kind[:, None, :]
        same = (kinds[0] == kinds[1]).to(stance.dtype)
        rated = ((kinds[0] == RATING) & (kinds[1] == RATING)).to(stance.dtype)
        agreement = same * (rated + (1 - rated) * stance)
        cosine = self.text @ context.text.transpose(1, 2) - 1
        wide, narrow = (torch.exp(cosine / w) for w in WIDTHS)
        near = middle.cosine(self.text)
        doubt = torch.sqrt(self.doubt[:, :, None] * context.doubt[:, None, :])
        texts = [wide, narrow, torch.ones_like(wide), near, doubt * wide, near**3]
        return torch.stack([profile, *(agreement * t for t in texts), stance], 1)

    @property
    def nbytes(self) -> int:
        """Memory of all tensors, in bytes."""
        return nbytes(*(getattr(self, name) for name in self.__slots__))


@dataclass(frozen=True, slots=True)
class Middle:
    """Mean direction (B, H) of a context's texts, and these as they are seen from it (B, C, H).

    The latter are kept because every target needs them: half of the time of a batch.
    """

    mean: Tensor
    seen: Tensor

    @classmethod
    def of(cls, frame: Frame) -> Middle:
        """The middle of a context; zeros without one."""
        count = frame.mask.sum(1, keepdim=True).clamp(min=1)
        mean = (frame.text * frame.mask[:, :, None]).sum(1) / count
        return cls(mean, _away(frame.text, mean))

    def cosine(self, rows: Tensor) -> Tensor:
        """Cosines (B, T, C) of directions (B, T, H) with the context's, seen from the middle."""
        return _away(rows, self.mean) @ self.seen.transpose(1, 2)


def _away(texts: Tensor, mean: Tensor) -> Tensor:
    return F.normalize(texts - mean[:, None], dim=-1, eps=1e-3)


@dataclass(frozen=True, slots=True)
class Fit:
    """The ridges of a context: dual coefficients (B, PARTS, C), one row for each kernel.

    They are summed over the ridges, each in the measure of its probability. `likely` (B, EXPERTS)
    is that probability, from how well a ridge explains the context.
    """

    dual: Tensor
    likely: Tensor
    middle: Middle

    def __call__(self, kernels: Tensor) -> Tensor:
        """The predicted residual (B, T) from kernels (B, PARTS, T, C)."""
        return torch.einsum("bptc,bpc->bt", kernels, self.dual)

    @property
    def nbytes(self) -> int:
        """Memory of all tensors, in bytes."""
        return nbytes(self.dual, self.likely, self.middle.mean, self.middle.seen)


class InContextRidge(nn.Module):
    """Kernel ridge regressions on the residuals of one context, in closed form.

    Each is a Gaussian process: residual = what this group shares with known populations + what it
    thinks of similar texts + the error of the prior where it is in doubt + noise, which falls with
    the respondents. With the first part alone it is the CF-ridge baseline. The ridges differ in
    how far a group may depart from what is expected; the marginal likelihood of the context says
    how likely each of them is, so that a persona is believed at its word and the sample of a
    demographic group as far as such samples deserve.

    Of ratings their mean teaches in full, what sets them apart only as far as they foretell each
    other (`_believed`): both sides of a debate use its words, so near texts may be rated apart.
    """

    def __init__(self) -> None:
        super().__init__()
        kernels, noise, likely = zip(*START, strict=True)
        self.log_kernel = nn.Parameter(torch.tensor(kernels))
        self.log_noise = nn.Parameter(torch.tensor(noise))
        self.log_likely = nn.Parameter(torch.tensor(likely))
        self.log_trust = nn.Parameter(torch.tensor(-1.0))  # of the evidence
        # What a context is like says as much as its evidence: no ridge is the whole truth.
        self.gate = nn.Linear(TRAITS, EXPERTS, bias=False)
        nn.init.zeros_(self.gate.weight)

    def noise(self, context: Tokens) -> Tensor:
        """Variance (B, EXPERTS, C) of each residual."""
        base, sized, without, doubt, comparison = self.log_noise.exp()[None, :, :, None].unbind(2)
        weight = context.weight[:, None]
        noise = base + torch.where(weight > 0, sized / (4 * weight.clamp(min=1)), without)
        compared = (context.kind == COMPARISON).to(noise.dtype)[:, None]
        return noise + doubt * context.doubt[:, None] + comparison * compared

    def fit(
        self,
        frame: Frame,
        context: Tokens,
        residual: Tensor,
        *,
        middle: Middle | None = None,
        near: Tensor | None = None,
    ) -> Fit:
        """Fit the ridges to the residuals (B, C) of a context.

        `middle` and `near`, the context's kernels (B, PARTS, C, C) with itself, where the caller
        has them already: they are the larger part of the work.
        """
        middle, mask = middle or Middle.of(frame), frame.mask
        batch, width = mask.shape
        if width == 0:
            likely = torch.softmax(self.log_likely, 0).expand(batch, -1)
            return Fit(residual.new_zeros(batch, PARTS, 0), likely, middle)
        residual = residual * mask
        few = mask.sum(1, keepdim=True) <= RIVAL_TOKENS
        experts = EXPERTS if few.any() else 1
        scale = self.log_kernel.exp()[:experts]
        gram = self._gram(frame, middle, scale, near)
        noise = torch.where(mask[:, None], self.noise(context)[:, :experts], 1.0)
        factor = torch.linalg.cholesky(gram + torch.diag_embed(noise))
        rated = mask & (context.kind == RATING)
        # What is to be explained, and of ratings their mean alone.
        wanted = torch.stack([residual, _centre(residual, rated) * rated], 2)
        duals, levels = torch.cholesky_solve(
            wanted[:, None].expand(-1, experts, -1, -1), factor
        ).unbind(-1)
        logs = torch.log(torch.diagonal(factor, dim1=2, dim2=3)) + math.log(2 * math.pi) / 2
        cost = ((residual[:, None] * duals / 2 + logs) * mask[:, None]).sum(2)
        gate = (self.log_likely + self.gate(traits(context, residual)))[:, :experts]
        score = gate - self.log_trust.exp() * cost
        score = score.masked_fill(~few & (torch.arange(experts, device=few.device) > 0), -math.inf)
        likely = F.pad(torch.softmax(score, 1), (0, EXPERTS - experts))
        weights = likely[:, :experts, None] * scale  # (B, E, PARTS)
        dual = torch.einsum("bep,bec->bpc", weights, duals)
        if few.any():
            heard = torch.einsum("be,bec->bc", likely[:, :experts], duals / _precision(factor))
            firm = _believed(residual, residual - heard, rated)
            flat = torch.einsum("bep,bec->bpc", weights, levels)
            dual = torch.where((rated & few)[:, None], torch.lerp(flat, dual, firm[:, None]), dual)
        return Fit(dual, likely, middle)

    def _gram(self, frame: Frame, middle: Middle, scale: Tensor, near: Tensor | None) -> Tensor:
        """Covariances (B, E, C, C) without noise, 0 for padding; by rows, to bound memory."""
        kernels = (
            [frame.rows(span).kernels(frame, middle) for span in spans(frame.mask.shape[1])]
            if near is None
            else [near]
        )
        rows = [torch.einsum("ep,bptc->betc", scale, some) for some in kernels]
        both = frame.mask[:, None, :, None] & frame.mask[:, None, None, :]
        return torch.cat(rows, 2) * both


def _precision(factor: Tensor) -> Tensor:
    """Diagonal (B, E, C) of the inverses of the matrices with these Cholesky factors."""
    eye = torch.eye(factor.shape[-1], dtype=factor.dtype, device=factor.device)
    root = torch.linalg.solve_triangular(factor, eye.expand_as(factor), upper=False)
    found: Tensor = root.square().sum(2)
    return found


def _believed(residual: Tensor, told: Tensor, rated: Tensor) -> Tensor:
    """(B, 1): how far the ratings (B, C) of a context foretell each other, from 0 to 1.

    `told` (B, C) is what the ridges make of each residual from all the others. The slope of the
    residuals on that, both from their mean, is 1 where the ridges are right. As 20 ratings say
    little of it, it is drawn towards 1 as by BELIEF more of them, and not past it.
    """
    count = rated.sum(1, keepdim=True).clamp(min=1)
    true, told = ((values - _centre(values, rated)) * rated for values in (residual, told))
    drawn = BELIEF * true.square().sum(1, keepdim=True) / count + 1e-4
    slope = (told * true).sum(1, keepdim=True) + drawn
    return (slope / (told.square().sum(1, keepdim=True) + drawn)).clamp(0, 1)


def _centre(values: Tensor, among: Tensor) -> Tensor:
    """Mean (B, 1) of the values (B, C) that `among` picks, 0 where it picks none."""
    return (values * among).sum(1, keepdim=True) / among.sum(1, keepdim=True).clamp(min=1)


def traits(context: Tokens, residual: Tensor) -> Tensor:
    """(B, TRAITS): what a context is like, between about 0 and 1 each.

    How many tokens, shares of ratings and of comparisons, how far the answers depart from what
    was expected, the doubt about that, and whether respondents are known.
    """
    mask = context.mask.to(residual.dtype)
    count = mask.sum(1).clamp(min=1)

    def mean(values: Tensor) -> Tensor:
        return (values * mask).sum(1) / count

    return torch.stack(
        [
            torch.log1p(mask.sum(1)) / 5,
            mean((context.kind == RATING).to(residual.dtype)),
            mean((context.kind == COMPARISON).to(residual.dtype)),
            torch.sqrt(mean(residual.square()) + 1e-6) * 3,
            mean(context.doubt),
            mean((context.weight > 0).to(residual.dtype)),
        ],
        1,
    )


def spans(width: int) -> Iterator[slice]:
    """Runs of at most ROWS tokens: what is kept for each pair of tokens grows with C, not C**2."""
    for start in range(0, width, ROWS):
        yield slice(start, start + ROWS)


def nbytes(*tensors: Tensor) -> int:
    """Memory of tensors, in bytes."""
    return sum(t.numel() * t.element_size() for t in tensors)
