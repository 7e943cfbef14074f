"""Codes on the unit sphere: a posterior whose draws are functions of normal noise, and a uniform prior."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import lgamma, log, pi

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from latentdial.errors import LatentdialError
from latentdial.posteriors import LEAST_NOISE, Bottleneck
from latentdial.types import Affine, Principal, Prior

NODES, WIDE = 64, 12.0  # of an integral over lengths, and its half width in their standard deviations
BOUND = 12.0  # of the log of how sure a direction is


@dataclass(frozen=True, eq=False)
class ProjectedNormal:
    """q(z|x) for B images: the direction of a normal N(centre, I) (Presnell et al., JASA 93, 1998, eq. 2).

    With a centre at zero it is uniform, far from zero it is narrow. Its draws are smooth functions of normal noise,
    where those of a von Mises-Fisher distribution are drawn and rejected until one fits.
    """

    centre: Tensor  # (B, D)
    extra: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def mean(self) -> Tensor:
        """The mean direction (B, D)."""
        return F.normalize(self.centre, dim=-1)

    def sample(self, noise: Tensor | None, samples: int = 1) -> Tensor:
        return F.normalize(self.centre + noise, dim=-1)  # type: ignore[operator]

    def log_prob(self, z: Tensor) -> Tensor:
        """log q(z|x) in nats on the surface, (K, B, 1) for codes (K, B, D) on it."""
        along = (z * self.centre).sum(-1, keepdim=True)
        beside = (self.centre - along * z).square().sum(-1, keepdim=True)
        latent = z.shape[-1]
        return _log_lengths(along, latent) - 0.5 * beside - 0.5 * latent * log(2 * pi)

    def kl(self, prior: Prior) -> None:
        """It has no closed form."""


class OnSphere(Bottleneck):
    """Directions: features hold one, and the log of how far from zero the centre of their normal is."""

    random = starts = True

    def __init__(self, latent: int):
        if latent < 2:
            raise LatentdialError("a sphere needs two dimensions at least: use --latent 2 or more")
        super().__init__(latent + 1, (latent,))

    def forward(self, features: Tensor) -> ProjectedNormal:
        direction, sure = F.normalize(features[:, :-1], dim=1), features[:, -1:].clamp(max=BOUND)
        return ProjectedNormal(direction * sure.exp() * self.code[0] ** 0.5)

    def read(self, code: Tensor) -> Tensor:
        return F.normalize(code, dim=-1)

    def linear(self, principal: Principal, beta: float) -> Affine:
        """Principal components, over the fourth root of their variances v, and one sureness for all pictures.

        So noise that is the same in all directions changes pictures least: by (sum of v^(1/2))^2 / r^2 where a centre
        is r from zero. That over twice the noise's variance and the KL, (D - 1) log r, are least together.
        """
        noise = max(beta * principal.rest, LEAST_NOISE)
        wanted = self.along(principal, principal.variances.rsqrt().sqrt())
        centre = principal.variances.sqrt().sum() / (noise * (self.code[0] - 1)) ** 0.5
        wanted.bias[-1] = (centre / self.code[0] ** 0.5).log()
        return wanted


class UniformOnSphere(nn.Module):
    """p(z) the same all over the unit sphere (arXiv 1804.00891, section 3.1); densities are on its surface."""

    surface = True

    def __init__(self, latent: int):
        super().__init__()
        self.latent = latent
        self.log_area = log(2) + 0.5 * latent * log(pi) - lgamma(0.5 * latent)

    def log_prob(self, z: Tensor) -> Tensor:
        """log p(z) in nats, (K, B, 1) for codes (K, B, D)."""
        return torch.full_like(z[..., :1], -self.log_area)

    def kl(self, mean: Tensor, log_variance: Tensor) -> None:
        """It has no closed form."""

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw n codes (n, D)."""
        return F.normalize(torch.randn(n, self.latent, generator=generator), dim=1)


def _log_lengths(along: Tensor, latent: int) -> Tensor:
    """The log of the integral of r^(D - 1) exp(-(r - t)^2 / 2) over r > 0, (...) for t (...), by Gauss and Legendre.

    >>> _log_lengths(torch.zeros(1), 2).exp()
    tensor([1.])
    """
    t = along.detach()[..., None]
    mode = 0.5 * (t + (t.square() + 4 * (latent - 1)).sqrt())
    spread = WIDE * (1 + (latent - 1) / mode.square()).rsqrt()
    low, high = (mode - spread).clamp(min=0), mode + spread
    nodes, weights = (torch.from_numpy(one).to(t) for one in np.polynomial.legendre.leggauss(NODES))
    lengths = low + (high - low) * 0.5 * (nodes + 1)
    log_weights = weights.log() + (0.5 * (high - low)).log() + (latent - 1) * lengths.log()
    return (log_weights - 0.5 * (lengths - along[..., None]).square()).logsumexp(-1)
