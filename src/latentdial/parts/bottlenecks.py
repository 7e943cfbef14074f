"""Bottlenecks: features of the encoder -> a posterior over codes."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from latentdial.posteriors import LEAST_NOISE, Bottleneck, Diagonal, Point
from latentdial.types import Affine, Principal, Shape

LOG_VARIANCE_BOUND = 20.0


class Deterministic(Bottleneck):
    """A plain code: the features are the code, D numbers or C channels of a grid, (C, H, W)."""

    starts = True

    def __init__(self, code: int | Shape):
        code = (code,) if isinstance(code, int) else code
        super().__init__(code[0], code)

    def forward(self, features: Tensor) -> Point:
        return Point(features)

    def linear(self, principal: Principal, beta: float) -> Affine:
        """Principal components of unit variance."""
        return self.along(principal, principal.variances.rsqrt())


class Gaussian(Bottleneck):
    """A diagonal Gaussian posterior: features hold D means and D log variances (arXiv 1312.6114, eq. 9).

    A code may be C channels of a grid, (C, H, W), as in `Deterministic`.
    """

    random = starts = True

    def __init__(self, code: int | Shape):
        code = (code,) if isinstance(code, int) else code
        super().__init__(2 * code[0], code)

    def forward(self, features: Tensor) -> Diagonal:
        mean, log_variance = features.chunk(2, dim=1)
        return Diagonal(mean, F.hardtanh(log_variance, -LOG_VARIANCE_BOUND, LOG_VARIANCE_BOUND))

    def linear(self, principal: Principal, beta: float) -> Affine:
        """The posterior of probabilistic PCA (Tipping & Bishop 1999, eq. 6 to 9), whose codes are N(0, I) together.

        Components that vary less than `beta` times the noise have the prior as their posterior.
        """
        noise = max(beta * principal.rest, LEAST_NOISE)
        signal = (principal.variances - noise).clamp(min=0)
        wanted = self.along(principal, signal.sqrt() / principal.variances)
        half = self.features // 2
        wanted.bias[half : half + len(signal)] = (noise / principal.variances).clamp(max=1).log()
        return wanted


class TopK(Bottleneck):
    """A sparse code: the k largest features, all others zero (arXiv 1312.5663, section 2)."""

    def __init__(self, latent: int, k: int):
        super().__init__(latent, (latent,))
        self.k = k

    def forward(self, features: Tensor) -> Point:
        chosen = features.topk(self.k, dim=1).indices
        return Point(features * torch.zeros_like(features).scatter(1, chosen, 1.0))
