"""Where tokens lie, how near they are to each other, and the ridge on one context's residuals.

Owns the closed form inside the GPO module; knows no layers and no attention.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.batches import KINDS, Kind, Tokens

COMPARISON = KINDS.index(Kind.COMPARISON)
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

    def fit(self, frame: Frame, context: Tokens) -> Tensor:
        """Dual coefficients (B, C) of a context's residuals; padding gets 0."""
        residual = (context.y - context.prior) * context.mask
        if residual.shape[1] == 0:
            return residual
        both = (frame.mask[:, :, None] & frame.mask[:, None, :]).to(residual.dtype)
        gram = self.kernel(frame.closeness(frame)) * both + torch.diag_embed(self.noise(context))
        factor = torch.linalg.cholesky(gram)
        return torch.cholesky_solve(residual.unsqueeze(-1), factor).squeeze(-1)

    def forward(self, closeness: Tensor, alpha: Tensor) -> Tensor:
        """The predicted residual (B, T) of each target; zeros without a context."""
        return torch.einsum("btc,bc->bt", self.kernel(closeness), alpha)


def nbytes(*tensors: Tensor) -> int:
    """Memory of tensors, in bytes."""
    return sum(t.numel() * t.element_size() for t in tensors)
