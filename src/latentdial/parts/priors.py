"""Priors: a density over codes that can be sampled."""

from __future__ import annotations

from math import log, pi

import torch
from torch import Tensor, nn


class StandardNormal(nn.Module):
    """p(z) = N(0, I)."""

    def __init__(self, latent: int):
        super().__init__()
        self.latent = latent

    def log_prob(self, z: Tensor) -> Tensor:
        """log p(z) in nats by dimensions, (K, B, ...) for codes (K, B, ...)."""
        return -0.5 * (z.square() + log(2 * pi))

    def kl(self, mean: Tensor, log_variance: Tensor) -> Tensor:
        """KL(N(mean, exp(log_variance)) || p) in nats, (B, ...) (arXiv 1312.6114, appendix B).

        >>> StandardNormal(1).kl(torch.tensor([[2.0]]), torch.tensor([[0.0]])).item()
        2.0
        """
        return 0.5 * (mean.square() + log_variance.expm1() - log_variance)

    def sample(self, n: int, generator: torch.Generator | None = None, device: torch.device | None = None) -> Tensor:
        """Draw n codes (n, D)."""
        return torch.randn(n, self.latent, generator=generator, device=device)
