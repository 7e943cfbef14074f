"""Bottlenecks: features of the encoder -> a posterior over codes."""

from __future__ import annotations

from dataclasses import dataclass
from math import log, pi

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LOG_VARIANCE_BOUND = 20.0


@dataclass(frozen=True)
class Posterior:
    """q(z|x) for B images: a point where `log_variance` is None, else a diagonal Gaussian."""

    mean: Tensor  # (B, D)
    log_variance: Tensor | None = None  # (B, D)

    def sample(self, samples: int = 1, generator: torch.Generator | None = None, noise: Tensor | None = None) -> Tensor:
        """Draw codes (K, B, D) by reparametrisation, z = mean + sd * noise (arXiv 1312.6114, section 2.4).

        `noise` (K, B, D) may be given; a compiled net cannot draw from a generator.
        """
        mean = self.mean.unsqueeze(0)
        if self.log_variance is None:
            return mean.expand(samples, -1, -1)
        if noise is None:
            shape = (samples, *self.mean.shape)
            noise = torch.randn(shape, generator=generator, device=mean.device, dtype=mean.dtype)
        return torch.addcmul(mean, (0.5 * self.log_variance).exp().unsqueeze(0), noise)

    def log_prob(self, z: Tensor) -> Tensor | None:
        """log q(z|x) in nats, (K, B) for codes (K, B, D); None for a point."""
        if self.log_variance is None:
            return None
        square = (z - self.mean).square() * (-self.log_variance).exp()
        return -0.5 * (square + self.log_variance + log(2 * pi)).sum(-1)


class Deterministic(nn.Module):
    """A plain code: the features are the code."""

    def __init__(self, latent: int):
        super().__init__()
        self.latent = self.features = latent

    def forward(self, features: Tensor) -> Posterior:
        return Posterior(features)


class Gaussian(nn.Module):
    """A diagonal Gaussian posterior: features hold D means and D log variances (arXiv 1312.6114, eq. 9)."""

    def __init__(self, latent: int):
        super().__init__()
        self.latent, self.features = latent, 2 * latent

    def forward(self, features: Tensor) -> Posterior:
        mean, log_variance = features.chunk(2, dim=-1)
        return Posterior(mean, F.hardtanh(log_variance, -LOG_VARIANCE_BOUND, LOG_VARIANCE_BOUND))
