"""Priors: a density over codes that can be sampled."""

from __future__ import annotations

from collections.abc import Callable
from math import log, pi

import torch
from torch import Tensor, nn

from latentdial.posteriors import Diagonal
from latentdial.types import ImageShape

SPREAD = 0.5  # of the means of a mixture at first, whose components make up for the rest of N(0, I)
BRIGHT = 0.2  # of the range, by which pseudo-inputs differ from its middle at first


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


class Mixture(nn.Module):
    """p(z) as a mixture of M diagonal Gaussians that are learnt, near N(0, I) at first; one of them is N(0, I)."""

    def __init__(self, latent: int, components: int):
        super().__init__()
        spread = SPREAD if components > 1 else 0.0
        self.mean = nn.Parameter(spread * torch.randn(components, latent))
        self.log_variance = nn.Parameter(torch.full((components, latent), log(1 - spread**2)))
        self.logits = nn.Parameter(torch.zeros(components), requires_grad=components > 1)

    def log_prob(self, z: Tensor) -> Tensor:
        """log p(z) in nats, (K, B, 1) for codes (K, B, D)."""
        each = Diagonal(self.mean, self.log_variance).log_prob(z[:, :, None]).sum(-1)  # (K, B, M)
        return (each + self.logits.log_softmax(0)).logsumexp(-1, keepdim=True)

    def kl(self, mean: Tensor, log_variance: Tensor) -> Tensor | None:
        """In nats, (B, D), where there is one component; else there is no closed form."""
        if len(self.mean) > 1:
            return None
        apart = (mean - self.mean).square() * (-self.log_variance).exp()
        narrower = log_variance - self.log_variance
        return 0.5 * (apart + narrower.expm1() - narrower)

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw n codes (n, D)."""
        chosen = torch.multinomial(self.logits.softmax(0), n, True, generator=generator)
        noise = torch.randn(n, self.mean.shape[1], generator=generator)
        return Diagonal(self.mean[chosen], self.log_variance[chosen]).sample(noise[None])[0]


class Vamp(nn.Module):
    """p(z) as the mean of the posteriors of M pseudo-inputs, which are learnt (VampPrior: arXiv 1705.07120, section 3).

    `posterior` is the model's own, `low` and `high` the range of its pictures.
    """

    def __init__(
        self, posterior: Callable[[Tensor], Diagonal], image: ImageShape, inputs: int, low: float, high: float
    ):
        super().__init__()
        self.posterior, self.low, self.high = posterior, low, high
        self.inputs = nn.Parameter((low + high) / 2 + BRIGHT * (high - low) * torch.randn(inputs, *image))

    @torch.no_grad()
    def start(self, pictures: Tensor) -> None:
        """Set the pseudo-inputs to pictures (N, C, H, W), from the first again where these are fewer."""
        rows = torch.arange(len(self.inputs), device=pictures.device) % len(pictures)
        self.inputs.copy_(pictures[rows])

    @property
    def components(self) -> Diagonal:
        """The posteriors (M, D) of the pseudo-inputs."""
        return self.posterior(self.inputs.clamp(self.low, self.high))

    def log_prob(self, z: Tensor) -> Tensor:
        """log p(z) in nats, (K, B, 1) for codes (K, B, D)."""
        each = self.components.log_prob(z[:, :, None]).sum(-1)
        return each.logsumexp(-1, keepdim=True) - log(len(self.inputs))

    def kl(self, mean: Tensor, log_variance: Tensor) -> None:
        """It has no closed form."""

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw n codes (n, D)."""
        components = self.components
        chosen = torch.randint(len(self.inputs), (n,), generator=generator)
        noise = torch.randn(n, components.mean.shape[1], generator=generator)
        return Diagonal(components.mean[chosen], components.log_variance[chosen]).sample(noise[None])[0]
