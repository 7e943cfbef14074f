"""Bottlenecks: features of the encoder -> a posterior over codes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import log, pi

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from latentdial.types import Affine, Posterior, Principal, Prior, Shape

LOG_VARIANCE_BOUND = 20.0
LEAST_NOISE = 1e-5  # variance of probabilistic PCA's noise, a level of 255 being 6e-5


@dataclass(frozen=True)
class Point:
    """q(z|x) for B images that is a point: the code is its mean."""

    mean: Tensor  # (B, ...)
    extra: Mapping[str, Tensor] = field(default_factory=dict)

    def sample(self, noise: Tensor | None = None, samples: int = 1) -> Tensor:
        """The same code for every sample, (K, B, ...)."""
        return self.mean.expand(samples, *self.mean.shape)

    def log_prob(self, z: Tensor) -> None:
        return None

    def kl(self, prior: Prior) -> None:
        return None


@dataclass(frozen=True)
class Diagonal:
    """q(z|x) for B images that is a diagonal Gaussian."""

    mean: Tensor  # (B, ...)
    log_variance: Tensor  # (B, ...)
    extra: Mapping[str, Tensor] = field(default_factory=dict)

    def sample(self, noise: Tensor | None, samples: int = 1) -> Tensor:
        """Codes (K, B, ...) by reparametrisation, z = mean + sd * noise (arXiv 1312.6114, section 2.4)."""
        return torch.addcmul(self.mean.unsqueeze(0), (0.5 * self.log_variance).exp().unsqueeze(0), noise)  # type: ignore[arg-type]

    def log_prob(self, z: Tensor) -> Tensor:
        """log q(z|x) in nats by dimensions, (K, B, ...) for codes (K, B, ...)."""
        square = (z - self.mean).square() * (-self.log_variance).exp()
        return -0.5 * (square + self.log_variance + log(2 * pi))

    def kl(self, prior: Prior) -> Tensor | None:
        """KL(q(z|x) || p(z)) in nats, (B, ...); None where the prior has no closed form of it."""
        return prior.kl(self.mean, self.log_variance)

    def detached(self) -> Diagonal:
        """The same density, to which no gradients flow."""
        return Diagonal(self.mean.detach(), self.log_variance.detach(), self.extra)


class Bottleneck(nn.Module):
    """From `features` of the encoder to a posterior over codes of the shape `code`; `random` where it needs noise.

    `starts` says whether there is a best linear codec, whose features `linear` gives.
    """

    random = starts = False

    def __init__(self, features: int, code: Shape):
        super().__init__()
        self.features, self.code = features, code

    def forward(self, features: Tensor) -> Posterior:
        raise NotImplementedError

    def linear(self, principal: Principal, beta: float = 1.0) -> Affine:
        """From flat pictures to the features of the best linear codec with these components.

        `beta` is what the KL to a standard normal prior is weighed with.
        """
        raise NotImplementedError


class Deterministic(Bottleneck):
    """A plain code: the features are the code."""

    starts = True

    def __init__(self, latent: int):
        super().__init__(latent, (latent,))

    def forward(self, features: Tensor) -> Point:
        return Point(features)

    def linear(self, principal: Principal, beta: float = 1.0) -> Affine:
        """Principal components of unit variance."""
        return _coordinates(principal, principal.variances.rsqrt(), self.features)


class Gaussian(Bottleneck):
    """A diagonal Gaussian posterior: features hold D means and D log variances (arXiv 1312.6114, eq. 9)."""

    random = starts = True

    def __init__(self, latent: int):
        super().__init__(2 * latent, (latent,))

    def forward(self, features: Tensor) -> Diagonal:
        mean, log_variance = features.chunk(2, dim=1)
        return Diagonal(mean, F.hardtanh(log_variance, -LOG_VARIANCE_BOUND, LOG_VARIANCE_BOUND))

    def linear(self, principal: Principal, beta: float = 1.0) -> Affine:
        """The posterior of probabilistic PCA (Tipping & Bishop 1999, eq. 6 to 9), whose codes are N(0, I) together.

        Components that vary less than `beta` times the noise have the prior as their posterior.
        """
        noise = max(beta * principal.rest, LEAST_NOISE)
        signal = (principal.variances - noise).clamp(min=0)
        wanted = _coordinates(principal, signal.sqrt() / principal.variances, self.features)
        half = self.features // 2
        wanted.bias[half : half + len(signal)] = (noise / principal.variances).clamp(max=1).log()
        return wanted


def _coordinates(principal: Principal, scale: Tensor, features: int) -> Affine:
    """Features that begin with the coordinates along the components, scaled (D,), and are zero behind them."""
    weight = principal.mean.new_zeros(features, len(principal.mean))
    weight[: len(scale)] = scale[:, None] * principal.components
    return Affine(weight, -weight @ principal.mean)


class TopK(Bottleneck):
    """A sparse code: the k largest features, all others zero (arXiv 1312.5663, section 2)."""

    def __init__(self, latent: int, k: int):
        super().__init__(latent, (latent,))
        self.k = k

    def forward(self, features: Tensor) -> Point:
        chosen = features.topk(self.k, dim=1).indices
        return Point(features * torch.zeros_like(features).scatter(1, chosen, 1.0))
