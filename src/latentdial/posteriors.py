"""What every bottleneck is made of: posteriors that are a point or a diagonal Gaussian, and the base of the parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import log, pi, prod

import torch
from torch import Tensor, nn

from latentdial.types import Affine, Posterior, Principal, Prior, Shape

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

    @property
    def seen(self) -> int:
        """How many numbers the decoder sees, which are what a picture is made of: as many as `read` gives."""
        return prod(self.code)

    def forward(self, features: Tensor) -> Posterior:
        raise NotImplementedError

    def read(self, code: Tensor) -> Tensor:
        """What the decoder sees of codes (B, ...): here these themselves."""
        return code

    def linear(self, principal: Principal, beta: float) -> Affine:
        """From flat pictures to the features of the best linear codec with these components.

        `beta` is what the KL to the prior is weighed with.
        """
        raise NotImplementedError

    def along(self, principal: Principal, scale: Tensor) -> Affine:
        """To features that begin with the coordinates along components, each by its scale (D,); zero behind them."""
        weight = principal.mean.new_zeros(self.features, len(principal.mean))
        weight[: len(scale)] = scale[:, None] * principal.components
        return Affine(weight, -weight @ principal.mean)
